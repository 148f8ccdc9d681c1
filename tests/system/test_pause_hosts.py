"""`sendrecv pause` and `resume` of an App on three hosts with etcd: nothing takes it by itself, on
whichever host that is typed; what a person asks for is done as ever.

The verdict on the counts is that of `sendrecv proof`, from the journals of all hosts.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sendrecv.core.takeover import BEGUN, TAKEOVER
from tests.lab import roots
from tests.lab.hosts import ENDED, RECEIVER, Hosts
from tests.system.proving import assert_proven, proof_here
from tests.system.test_hosts import App

LONG_ENOUGH = "sleep 6"
"""Seconds in which a lease of 2 s would be over, and the App taken, three times."""


@pytest.fixture(scope="module")
def hosts(release: str, installed_host: Callable[[str], Path]) -> Iterator[Hosts]:
    """As in test_hosts.py: one host has the other release, and so the other etcd."""
    (other,) = set(roots.RELEASES) - {release}
    releases = dict.fromkeys("acr", release) | {"b": other}
    with Hosts(releases, layers={one: installed_host(one) for one in roots.RELEASES}) as hosts:
        yield hosts


def typed(app: App, host: str, command: str, *more: str) -> str:
    """sendrecv pause or resume, as root on that host, and what it says. On a slow machine, it may
    not wait until the App counts: status 69.
    """
    done = app.hosts[host].run(["sendrecv", command, *more, app.name], check=False)
    assert done.returncode in {0, 69}, done
    return done.stdout + done.stderr


def said(app: App, host: str) -> dict[str, Any]:
    """The App, as `sendrecv status` has it on that host, and what is wrong with it."""
    done = app.hosts[host].run(["sendrecv", "status", "--json", app.name], check=False)
    document = json.loads(done.stdout)
    problems = {it["code"]: it for it in document["problems"] if it["instance"] == app.name}
    return {**document["apps"][0], "problems": problems, "exit": done.returncode}


def held(app: App, hosts: str, why: str) -> None:
    """Waits until each of these hosts says that it does not take the App, and why; and looks for
    long enough whether one does all the same.
    """
    ends = (f"standing by, nothing counts: {why}", "counting here")
    for host in hosts:
        status = app.hosts[host].wait_until(partial(_status, app, host, ends), ends[0])
        assert status and status.startswith("standing by"), f"it was taken: {status}"
    epoch = app.hosts.key(app.name)["record"]["epoch"]
    app.hosts.receiver.run(LONG_ENOUGH)
    assert app.hosts.key(app.name)["record"]["epoch"] == epoch, "it was taken"
    for host in hosts:
        now = said(app, host)
        assert (now["state"], now["paused"]["by"]) == ("should run", "root"), now
        assert now["problems"]["should-run"]["commands"] == [f"sendrecv resume {app.name}"]
        entry = app.hosts[host].wait_entry(
            lambda entry: "is paused, and nothing counts" in str(entry.get("MESSAGE")),
            what="it says so",
        )
        assert entry["PRIORITY"] == "2", "it says so loudly"


def _status(app: App, host: str, begins: tuple[str, str]) -> str:
    """What the sender there says, once it begins in one of these ways."""
    status = app.hosts.status(app.name, host)
    return status if status.startswith(begins) else ""


def takeovers(app: App, host: str, after: str) -> int:
    entries = app.hosts[host].journal(f"--after-cursor={after}", "-t", "sendrecv")
    ours = [one for one in entries if one.get("SENDRECV_INSTANCE") == app.name]
    return sum(one.get("MESSAGE_ID") in (BEGUN, TAKEOVER) for one in ours)


def test_nothing_takes_over_while_it_is_paused(hosts: Hosts, tmp_path: Path) -> None:
    app = App(hosts, "p")
    _is_paused_on_each_host(app)
    _its_halves_end(app)
    _it_moves_and_its_host_reboots(app)
    _its_host_is_lost_until_it_is_resumed(app)
    app.assert_sound()
    app.stop()
    assert_proven(_proof(app, tmp_path))


def _is_paused_on_each_host(app: App) -> None:
    """Whichever host it was typed on."""
    assert "a counts on" in typed(app, "b", "pause", "--reason=new disk")
    for host in "abc":
        app.status(host, r".*, paused by root since 20\d\d-.* UTC \(new disk\)")
        assert said(app, host)["paused"]["reason"] == "new disk"
        assert "paused" in said(app, host)["problems"]
    assert said(app, "a")["state"] == "counting" and said(app, "c")["state"] == "standing by"
    assert "is paused already" in typed(app, "c", "pause")


def _its_halves_end(app: App) -> None:
    """The other half is started, and does not count. What a person starts counts."""
    machine = app.hosts["a"]
    after = machine.cursor()
    machine.kill("sender@p", "KILL")
    # Until PID 1 has reaped it, its status is that of a sender that counts.
    machine.wait_until(lambda: machine.show("sender@p", "ActiveState") in ENDED, "its end")
    held(app, "a", "this host held the App")
    held(app, "bc", "a has not renewed its lease")
    assert not takeovers(app, "a", after)
    with app.counts_from("a"):
        app.systemctl("a", "start", "sender@p")
    app.systemctl("a", "stop", "sender@p")
    held(app, "a", "this host held the App")
    with app.counts_from("a-failover"):
        app.systemctl("a", "restart", "sender-failover@p")


def _it_moves_and_its_host_reboots(app: App) -> None:
    """Nobody takes it while that host is down; and the boot goes on."""
    with app.counts_from("b"):
        app.moves("c", "b")
    assert said(app, "b")["paused"]["by"] == "root"
    app.systemctl("b", "enable", "sender@p")
    epoch = app.hosts.key("p")["record"]["epoch"]
    with app.counts_from("b"):
        app.hosts["b"].reboot()
    assert app.hosts.key("p")["record"]["epoch"] == epoch + 1, "another host had it meanwhile"
    app.status("b", ".*, paused by root since .*")


def _its_host_is_lost_until_it_is_resumed(app: App) -> None:
    app.hosts["b"].run("journalctl --sync")
    app.hosts.cluster.power_cut("b")
    held(app, "ac", "b has not renewed its lease")
    with app.counts_from():
        assert "App p is resumed" in typed(app, "c", "resume")
    holder = app.hosts.wait_holder("p", "ac")
    app.status(holder, r"counting here since (?!.*, paused).*")
    assert said(app, holder)["paused"] is None
    app.hosts.cluster.boot("b")
    app.hosts.cluster.wait_healthy()
    half = said(app, holder)["half"]  # of host a, it is the failover that stood by
    unit, other = {
        "main": ("sender@p", f"{holder}-failover"),
        "failover": ("sender-failover@p", holder),
    }[half]
    with app.counts_from(other):
        app.hosts[holder].kill(unit, "KILL")


def _proof(app: App, directory: Path) -> dict[str, Any]:
    """Of the journals of all hosts, the receiver's first."""
    options = []
    for name in (RECEIVER, *app.hosts.cluster.members):
        app.hosts[name].run("journalctl --sync; journalctl -o export > /tmp/journal")
        app.hosts[name].get("/tmp/journal", directory / name)
        options.append(f"--file={directory / name}")
    return proof_here(app.name, *options)


def test_without_etcd_nothing_is_paused(hosts: Hosts) -> None:
    app = App(hosts, "q")
    for host in "bc":
        hosts[host].run("systemctl stop etcd")
    done = hosts["a"].run(["sendrecv", "pause", "q"], check=False)
    assert done.returncode == 73 and "nothing is changed" in done.stderr, done.stderr
    for host in "bc":
        hosts[host].run("systemctl start --no-block etcd")
    hosts.cluster.wait_healthy()
    with app.counts_from():
        pass
    assert said(app, "a")["paused"] is None
    app.stop()


def test_what_does_not_compare_the_pause_is_found_out(hosts: Hosts) -> None:
    """The test before is only worth something if it fails on this."""
    file = "/usr/lib/python3/dist-packages/sendrecv/sender/etcd_lease.py"
    line, spoilt = "self.answer, absent=absent)", "self.answer)"
    for host in "abc":
        hosts[host].run(
            f"cp -p {file} /tmp/as-it-was; sed -i 's/{line}/{spoilt}/' {file};"
            f" ! cmp -s {file} /tmp/as-it-was"
        )
    app = App(hosts, "v")
    typed(app, "b", "pause")
    hosts["a"].kill("sender@v", "KILL")
    with pytest.raises(AssertionError, match="it was taken: counting here"):
        held(app, "a", "this host held the App")
    for host in "abc":
        hosts[host].run(f"cp -p /tmp/as-it-was {file}")
    app.stop()
