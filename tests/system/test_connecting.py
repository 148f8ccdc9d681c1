"""Senders and receiver find each other, whatever stood between them."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import TOP, Machine
from tests.system.app import App
from tests.system.trouble import Said, app_on, assert_sound

PLACE = "systemd-run -q --unit=foreign -p StandardError=journal"
FOREIGN = f"{PLACE} python3 -u -m http.server --bind 127.0.0.1 3000"
WAITING = 20.0
"""Seconds for which another program has the receiver's place."""


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests."""
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        yield machine


@pytest.fixture
def app(host: Machine) -> Iterator[App]:
    """An App that has counted."""
    with app_on(host) as one:
        yield one


def requests_of(machine: Machine) -> int:
    """How many the foreign server has logged."""
    machine.run("journalctl --sync")
    entries = machine.journal("_SYSTEMD_UNIT=foreign.service")
    return sum('"GET /socket.io/' in str(entry["MESSAGE"]) for entry in entries)


def test_a_foreign_server_in_the_receivers_place(host: Machine, app: App) -> None:
    """It is asked less and less often, one line says what is wrong, and all goes on after it."""
    said = Said(host)
    host.run("systemctl stop receiver.socket receiver.service")
    host.run(FOREIGN)
    said.wait("cannot connect to http://127.0.0.1:3000 (not a receiver: HTTP 404)")
    time.sleep(WAITING)
    asked = requests_of(host)
    assert 5 <= asked <= 80, asked
    host.run("systemctl stop foreign.service")
    with app.counts_from("main"):
        host.run("systemctl start receiver.socket")
    said.wait("connected again, count ")
    complaints = [str(entry["MESSAGE"]) for entry in said.lines("cannot connect to ")]
    assert len(complaints) <= 4, complaints
    assert_sound(app)


def test_nobody_listens(host: Machine, app: App) -> None:
    said = Said(host)
    host.run("systemctl stop receiver.socket receiver.service")
    said.wait("cannot connect to http://127.0.0.1:3000 (refused: nothing listens there)")
    with app.counts_from("main"):
        host.run("systemctl start receiver.socket")
    assert_sound(app)


def test_a_receiver_that_no_way_leads_to(host: Machine) -> None:
    said = Said(host)
    settings = "SENDRECV_INTERVAL=0.1\nSENDRECV_URL=http://192.0.2.1:3000"
    with app_on(host, settings, start=False) as one:
        one.systemctl("start", one.main)
        said.wait("cannot connect to http://192.0.2.1:3000 (unreachable: Network is unreachable)")
        one.stop()


MORE = "[::1]:3001", "127.0.0.1:3002", "/run/receiver-test.socket"
ASK = "GET /healthz HTTP/1.1\\r\\nHost: a"


def test_each_socket_of_receiver_socket_is_served(host: Machine) -> None:
    listen = "".join(f"ListenStream={address}\n" for address in MORE)
    drop_in = "/etc/systemd/system/receiver.socket.d/more.conf"
    host.write(drop_in, f"[Socket]\n{listen}")
    restart = "systemctl daemon-reload; systemctl restart receiver.socket"
    host.run(restart)
    try:
        for address in MORE[:2]:
            with app_on(host, f"SENDRECV_INTERVAL=0.1\nSENDRECV_URL=http://{address}") as one:
                assert_sound(one)
        code = f"from tests.peers.peer import Peer; print(Peer({MORE[2]!r}).request('{ASK}')[0])"
        assert host.run(["env", "PYTHONPATH=/opt", "python3", "-c", code]).stdout == "200\n"
    finally:
        host.run(f"rm {drop_in}; {restart}; rm -f {MORE[2]}")
