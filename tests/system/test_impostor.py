"""Whoever is in the receiver's place is told nothing and believed nothing, and counting goes on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.judges.checker import Kind
from tests.lab.machine import TOP, Machine
from tests.peers.impostor import LAST
from tests.peers.impostor_etcd import LAST as LAST_OF_ETCD
from tests.system.app import App
from tests.system.trouble import Said, allow_tcp, app_on, assert_sound

SOCKET = "/run/sendrecv-socket/receiver.sock"
STOP = "systemctl stop receiver.socket receiver.service"
START = "systemctl start receiver.socket"
HEARD = "/tmp/heard"
RUN = "env PYTHONPATH=/opt python3 -m tests.peers.{}"


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


@contextmanager
def impostor(
    machine: Machine, address: str, user: str = "nobody", program: str = "impostor"
) -> Iterator[None]:
    """It listens there meanwhile."""
    # In the file system of the receiver's socket, or it could not be moved there.
    machine.run(f"rm -f {HEARD} /run/impostor/sock; install -d -o {user} /run/impostor")
    machine.run(f"install -o {user} /dev/null {HEARD}")
    unit = f"systemd-run -q --unit=impostor --uid={user} --property=WorkingDirectory=/tmp"
    machine.run(f"{unit} {RUN.format(program)} {address} {HEARD}")
    listens = f"ss -Hln | grep -qF '{address} '"
    machine.wait_until(lambda: not machine.run(listens, check=False).returncode, "it listens")
    try:
        yield
    finally:
        machine.run("systemctl stop impostor")


def heard(machine: Machine) -> list[str]:
    """What it was told."""
    return machine.run(f"cat {HEARD}").stdout.splitlines()


def assert_never_believed(machine: Machine, app: App) -> None:
    """Nobody has printed, or kept, what it said."""
    assert_sound(app)
    assert all(line.count < LAST for line in app.verdict().lines[app.name])
    assert str(LAST)[:6] not in machine.run(f"cat /var/lib/sendrecv/{app.name}.record").stdout


def test_on_the_port_before_during_and_after(bare_machine: Machine) -> None:
    """The three lines work, whoever has port 3000."""
    bare_machine.unpack(["-C", str(TOP), "tests"], "/opt")
    with impostor(bare_machine, "3000"):
        bare_machine.install_deb()
        app = App(bare_machine, "main", settings="")
        app.start()
        bare_machine.run(STOP)
        with app.counts_from("failover"):
            bare_machine.kill(app.main, "KILL")
            bare_machine.run(START)
        with app.counts_from("failover"):
            bare_machine.kill("receiver", "KILL")
        assert_never_believed(bare_machine, app)
        assert heard(bare_machine) == []
    with app.counts_from("main"):
        app.systemctl("start", app.main)
    assert_never_believed(bare_machine, app)


def replaced(path: str) -> dict[str, tuple[str, str, str]]:
    """What may be at the socket's path: what makes it, what removes it, what a sender says."""
    listens = "not a receiver: user 65534 listens there, and not root"
    return {
        "its socket": (f"mv /run/impostor/sock {path}", f"rm {path}", listens),
        "a link to its socket": (
            f"ln -s /run/impostor/sock {path}",
            f"rm {path} /run/impostor/sock",
            listens,
        ),
        "a directory": (f"mkdir {path}", f"rmdir {path}", "not a receiver: no socket"),
        "a file": (f"touch {path}", f"rm {path}", "not a receiver: no socket"),
        "a link to itself": (f"ln -s {path} {path}", f"rm {path}", "Too many levels of symbolic"),
    }


@pytest.mark.parametrize("while_it", ["is stopped", "listens"])
@pytest.mark.parametrize("what", replaced(SOCKET))
def test_in_place_of_the_socket(host: Machine, app: App, what: str, while_it: str) -> None:
    """Only root can put it there. All that was counted meanwhile is delivered afterwards."""
    make, remove, cause = replaced(SOCKET)[what]
    said = Said(host)
    host.run("systemctl stop sendrecv-guard.timer")  # it would repair some of it
    with impostor(host, "/run/impostor/sock"):
        if while_it == "is stopped":
            host.run(f"{STOP}; {make}")
        else:
            host.run(f"rm {SOCKET}; {make}; systemctl kill --signal=KILL receiver")
        said.wait(f"no receiver at unix://{SOCKET} ({cause}")
        told = heard(host)
        host.run(remove)
    assert [line for line in told if line != "connection"] == []
    assert ("connection" in told) == cause.startswith("not a receiver: user"), "it was there"
    with app.counts_from("main"):
        host.run(f"systemctl restart receiver.socket; systemctl start {app.target}")
    assert_never_believed(host, app)
    said.assert_one_line(f"no receiver at unix://{SOCKET} ({cause}")


def test_a_socket_that_is_removed_is_made_again(host: Machine, app: App) -> None:
    said = Said(host)
    with app.counts_from("main"):
        host.run("rm -r /run/sendrecv-socket; systemctl kill --signal=KILL receiver")
    said.wait(f"{SOCKET} is gone, restarting receiver.socket")
    assert_sound(app)


def test_it_would_have_been_told(host: Machine) -> None:
    """By root in the receiver's place, and on a port by anybody: the tests above can fail."""
    allow_tcp(host)
    url = "SENDRECV_INTERVAL=0.1\nSENDRECV_URL=http://127.0.0.1:3000"
    for address, user, settings in (("3000", "nobody", url), (SOCKET, "root", "")):
        with app_on(host, settings) as one:
            host.run("systemctl stop sendrecv-guard.timer")
            host.run(STOP)
            with impostor(host, address, user):
                _await_told(host, one)
                assert any('"token"' in line for line in heard(host)) == (user == "nobody")
            host.run(f"rm -f {SOCKET}; {START}")
    host.run("rm -f /etc/systemd/system/sender*@.service.d/network.conf; systemctl daemon-reload")


def test_on_the_other_address_of_localhost(host: Machine) -> None:
    """Any user may listen there while the receiver runs, and the name means both."""
    allow_tcp(host)
    host.write("/etc/hosts", "::1 localhost\n127.0.0.1 localhost\n")
    where = "SENDRECV_INTERVAL=0.1\nSENDRECV_URL=http://{}:3000"
    with impostor(host, "[::1]:3000"):
        with app_on(host, where.format("localhost")) as one:
            with one.counts_from("failover"):
                host.kill(one.main, "KILL")
            shown = host.run(f"sendrecv status --url http://localhost:3000 {one.name}").stdout
            assert f"\n{one.name} " in shown
            assert_never_believed(host, one)
        assert heard(host) == []
        with app_on(host, where.format("[::1]"), start=False) as other:
            other.systemctl("start", other.main)
            _await_told(host, other)
        assert any('"token"' in line for line in heard(host))
    host.run("rm -f /etc/systemd/system/sender*@.service.d/network.conf; systemctl daemon-reload")


@pytest.mark.parametrize("knows", [True, False], ids=["counted here", "new here"])
def test_in_place_of_etcd_on_this_machine(host: Machine, knows: bool) -> None:
    """While etcd is stopped, anybody may listen there. An App that has counted here believes no
    count that it cannot have reached. One that is new here has nothing to compare with: so the test
    can fail, and the documents say so.
    """
    etcd = "SENDRECV_STORE=etcd://127.0.0.1:2379"
    drop_in = "/etc/systemd/system/{}@{}.service.d/network.conf"
    with app_on(host, start=knows) as one:
        one.stop()
        host.write(f"/etc/sendrecv/{one.name}.env", f"SENDRECV_INTERVAL=0.1\n{etcd}\n")
        paths = [drop_in.format(unit, one.name) for unit in ("sender", "sender-failover")]
        for path in paths:
            host.run(f"install -D -m 0644 /usr/lib/sendrecv/network.conf {path}")
        host.run("systemctl daemon-reload")
        said = Said(host)
        with impostor(host, "2379", program="impostor_etcd"):
            one.systemctl("start", "--no-block", one.main)
            if knows:
                line = said.wait(f"etcd's record has count {LAST_OF_ETCD}, but this App was at ")
                assert line.endswith(f"run: sendrecv accept {one.name} --count {LAST_OF_ETCD}")
                assert "is not believed" in host.show(one.main, "StatusText")
            else:
                with one.counts_from():  # the node is the host
                    pass
            assert any("/range" in request for request in heard(host)), "it was asked"
            assert any("/txn" in request for request in heard(host)) == (not knows)
            one.stop()
        host.run(["rm", *paths, f"/etc/sendrecv/{one.name}.env"])
        host.run("systemctl daemon-reload")
        with one.counts_from("main"):
            one.systemctl("start", one.main)
        if knows:
            assert_sound(one)
            assert max(line.count for line in one.verdict().lines[one.name]) < LAST_OF_ETCD


def _await_told(machine: Machine, app: App) -> None:
    told = f'grep -q \'"appID":"{app.name}"\' {HEARD}'
    machine.wait_until(lambda: not machine.run(told, check=False).returncode, "it is told")


# Other users


TRY = """
import json, os, socket, sys
from tests.peers.peer import Peer, auth, payload
path, app = sys.argv[1:]
done = {}
for name, work in {
    "remove": lambda: os.unlink(path),
    "replace": lambda: os.rename(path, path + ".old"),
    "add": lambda: socket.socket(socket.AF_UNIX).bind(path + ".mine"),
    "chmod": lambda: os.chmod(path, 0o777),
}.items():
    try:
        done[name] = work() or "done"
    except OSError as error:
        done[name] = error.strerror
try:
    with Peer(path) as peer:
        peer.open()
        done["older"] = peer.connect(auth(app, "", epoch=1, run="b" * 32))
    with Peer(path) as peer:
        peer.open()
        peer.connect(auth("its-own", ""))
        done["other"] = peer.call("count", payload(0, app))
        done["own"] = peer.call("count", payload(0, "its-own"))
except OSError as error:
    done["connect"] = error.strerror
print(json.dumps(done))
"""
HARMLESS = {
    **{"remove": "Permission denied", "replace": "Permission denied", "add": "Permission denied"},
    "chmod": "Operation not permitted",
}


def tried(machine: Machine, group: str, app: App) -> dict[str, object]:
    """What a process of the user nobody could do."""
    user = ["setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups", "--"]
    code = ["env", "PYTHONPATH=/opt", "python3", "-c", TRY, SOCKET, app.name]
    return dict(json.loads(machine.run([*user, *code]).stdout))


def test_another_user_cannot_connect(host: Machine, app: App) -> None:
    assert tried(host, "nogroup", app) == {**HARMLESS, "connect": "Permission denied"}
    assert_sound(app)


def test_who_is_in_the_senders_group_can_do_what_a_sender_can_and_no_more(
    host: Machine, app: App
) -> None:
    with app.counts_from("failover"):
        host.kill(app.main, "KILL")  # so that its epoch is above 1
    done = tried(host, "sendrecv", app)
    older, other = done.pop("older"), done.pop("other")
    assert isinstance(older, dict) and older["data"]["reason"] == "stale"
    assert other == {"status": "invalid", "last": None}
    assert done == {**HARMLESS, "own": {"status": "accepted", "last": 0}}
    assert_sound(app)


# Claims the App with a later epoch, by what GET /apps says; counts, and tells of the end.
CLAIM = """
import json, sys
from tests.peers.peer import Peer, auth, payload
path, app, further = sys.argv[1:]
with Peer(path) as peer:
    known = json.loads(peer.request("GET /apps HTTP/1.1\\r\\nHost: a")[1])[app]
with Peer(path) as peer:
    peer.open()
    reply = peer.connect(auth(app, "", epoch=known["epoch"] + int(further), run="c" * 32))
    last = peer.call("resume")["last"]
    done = {"admitted": "sid" in reply, "counts": peer.call("count", payload(last + 1, app))}
    print(json.dumps(done | {"last": last, "epoch": known["epoch"] + int(further)}), flush=True)
    while int(further) == 1 and peer.read() is not None:
        pass
"""


@pytest.mark.parametrize("further", [1, 2**30])
def test_who_claims_a_later_epoch_has_the_app_until_its_sender_is_back(
    host: Machine, app: App, further: int
) -> None:
    """That is at once, or when a person has accepted an epoch that no start explains. Even so, each
    count is printed once, in order, and the proof names the process that is no sender.
    """
    with app.counts_from("failover"):
        host.kill(app.main, "KILL")  # which knows of an epoch before its own
    said, pid = Said(host), host.pid(app.failover)
    user = "setpriv --reuid=nobody --regid=sendrecv --clear-groups -- env PYTHONPATH=/opt".split()
    done = json.loads(
        host.run([*user, "python3", "-c", CLAIM, SOCKET, app.name, str(further)]).stdout
    )
    assert done["admitted"]
    assert done["counts"] == {"status": "accepted", "last": done["last"] + 1}
    if further > 1:
        line = said.wait(f"the receiver's last epoch is {done['epoch']}, but this App is at ")
        command = line.partition("run: ")[2].partition(";")[0]
        assert command == f"sendrecv accept {app.name} --epoch {done['epoch']}"
        with app.counts_from():
            host.run(command)
    app.count(5)
    assert host.pid(app.failover) == pid
    verdict = app.verdict()
    assert [fault.kind for fault in verdict.faults] == [Kind.UNKNOWN], verdict
    assert "c" * 32 in verdict.faults[0].text
    proof = host.run(f"sendrecv proof {app.name}", check=False).stdout
    assert "run cccccccc of main was admitted, and PID 1 of" in proof, proof


# The sandbox


PROBE = """\
[Service]
Type=oneshot
ExecStart=
ExecStart=/usr/bin/python3 -c '{code}'
"""
CODE = """
import socket
def attempt(work):
    try:
        work()
        return "done"
    except OSError as error:
        return error.strerror
def bound(family, address):
    with socket.socket(family) as one:
        one.bind(address)
def connect(address):
    socket.create_connection(address, 5).close()
print("probed", [
    attempt(lambda: bound(socket.AF_INET, ("127.0.0.1", 0))),
    attempt(lambda: bound(socket.AF_INET6, ("::1", 0))),
    attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
    attempt(lambda: bound(socket.AF_UNIX, "/run/sendrecv-socket/mine")),
    attempt(lambda: connect(("127.0.0.1", 3000))),
    attempt(lambda: bound(socket.AF_UNIX, "/run/sendrecv/mine")),
])
"""
NO = "Address family not supported by protocol"
READ_ONLY = "Read-only file system"


def probed(machine: Machine) -> str:
    """What a process in a sender's place could do with sockets."""
    machine.write("/usr/local/lib/probe.py", CODE)
    code = 'exec(open("/usr/local/lib/probe.py").read())'
    machine.write("/run/systemd/system/sender@probe.service.d/probe.conf", PROBE.format(code=code))
    said = Said(machine)
    machine.run("systemctl daemon-reload; systemctl start sender@probe")
    line = said.wait("probed [")
    machine.run("systemctl stop sendrecv@probe.target; rm -f /run/sendrecv/mine")
    machine.run("rm -r /run/systemd/system/sender@probe.service.d; systemctl daemon-reload")
    return line


def test_a_sender_has_no_network_until_it_is_given_one(host: Machine) -> None:
    host.run("rm -f /etc/systemd/system/sender*@.service.d/network.conf; systemctl daemon-reload")
    refused = [*[NO] * 3, READ_ONLY, NO, "done"]
    assert probed(host) == f"probed {refused}"
    allow_tcp(host)
    allowed = ["done", "done", NO, READ_ONLY, "done"]
    assert probed(host) == f"probed {[*allowed, 'done']}"
