"""Senders and receiver find each other, whatever stood between them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import TOP, Machine
from tests.system.app import App
from tests.system.trouble import Said, allow_tcp, app_on, assert_sound

PLACE = "systemd-run -q --unit=foreign -p StandardError=journal"
FOREIGN = f"{PLACE} python3 -u -m http.server --bind 127.0.0.1 3000"
WAITING = 20.0
"""Seconds for which another program has the receiver's place."""


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests."""
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        allow_tcp(machine)
        yield machine


@pytest.fixture
def app(host: Machine) -> Iterator[App]:
    """An App that has counted."""
    with app_on(host) as one:
        yield one


BY_TCP = "SENDRECV_INTERVAL=0.1\nSENDRECV_URL=http://127.0.0.1:3000"


@pytest.fixture
def tcp_app(host: Machine) -> Iterator[App]:
    """The same, by TCP and with the token."""
    with app_on(host, BY_TCP) as one:
        yield one


STOP = "systemctl stop receiver.socket receiver.service"
START = "systemctl start receiver.socket receiver-tcp.socket"


def requests_of(machine: Machine) -> int:
    """How many the foreign server has logged."""
    machine.run("journalctl --sync")
    entries = machine.journal("_SYSTEMD_UNIT=foreign.service")
    return sum('"GET /socket.io/' in str(entry["MESSAGE"]) for entry in entries)


def test_a_foreign_server_in_the_receivers_place(host: Machine, tcp_app: App) -> None:
    """It is asked less and less often, one line says what is wrong, and all goes on after it."""
    said = Said(host)
    host.run(STOP)
    host.run(FOREIGN)
    said.wait("no receiver at http://127.0.0.1:3000 (not a receiver: HTTP 404)")
    time.sleep(WAITING)
    assert requests_of(host) <= 80
    host.wait_until(lambda: requests_of(host) >= 5, "it is asked again")
    host.run("systemctl stop foreign.service")
    with tcp_app.counts_from("main"):
        host.run(START)
    said.wait("connected again, count ")
    complaints = [str(entry["MESSAGE"]) for entry in said.lines("no receiver at ")]
    assert len(complaints) <= 4, complaints
    assert_sound(tcp_app)


def test_nobody_listens(host: Machine, app: App, tcp_app: App) -> None:
    said = Said(host)
    host.run(STOP)
    said.wait("no receiver at http://127.0.0.1:3000 (refused: nothing listens there)")
    path = "/run/sendrecv-socket/receiver.sock"
    said.wait(f"no receiver at unix://{path} (nothing listens there: no such file)")
    with app.counts_from("main"), tcp_app.counts_from("main"):
        host.run(START)
    for one in (app, tcp_app):
        assert_sound(one)


def test_a_receiver_that_no_way_leads_to(host: Machine) -> None:
    said = Said(host)
    settings = "SENDRECV_INTERVAL=0.1\nSENDRECV_URL=https://192.0.2.1:3000"
    with app_on(host, settings, start=False) as one:
        one.systemctl("start", one.main)
        said.wait("no receiver at https://192.0.2.1:3000 (unreachable: Network is unreachable)")
        one.stop()


MORE = "http://[::1]:3001", "http://127.0.0.1:3002", "unix:///run/sendrecv-socket/more.sock"


@pytest.mark.parametrize("unit", ["receiver.socket", "receiver-tcp.socket"])
def test_each_address_of_a_socket_unit_is_served(host: Machine, unit: str) -> None:
    """With the token by TCP, without it by a Unix socket, whichever unit has the address."""
    listen = "".join(f"ListenStream={url.partition('//')[2]}\n" for url in MORE)
    access = "SocketGroup=sendrecv\nSocketMode=0660\nRemoveOnStop=yes\n"
    drop_in = f"/etc/systemd/system/{unit}.d/more.conf"
    host.write(drop_in, f"[Socket]\n{listen}{access}")
    restart = f"systemctl daemon-reload; systemctl restart {unit}"
    host.run(restart)
    try:
        for url in MORE:
            with app_on(host, f"SENDRECV_INTERVAL=0.1\nSENDRECV_URL={url}") as one:
                assert_sound(one)
    finally:
        host.run(f"rm {drop_in}; {restart}")


def test_whoever_has_a_wrong_token_has_nothing_restarted(host: Machine, app: App) -> None:
    pids = host.pid("receiver"), host.pid(app.main)
    said = Said(host)
    step = {"auth": {"appID": "a", "nodeID": "main", "epoch": 1, "run": "a" * 32, "token": "no"}}
    command = ["env", "PYTHONPATH=/opt", "python3", "-m", "tests.peers.peer"]
    host.run(command, input=json.dumps([step]))
    said.wait("connection without the right token refused")
    refused = "/run/sendrecv-receiver/refused"
    host.wait_until(lambda: not host.run(f"ls {refused}").stdout, "a look at the token")
    app.count(3)
    assert (host.pid("receiver"), host.pid(app.main)) == pids
    assert not any("restarting what has" in str(entry.get("MESSAGE")) for entry in said.entries())


NEW = "(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \\n' > {path})"
TOKEN = "/etc/sendrecv/token"


@pytest.fixture(name="linked")
def fixture_linked(host: Machine) -> Iterator[None]:
    """The token is elsewhere, and a symbolic link leads to it."""
    host.run(f"mkdir -p /root/tokens; mv {TOKEN} /root/tokens/1; ln -s /root/tokens/1 {TOKEN}")
    yield
    host.run(f"cat {TOKEN} > /root/tokens/last; rm {TOKEN}; mv /root/tokens/last {TOKEN}")


def swap(host: Machine, number: int) -> None:
    """Another token, by a link that is put in the place of the one before."""
    host.run(f"{NEW.format(path=f'/root/tokens/{number}')}; ln -sfn /root/tokens/{number} {TOKEN}")


@pytest.mark.usefixtures("linked")
def test_a_token_that_is_swapped_by_a_link(host: Machine, tcp_app: App) -> None:
    """A takeover brings the new one to a receiver that has the old one. The receiver is reloaded;
    a sender that still has the old one counts on meanwhile.
    """
    with app_on(host, BY_TCP) as other:
        pid = host.pid("receiver")
        swap(host, 2)
        with tcp_app.counts_from("failover"):
            host.kill(tcp_app.main, "KILL")
        with other.counts_from("main"):
            pass
        assert host.pid("receiver") == pid
        assert_sound(other)
        assert other.nodes() == ["main"]
    assert_sound(tcp_app)


@pytest.mark.usefixtures("linked")
def test_a_receiver_that_has_a_new_token_before_its_senders(host: Machine, tcp_app: App) -> None:
    swap(host, 3)
    with tcp_app.counts_from("main"):
        host.kill("receiver", "KILL")
    assert_sound(tcp_app)


@pytest.mark.usefixtures("linked")
def test_a_token_that_is_swapped_does_not_matter_on_the_unix_socket(
    host: Machine, app: App
) -> None:
    """Nobody is refused. It is restarted as all that are handed the token, for nobody knows
    who needs it.
    """
    said = Said(host)
    swap(host, 4)
    with app.counts_from():
        host.kill("receiver", "KILL")
    said.wait("restarting what has an old token")
    with app.counts_from("main"):
        pass
    assert not said.lines("without the right token refused")
    assert_sound(app)


FILL = """
import sqlite3
database = sqlite3.connect("/var/lib/sendrecv-receiver/ledger.db")
with database:
    database.executemany(
        "INSERT INTO app VALUES (?, 5, '0123456789abcdef0123456789abcdef', 'main', 41, 0)",
        [(f"idle{number}",) for number in range({first}, {end})],
    )
database.close()
"""


def fill(host: Machine, first: int, end: int) -> None:
    """Have the ledger know these Apps."""
    host.run("systemctl stop receiver.socket receiver.service")
    code = FILL.replace("{first}", str(first)).replace("{end}", str(end))
    host.run(["runuser", "-u", "sendrecv-receiver", "--", "python3", "-c", code])
    host.run("systemctl start receiver.socket")


def test_ten_thousand_apps_that_are_no_more(machine: Machine) -> None:
    """They keep nobody out, and each goes on where it was. A ledger that is full says so."""
    with app_on(machine) as app:
        fill(machine, 0, 10_500)
        assert_sound(app)
        with app_on(machine):
            back = App(machine, "idle1")
            back.start()
            back.count(3)
            counts = [line.count for line in back.verdict().lines["idle1"]]
            assert counts == list(range(42, 42 + len(counts)))
            back.stop()
        said = Said(machine)
        fill(machine, 10_500, 100_000)
        with app_on(machine, start=False) as late:
            late.systemctl("start", late.main)
            said.wait(f"{late.name}/main: no room for one more App: 10000 are connected, or the")
            assert_sound(app)
