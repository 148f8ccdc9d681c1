"""Whatever a person or a disk gets wrong: one clear line, and no count lost or repeated.

What peers get wrong is in test_bad_peers.py; a record damaged at each of its bytes, in the unit
tests.
"""

import contextlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import HANG, Machine
from tests.system.app import App
from tests.system.trouble import FAST, Said, allow_tcp, app_on, assert_sound, assert_unbroken

TOKEN = "/etc/sendrecv/token"
MISSING = "/etc/sendrecv/token: missing, empty, or not printable lines: make one with: "
BY_TCP = f"{FAST}\nSENDRECV_URL=http://127.0.0.1:3000"
RECEIVER = "receiver.service"
LEDGER = "/var/lib/sendrecv-receiver/ledger.db"


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests, whose journal is looked at once more in the end."""
    with Machine(release, layer=installed_disk) as machine:
        yield machine
        assert_unbroken(machine)


@pytest.fixture(autouse=True)
def fixed(host: Machine) -> Iterator[None]:
    """A test that fails leaves nothing to the next one but its journal."""
    host.run(["cp", "-p", TOKEN, "/root/token"])
    yield
    host.run(["sh", "-c", f"rm -f /etc/sendrecv/receiver.env; test -f {TOKEN} || rm -rf {TOKEN}"])
    host.run(["cp", "-p", "/root/token", TOKEN])


@contextlib.contextmanager
def receiver_stopped(machine: Machine) -> Iterator[None]:
    """For what is done to its files."""
    machine.run(["systemctl", "stop", "receiver.socket", RECEIVER])
    try:
        yield
    finally:
        machine.run(["systemctl", "reset-failed", "receiver.socket"])  # or its starts are counted
        machine.run(["systemctl", "start", "receiver.socket"])


@contextlib.contextmanager
def tcp_app_on(machine: Machine) -> Iterator[App]:
    """As app_on(), by TCP and with the token."""
    with app_on(machine, BY_TCP, start=False) as app:
        allow_tcp(machine, app.name)
        app.start()
        yield app
    machine.run("systemctl stop receiver-tcp.socket")


def record_of(app: App) -> str:
    """The App's file."""
    return f"/var/lib/sendrecv/{app.name}.record"


# Settings


def test_two_instances_of_one_app_id(host: Machine) -> None:
    """The second is told, and ends; it does not hold up a boot for ever."""
    with app_on(host) as app, app_on(host, f"SENDRECV_APP_ID={app.name}", start=False) as second:
        said = Said(host)
        assert second.systemctl("start", second.main, check=False) == 1
        said.wait(f"another process holds the lock of App {app.name}: perhaps another")
        said.assert_exit(second.main, "71/OSERR")
        assert_sound(app)


WRONG_SETTINGS = {
    "SENDRECV_INTERVAL=abc": "='abc': must be a number from 0 to 86400",
    "SENDRECV_INTERVAL=": "='': must be a number from 0 to 86400",
    "SENDRECV_INTERVAL=-1": "='-1': must be a number from 0 to 86400",
    "SENDRECV_INTERVAL=nan": "='nan': must be a number from 0 to 86400",
    "SENDRECV_COLOUR=red": "'SENDRECV_COLOUR' is no setting: there are SENDRECV_APP_ID, ",
    "SENDRECV_APP_ID=": "SENDRECV_APP_ID='': must be 1 to 64 characters of A-Z a-z 0-9",
    "SENDRECV_APP_ID=a b": "SENDRECV_APP_ID='a b': must be 1 to 64 characters",
    "SENDRECV_APP_ID=../a": "SENDRECV_APP_ID='../a': must be 1 to 64 characters",
    "SENDRECV_MAIN_NODE_ID=a/b": "SENDRECV_MAIN_NODE_ID='a/b': must be 1 to 64 characters",
    "SENDRECV_FAILOVER_NODE_ID=main": "and SENDRECV_FAILOVER_NODE_ID are both main: must be",
    "SENDRECV_URL=localhost": "SENDRECV_URL='localhost': must be an address like https://",
    "SENDRECV_URL=http://a:70000": "='http://a:70000': must be an address like https://",
    "SENDRECV_URL=http://a:3000": "='http://a:3000': must be https:// for another host",
    "SENDRECV_URL=http://a:b:c": "='http://a:b:c': must be an address like https://",
}


@pytest.mark.parametrize("setting", WRONG_SETTINGS)
def test_a_wrong_setting_ends_the_command(host: Machine, setting: str) -> None:
    command = ["env", setting, "STATE_DIRECTORY=/tmp", "sendrecv", "send", "x", "main"]
    done = host.run(command, check=False)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("sendrecv: the environment: ")
    assert WRONG_SETTINGS[setting] in done.stderr and done.stderr.count("\n") == 1


def test_a_wrong_setting_is_fixed(host: Machine) -> None:
    said = Said(host)
    with app_on(host, "SENDRECV_INTERVAL=often", start=False) as app:
        assert app.systemctl("start", app.main, check=False) != 0
        where = f"/etc/sendrecv/{app.name}.env, line 1"
        said.wait(f"{where}: SENDRECV_INTERVAL='often': must be a number")
        said.assert_exit(app.main, "78/CONFIG")
        with app.counts_from():
            host.write(f"/etc/sendrecv/{app.name}.env", f"{FAST}\n")
        said.assert_one_line("SENDRECV_INTERVAL='often'")
        assert_sound(app)


@pytest.mark.parametrize("value", ["none", "0", "16001"])
def test_a_wrong_setting_of_the_receiver(host: Machine, value: str) -> None:
    setting = f"SENDRECV_MAX_CONNECTIONS={value}"
    done = host.run(["env", setting, "sendrecv", "receive"], check=False)
    assert done.returncode == 78
    complaint = f"SENDRECV_MAX_CONNECTIONS='{value}': must be a whole number from 1 to 16000"
    assert done.stderr == f"sendrecv: the environment: {complaint}\n"


def test_a_wrong_setting_of_the_receiver_is_fixed(host: Machine) -> None:
    said = Said(host)
    with app_on(host) as app:
        host.write("/etc/sendrecv/receiver.env", "SENDRECV_COLOUR=red\n")
        app.systemctl("restart", RECEIVER, check=False)
        said.wait("/etc/sendrecv/receiver.env, line 1: 'SENDRECV_COLOUR' is no setting")
        said.assert_exit(RECEIVER, "78/CONFIG")
        # Though a unit is masked there: that is a link to /dev/null, new in each sandbox.
        assert host.run("readlink /etc/systemd/system/fstrim.timer").stdout == "/dev/null\n"
        host.wait_until(
            lambda: host.show(RECEIVER, "StatusText").startswith("too many starts"), "it waits"
        )
        # Ten starts come at once, and the next ones wait longer and longer.
        assert int(host.show(RECEIVER, "NRestarts")) <= 15, "the streak has ended in between"
        with app.counts_from():
            host.run("rm /etc/sendrecv/receiver.env")
        assert_sound(app)


# The token


ASSERT = "Starting requested but asserts failed."
NO_TOKEN = {
    "gone": ("rm $1", ASSERT),
    "a directory": ("rm $1; mkdir $1", ASSERT),
    "empty": (": > $1", MISSING),
    "garbage": (r"printf '\377\n' > $1", MISSING),
}


@pytest.mark.parametrize("name", NO_TOKEN)
def test_a_token_that_cannot_be_read(host: Machine, name: str) -> None:
    """A sender that shows it says so, once it is started. One on the Unix socket does not care."""
    script, complaint = NO_TOKEN[name]
    said = Said(host)
    with app_on(host) as app, tcp_app_on(host) as tcp_app:
        host.run(["sh", "-ec", script, "sh", TOKEN])
        # Those who run have read it before, and go on; only a new start must do without.
        with app.counts_from("main"):
            host.run(["systemctl", "restart", RECEIVER, app.main])
        said.wait(MISSING)  # the receiver
        tcp_app.systemctl("restart", tcp_app.main, check=False)
        said.wait(complaint, tcp_app.main)
        with app_on(host) as another:
            assert_sound(another)
        with tcp_app.counts_from():
            host.run(["sh", "-c", f"rm -rf {TOKEN}; cp -p /root/token {TOKEN}"])
        assert not said.lines("Traceback")
        for one in (app, tcp_app):
            assert_sound(one)


def test_a_sender_that_was_not_given_the_network(host: Machine) -> None:
    """It has no token either, and says what is needed."""
    said = Said(host)
    with app_on(host, BY_TCP, start=False) as app:
        app.systemctl("start", app.main)
        said.wait(
            "the token was not handed over: start the unit; a sender's unit needs the drop-in"
        )
        said.assert_one_line("the token was not handed over")


# The record


def damage(machine: Machine, app: App, script: str) -> None:
    """Runs a script on the App's record ($1), with the App stopped."""
    app.stop()
    machine.run(["sh", "-ec", script, "sh", record_of(app)])


@pytest.mark.parametrize("at", [0, 2, 70, 300, 4096, 4150])
def test_a_byte_of_the_record_is_damaged(host: Machine, at: int) -> None:
    with app_on(host) as app:
        said = Said(host)
        damage(host, app, rf"printf '\377' | dd of=$1 bs=1 seek={at} conv=notrunc")
        with app.counts_from("main"):
            app.systemctl("start", app.main)
        said.wait(f"{app.name}.record: damaged")
        said.assert_one_line(f"{app.name}.record: damaged")
        assert_sound(app)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("head -c 8192 /dev/urandom > $1", "going on from the receiver's last count"),
        ("truncate -s 100 $1", "going on from the receiver's last count"),
        (": > $1", ""),
        ("rm $1", ""),
    ],
)
def test_nothing_is_left_of_the_record(host: Machine, script: str, complaint: str) -> None:
    with app_on(host) as app:
        said = Said(host)
        damage(host, app, script)
        with app.counts_from("main"):
            app.systemctl("start", app.main)
        if complaint:
            said.assert_one_line(f"{app.name}.record: damaged")
            assert complaint in said.wait(f"{app.name}.record: damaged")
        assert_sound(app)


def test_a_record_from_the_future(host: Machine) -> None:
    body = json.dumps({"format": 2, "serial": 999_999_999})
    slot = f"{body} crc32={zlib.crc32(body.encode()):08x}"
    with app_on(host) as app:
        said = Said(host)
        put = f"printf '%-511s\\n' '{slot}' | dd of=$1 conv=notrunc"
        damage(host, app, f"cp -p $1 /root/kept; {put}")
        assert app.systemctl("start", app.main, check=False) != 0
        said.wait(f"{app.name}.record: record has format 2, this version knows up to 1: install")
        said.assert_exit(app.main, "65/DATAERR")
        with app.counts_from():
            host.run(["cp", "-p", "/root/kept", record_of(app)])
        said.assert_one_line("record has format 2")
        assert_sound(app)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("rm $1", "No such file or directory while locked"),
        ("cp -p $1 $1.new; mv $1.new $1", "replaced by another file while locked"),
    ],
)
def test_a_record_removed_or_replaced_while_in_use(
    host: Machine, script: str, complaint: str
) -> None:
    with app_on(host) as app:
        said = Said(host)
        with app.counts_from("failover"):
            host.run(["sh", "-ec", script, "sh", record_of(app)])
        said.assert_one_line(f"{app.name}.record: {complaint}")
        said.assert_exit(app.main, "75/TEMPFAIL")
        assert_sound(app)


# Directories and disks


@pytest.mark.parametrize(
    ("script", "undo", "complaint"),
    [
        (
            "mount --bind $1 $1; mount -o remount,bind,ro $1",
            "umount $1",
            "Read-only file system",
        ),
        ("mkdir -p $1/$2.record", "rmdir $1/$2.record", "Is a directory"),
        ("ln -s /etc/passwd $1/$2.record", "rm $1/$2.record", "Too many levels of symbolic links"),
    ],
)
def test_a_state_directory_that_cannot_be_written(
    host: Machine, script: str, undo: str, complaint: str
) -> None:
    with app_on(host, start=False) as app:
        said = Said(host)
        words = ["sh", "/var/lib/sendrecv", app.name]
        host.run(["sh", "-ec", script, *words])
        assert app.systemctl("start", app.main, check=False) != 0
        said.wait(f"{record_of(app)}: {complaint}")
        said.assert_exit(app.main, "73/CANTCREAT")
        with app.counts_from():
            host.run(["sh", "-ec", undo, *words])
        said.assert_one_line(f"{record_of(app)}: {complaint}")
        assert_sound(app)


@contextlib.contextmanager
def small_disk(machine: Machine, user: str) -> Iterator[str]:
    """A disk of 1 MB under the user's directory; the name of a file that fills it."""
    directory = f"/var/lib/{user}"
    with receiver_stopped(machine):
        machine.tmpfs(directory, "1m", "0700", user)
    try:
        yield f"{directory}/fill"
    finally:
        with receiver_stopped(machine):
            machine.run(["umount", "--lazy", directory])


def fill(machine: Machine, file: str) -> None:
    """Leaves no room on the disk."""
    machine.run(["sh", "-c", 'cat /dev/zero > "$1"', "sh", file], check=False)


def test_no_room_for_a_first_record(host: Machine) -> None:
    with small_disk(host, "sendrecv") as file, app_on(host, start=False) as app:
        said = Said(host)
        fill(host, file)
        app.systemctl("start", "--no-block", app.main)
        said.wait("record: No space left on device, waiting until it can be written")
        with app.counts_from("main"):
            host.run(["rm", file])
        said.assert_one_line("record: No space left on device")
        assert_sound(app)


def test_no_room_for_more_does_not_stop_an_app_that_has_its_record(host: Machine) -> None:
    with small_disk(host, "sendrecv") as file, app_on(host) as app:
        with app.counts_from("main"):
            fill(host, file)
        with app.counts_from("failover"):
            host.kill(app.main, "KILL")
        assert_sound(app)


def test_no_room_for_the_ledger(host: Machine) -> None:
    with small_disk(host, "sendrecv-receiver") as file, app_on(host) as app:
        said = Said(host)
        fill(host, file)
        said.wait("ledger: database or disk is full, accepting no counts until it can be written")
        said.wait("the receiver cannot store counts now; counting on, ")
        with app.counts_from("main"):
            host.run(["rm", file])
        said.wait("ledger: written again")
        said.assert_one_line("accepting no counts until it can be written")
        assert app.active() == ["main"]
        assert_sound(app)


def test_no_room_when_the_receiver_starts(host: Machine) -> None:
    with small_disk(host, "sendrecv-receiver") as file, app_on(host) as app:
        said = Said(host)
        fill(host, file)
        app.systemctl("restart", "--no-block", RECEIVER)
        said.wait("ledger: database or disk is full, accepting no counts until it can be written")
        with app.counts_from("main"):
            host.run(["rm", file])
        assert app.active() == ["main"]
        assert_sound(app)


# The ledger


def test_a_ledger_removed_while_in_use(host: Machine) -> None:
    with app_on(host) as app:
        said = Said(host)
        host.run(["rm", LEDGER])
        said.wait(f"{LEDGER}: No such file or directory while in use")
        said.assert_exit(RECEIVER, "74/IOERR")
        with app.counts_from("main"):
            pass
        assert_sound(app)


@pytest.mark.parametrize(
    "noise", ["head -c 65536 /dev/urandom > $1", "yes | head -c 9999 > $1", "rm $1*"]
)
def test_a_ledger_damaged_while_nobody_looks(host: Machine, noise: str) -> None:
    with app_on(host) as app:
        said = Said(host)
        with receiver_stopped(host):
            host.run(["sh", "-ec", noise, "sh", LEDGER])
        with app.counts_from("main"):
            pass
        if not noise.startswith("rm"):
            said.assert_one_line(f"{LEDGER}: damaged")
        assert_sound(app)


def test_a_ledger_damaged_while_in_use(host: Machine) -> None:
    """The write-ahead log may mend it, or not; no count is lost or repeated, in either case."""
    with app_on(host) as app:
        host.run(f"dd if=/dev/urandom of={LEDGER} bs=4096 count=3 conv=notrunc")
        app.systemctl("restart", "--no-block", RECEIVER)
        with app.counts_from("main"):
            pass
        assert_sound(app)


def test_a_locked_ledger(host: Machine) -> None:
    with app_on(host) as app:
        said = Said(host)
        until = ".shell until test -e /run/unlock; do sleep 0.1; done"
        script = f"PRAGMA busy_timeout=60000;\nBEGIN IMMEDIATE;\n{until}\nROLLBACK;\n"
        host.write("/root/lock.sql", script)
        with host.popen(f"exec sqlite3 {LEDGER} < /root/lock.sql") as lock:
            said.wait("ledger: database is locked, accepting no counts until it can be written")
            host.run("touch /run/unlock")
            said.wait("ledger: written again")
            assert lock.wait(HANG) == 0
        said.assert_one_line("ledger: database is locked")
        with app.counts_from("main"):
            pass
        assert_sound(app)


def test_a_ledger_from_the_future(host: Machine) -> None:
    with app_on(host) as app:
        said = Said(host)
        with receiver_stopped(host):
            known = host.run(["sqlite3", LEDGER, "PRAGMA user_version"]).stdout.strip()
            host.run(["sqlite3", LEDGER, "PRAGMA user_version = 9"])
        try:
            said.wait(f"{LEDGER}: ledger has format 9, this version knows up to ")
            said.assert_exit(RECEIVER, "65/DATAERR")
        finally:  # or all later tests would wait in vain
            with app.counts_from("main"), receiver_stopped(host):
                host.run(["sqlite3", LEDGER, f"PRAGMA user_version = {known}"])
        said.assert_one_line("ledger has format 9")
        assert_sound(app)


# The port


def test_a_port_that_is_taken(host: Machine) -> None:
    """The port alone cannot be had. The next start of the receiver tries again."""
    with app_on(host) as app:
        said = Said(host)
        with host.popen(["python3", "-m", "http.server", "--bind", "127.0.0.1", "3000"]) as other:
            host.wait_until(lambda: ":3000" in host.run("ss -ltn").stdout, "port taken")
            with app.counts_from("main"):
                enable = ("enable", "--now", "receiver-tcp.socket")
                assert app.systemctl(*enable, check=False) != 0
            said.wait("Address already in use")
            with app.counts_from("main"):
                app.systemctl("restart", RECEIVER)
            other.kill()
        with app.counts_from("main"):
            app.systemctl("restart", RECEIVER)
        assert app.state("receiver-tcp.socket") == "active"
        host.run("systemctl disable --now receiver-tcp.socket")
        host.wait_until(lambda: ":3000" not in host.run("ss -ltn").stdout, "port free")
        with app.counts_from("main"):
            pass
        assert app.active() == ["main"]
        assert_sound(app)
