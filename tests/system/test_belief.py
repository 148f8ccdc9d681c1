"""What a receiver says is adopted only if it can be true, or a person says that it is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import TOP, Machine
from tests.system.app import App
from tests.system.trouble import Said, allow_tcp, app_on, assert_sound

BILLION = 10**9
HERE = "SENDRECV_INTERVAL=0.1\nSENDRECV_URL=http://127.0.0.1:3000"
PLACE = "systemd-run -q --unit=impostor -p User=nobody -p StandardOutput=journal -E PYTHONPATH=/opt"


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests."""
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        allow_tcp(machine)
        yield machine


@pytest.fixture
def app(host: Machine) -> Iterator[App]:
    """An App that has counted."""
    with app_on(host, HERE) as one:
        yield one


def impostor(host: Machine, **says: object) -> None:
    """An ordinary user's program in the receiver's place: on a port, where nobody can be asked who
    listens.
    """
    host.run("systemctl stop receiver.socket receiver-tcp.socket receiver.service")
    command = [*PLACE.split(), "python3", "-u", "-m", "tests.peers.fake_receiver", "3000"]
    host.run([*command, json.dumps(says)])


def receiver_back(host: Machine) -> None:
    host.run("systemctl stop impostor.service; systemctl start receiver-tcp.socket receiver.socket")


def test_a_count_that_nobody_can_have_reached(host: Machine, app: App) -> None:
    """One line names both numbers, nothing is sent, and all goes on with the real receiver."""
    said = Said(host)
    impostor(host, resume={"status": "accepted", "last": BILLION})
    line = said.wait(f"the receiver's last count is {BILLION}, but this App is at ")
    assert f"run: sendrecv accept {app.name} --count {BILLION}; counting on, " in line
    with app.counts_from("failover"):
        host.kill(app.main, "KILL")  # nor by a successor, to which this record is all there is
        said.wait("Started sender-failover@")
        receiver_back(host)
    assert_sound(app)
    assert max(entry.count for entry in app.verdict().lines[app.name]) < BILLION
    sent = [e for e in said.entries() if str(e.get("MESSAGE", "")).startswith("sent ")]
    assert not sent
    said.assert_one_line("cannot have come so far")


def test_an_epoch_that_nobody_can_have_reached(host: Machine, app: App) -> None:
    said = Said(host)
    impostor(host, refuse={"reason": "stale", "epoch": 2**63 - 2})
    said.wait(f"the receiver's last epoch is {2**63 - 2}, but this App is at ")
    with app.counts_from("main"):
        receiver_back(host)
    assert_sound(app)


RECORD = """
import os, time
from sendrecv import systemd
from sendrecv.core.record import Record
from sendrecv.sender.store_file import StateFile
store = StateFile("/var/lib/sendrecv/{name}.record")
store.acquire()
now = time.monotonic_ns()
store.commit(Record("{name}", 3, 41, 41, now, systemd.boot_id(), "main", "1" * 32))
"""
LEDGER = """
import sqlite3
database = sqlite3.connect("/var/lib/sendrecv-receiver/ledger.db")
with database:
    row = ("{name}", 5, "0123456789abcdef0123456789abcdef", "main", {last}, 0)
    database.execute("INSERT INTO app VALUES (?, ?, ?, ?, ?, ?)", row)
database.close()
"""


def test_a_person_decides(host: Machine) -> None:
    """The receiver is right: the record is an old one, of which nobody knows how old."""
    with app_on(host), app_on(host, start=False) as one:  # the first: there is a ledger
        as_user = ["runuser", "-u", "sendrecv", "--", "python3", "-c"]
        host.run([*as_user, RECORD.replace("{name}", one.name)])
        host.run("systemctl stop receiver.socket receiver.service")
        as_user[2] = "sendrecv-receiver"
        code = LEDGER.replace("{name}", one.name).replace("{last}", str(BILLION))
        host.run([*as_user, code])
        host.run("systemctl start receiver.socket")
        said = Said(host)
        one.systemctl("start", one.main)
        line = said.wait(f"the receiver's last count is {BILLION}, but this App is at ")
        command = line.partition("run: ")[2].partition(";")[0]
        with one.counts_from("main"):
            assert "adopts the receiver's last count" in host.run(command).stdout
        said.wait(f"accepted by a person: count {BILLION}")
        one.count(3)
        counts = [entry.count for entry in one.verdict().lines[one.name]]
        assert counts == list(range(BILLION + 1, BILLION + 1 + len(counts)))
        assert host.run(f"ls /var/lib/sendrecv | grep {one.name}").stdout == f"{one.name}.record\n"


def test_what_something_else_acknowledged_does_not_flood_the_journal(host: Machine) -> None:
    """The record has a billion counts more than the receiver, as an older version may have left it:
    none of them is sent, and a person has the App go on where the receiver is.
    """
    with app_on(host) as one:
        one.count(3)
        one.stop()
        last = max(line.count for line in one.verdict().lines[one.name])
        poisoned = RECORD.replace("{name}", one.name).replace("41, 41", f"{BILLION}, {BILLION}")
        host.run(["runuser", "-u", "sendrecv", "--", "python3", "-c", poisoned])
        said = Said(host)
        one.systemctl("start", one.main)
        line = said.wait(f"the receiver's last count is {last}, but {BILLION} was acknowledged")
        command = line.partition("run: ")[2].partition(";")[0]
        with one.counts_from("main"):
            host.run(command)
        said.wait(f"accepted by a person: count {last}")
        one.count(3)
        counts = [entry.count for entry in one.verdict().lines[one.name]]
        assert counts == list(range(len(counts)))
        assert_sound(one)
