"""A holder of any token claims the run of another App's sender, as everybody here can see it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.machine import TOP, Machine
from tests.peers.peer import payload
from tests.system.app import App
from tests.system.proving import drop_in, findings, proof, unproven, without_audits
from tests.system.trouble import FAST, Said, allow_tcp

EVIL = "e" * 64
BY_TCP = f"{FAST}\nSENDRECV_URL=http://127.0.0.1:3000"
OWN = "counts from their own run"
SLOW = "[Service]\nExecStartPre=/bin/sh -c 'while [ ! -e /run/go ]; do sleep 0.1; done'\n"


@pytest.fixture(name="host")
def fixture_host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """A machine on which the App evil has a token of its own."""
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        allow_tcp(machine)
        tokens = f"here * {'1' * 64}\nevil evil {EVIL}\n"
        machine.run("umask 077; cat > /etc/sendrecv/token", input=tokens)
        machine.run("systemctl restart receiver")
        yield machine


def claim(host: Machine, run: str, *counts: int, epoch: int = 1) -> dict[str, Any]:
    """What the receiver says to evil, which has that run, it says, and counts."""
    auth = {"appID": "evil", "nodeID": "main", "epoch": epoch, "run": run, "token": EVIL}
    calls = [["resume"], *(["count", payload(count, "evil")] for count in counts)]
    script = json.dumps([{"auth": auth, "calls": calls}])
    command = ["env", "PYTHONPATH=/opt", "python3", "-m", "tests.peers.peer"]
    return dict(json.loads(host.run(command, input=script).stdout)[0])


def run_of(host: Machine, unit: str) -> str:
    """As any user sees it."""
    command = f"runuser -u nobody -- systemctl show -P InvocationID {unit}"
    return host.run(command).stdout.strip()


def assert_held_against_evil(host: Machine, run: str) -> None:
    verdict = proof(host)
    assert unproven(verdict) == {}
    assert unproven(verdict, "evil")[OWN] == "VIOLATED"
    assert [one for one in findings(verdict) if f"run {run[:8]} of App x was admitted" in one[1]]


def test_the_run_of_a_sender_of_this_machine(host: Machine) -> None:
    app = without_audits(App(host, "x"))
    app.start()
    said = Said(host)
    refused = claim(host, run_of(host, app.main), 0)
    assert refused["connect"] == {"reason": "invalid"}
    said.wait("evil/main: the run that it claims is that of App x's sender, refused")
    # The next run is seen, and claimed, before its process has begun.
    drop_in(host, app.failover, SLOW)
    host.kill(app.main, "KILL")
    host.wait_until(lambda: run_of(host, app.failover), "a run of the failover")
    run = run_of(host, app.failover)
    assert claim(host, run, 0, 1)["answers"][-1] == {"status": "accepted", "last": 1}
    with app.counts_from("failover"):
        host.run("touch /run/go")
    app.count(3)
    app.assert_sound()
    assert claim(host, run, 2, epoch=2)["connect"] == {"reason": "invalid"}
    assert_held_against_evil(host, run)


@pytest.mark.parametrize("settings", [BY_TCP, f"{BY_TCP}\nSENDRECV_APP_ID=x"])
def test_the_run_of_a_sender_that_uses_the_port(host: Machine, settings: str) -> None:
    """There the receiver cannot tell; the proof can."""
    app = without_audits(App(host, "y" if "APP_ID" in settings else "x", settings))
    app.systemctl("start", app.main)
    host.wait_entry(lambda entry: '"count": 3, "appID": "x"' in str(entry["MESSAGE"]))
    run = run_of(host, app.main)
    assert claim(host, run, 0, 1)["answers"][-1] == {"status": "accepted", "last": 1}
    app.stop()
    assert_held_against_evil(host, run)
