"""Several tokens in one file: each client has its Apps, and one is shut out without the others."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.machine import TOP, Machine
from tests.peers.peer import RUN
from tests.system.app import App
from tests.system.trouble import FAST, Said, allow_tcp, app_on, assert_sound

TOKEN = "/etc/sendrecv/token"
BY_TCP = f"{FAST}\nSENDRECV_URL=http://127.0.0.1:3000"
HERE, BERLIN, PARIS = "1" * 64, "2" * 64, "3" * 64
PLACE = "systemd-run -q --unit=client -p StandardOutput=journal -E PYTHONPATH=/opt python3 -u -c"
# Connects, tells of it, and of the end of the connection.
STAYS = """
from tests.peers.peer import admitted
peer = admitted({app!r}, {token!r})
print("this client was", "admitted", flush=True)
while peer.read() is not None:
    pass
print("this client was", "cut off", flush=True)
"""


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests."""
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        allow_tcp(machine)
        yield machine


def write(host: Machine, *lines: str) -> None:
    """The token file, as an editor leaves it: another file under its name."""
    text = "".join(f"{line}\n" for line in lines)
    host.run(f"umask 077; cat > {TOKEN}.new && mv {TOKEN}.new {TOKEN}", input=text)


def play(host: Machine, app_id: str, token: str) -> Any:
    """What the receiver says to a client with that token."""
    auth = {"appID": app_id, "nodeID": "main", "epoch": 1, "run": RUN, "token": token}
    command = ["env", "PYTHONPATH=/opt", "python3", "-m", "tests.peers.peer"]
    return json.loads(host.run(command, input=json.dumps([{"auth": auth}])).stdout)[0]["connect"]


@pytest.fixture
def app(host: Machine) -> Iterator[App]:
    """An App that counts, since before there were several tokens."""
    with app_on(host, BY_TCP) as one:
        yield one


def test_several_tokens(host: Machine, app: App) -> None:
    lines = [f"here * {HERE}", f"berlin b {BERLIN}", f"paris p {PARIS}"]
    said = Said(host)
    with app.counts_from("main"):
        write(host, *lines)
        said.wait("restarting what has an old token: receiver.service")
    assert_sound(app)
    assert play(host, "b", BERLIN) is True and play(host, "p", PARIS) is True
    assert play(host, "b", PARIS) == {"reason": "token"}
    said.wait("the token paris is not for App b, refused")
    said_by_all = json.loads(host.run("sendrecv status --json").stdout)
    assert {"b", "p", app.name} <= {one["appID"] for one in said_by_all["apps"]}
    # Berlin, which is connected, is shut out. Nobody else is.
    host.run([*PLACE.split(), STAYS.format(app="b", token=BERLIN)])
    said.wait("this client was admitted")
    pid = host.pid(app.main)
    write(host, lines[0], lines[2])
    said.wait("this client was cut off")
    assert play(host, "b", BERLIN) == {"reason": "token"}
    assert play(host, "p", PARIS) is True
    assert_sound(app)
    assert host.pid(app.main) == pid
    assert not any(HERE[:16] in str(entry.get("MESSAGE")) for entry in said.entries())


def test_a_token_for_one_app_starts_no_other(host: Machine, app: App) -> None:
    """Of the senders here each has the token of its App. One without is told."""
    said = Said(host)
    with app.counts_from():
        write(host, f"one {app.name} {BERLIN}", f"client x {PARIS}")
        said.wait("restarting what has an old token")
    with app_on(host, BY_TCP, start=False) as other:
        other.systemctl("start", other.main)
        said.wait(f"/etc/sendrecv/token: no line is for App {other.name}")
        said.wait("the receiver refuses this sender: token; the first count waits for it")
        assert_sound(app)
        with other.counts_from():
            write(host, f"one {app.name} {BERLIN}", f"other {other.name} {PARIS}")
        assert_sound(other)
    assert_sound(app)
