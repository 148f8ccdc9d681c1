"""`sendrecv status` as it is typed: what it says of real units, and its exit statuses.

admin/bus.py asks PID 1 about them.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab.machine import Machine, end
from tests.system.app import App

GUARD = "sendrecv-guard.timer sendrecv-guard.service sendrecv-mask.path"
AS_MEMBER = "setpriv --reuid=nobody --regid=nogroup --groups=adm --"
PATH = "/run/sendrecv-socket/status.sock"


@pytest.fixture(scope="module")
def shared(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests here, in which the App "one" has handed over to its failover."""
    with Machine(release, layer=installed_disk) as machine:
        done = typed(machine)
        assert done.returncode == 0 and "No App yet" in done.stdout and not done.stderr
        app = App(machine, "one")
        app.start()
        with app.counts_from("failover"):
            machine.kill(app.main, "KILL")
        yield machine


def typed(
    machine: Machine, arguments: str = "", before: str = ""
) -> subprocess.CompletedProcess[str]:
    return machine.run(f"{before} sendrecv status {arguments}", check=False)


def asked(machine: Machine, arguments: str = "", before: str = "") -> dict[str, Any]:
    """What --json says, which is what the exit status and the table say."""
    done = typed(machine, f"--json {arguments}", before)
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["exitStatus"] == done.returncode
    return said


def app_of(machine: Machine, name: str, before: str = "") -> dict[str, Any]:
    (app,) = asked(machine, name, before)["apps"]
    return dict(app)


def problems(said: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(it["instance"], it["code"], it["severity"]) for it in said["problems"]]


def settled(machine: Machine, name: str, state: str, before: str = "") -> dict[str, Any]:
    """Waits until the App is in that state."""

    def look() -> dict[str, Any]:
        app = app_of(machine, name, before)
        return app if app["state"] == state else {}

    return machine.wait_until(look, f"{name}: {state}")


def test_an_app_that_runs(shared: Machine) -> None:
    one = settled(shared, "one", "counting")
    began = float(shared.show("sender-failover@one", "ActiveEnterTimestampMonotonic")) / 1e6
    assert abs(one["since"] - _wall(shared, began)) < 60
    expected = {"half": "failover", "nodeID": "failover", "epoch": 2, "shouldRun": True}
    assert expected.items() <= one.items()
    assert one["halves"]["main"]["state"] == "failed" and one["halves"]["main"]["result"]
    assert one["halves"]["failover"]["run"] == shared.show("sender-failover@one", "InvocationID")
    # The receiver's restart is no news of the App.
    shared.kill("receiver", "KILL")

    def connected_again() -> dict[str, Any]:
        app = app_of(shared, "one")
        return app if (app["connectedSince"] or 0) > one["connectedSince"] else {}

    again = shared.wait_until(connected_again, "one is connected again")
    assert again["since"] == one["since"]
    settled(shared, "one", "counting")
    said = asked(shared)
    assert said["receiver"]["since"] > one["since"] and said["receiver"]["connections"] == 1
    assert said["problems"] == [] and said["exitStatus"] == 0


def _wall(machine: Machine, monotonic: float) -> float:
    clocks = "import time; print(time.time() - time.monotonic())"
    return float(machine.run(["python3", "-c", clocks]).stdout) + monotonic


def test_what_is_followed_goes_on(shared: Machine) -> None:
    """A line for each count, and at once for a takeover, of which the journal tells later."""
    app = App(shared, "two")
    app.start()
    settled(shared, "two", "counting")
    with shared.popen(["sendrecv", "status", "--json", "--follow", "two"]) as process:
        assert process.stdout
        lines = (json.loads(line)["apps"][0] for line in process.stdout)
        first = next(lines)
        assert next(one for one in lines if one["count"] > first["count"])["half"] == "main"
        assert first["takeover"] is None
        shared.kill(app.main, "KILL")
        assert next(one for one in lines if one["half"] == "failover")["epoch"] == 2
        assert next(one for one in lines if one["takeover"])["takeover"]["code"] == "signal"
        end(process)
    app.stop()
    shared.run("sendrecv forget --yes two")


def test_the_table_says_what_json_says(shared: Machine) -> None:
    one = settled(shared, "one", "counting")
    for arguments in (
        "",
        "one",
        "sender@one",
        "sender-failover@one.service",
        "sendrecv@one.target",
    ):
        done = typed(shared, arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert max(map(len, done.stdout.splitlines())) <= 80 and "\x1b" not in done.stdout
        header, row = done.stdout.split("\n\n")[1].splitlines()
        assert row.split()[:3] == ["one", "counting", "failover"]
        assert int(row.split()[4]) >= one["count"] and row.split()[-2:] == ["2", "no"]
        for cell, column in (("counting", "STATE"), ("failover", "BY")):
            assert row.index(cell) == header.index(column)
    narrow = typed(shared, before="COLUMNS=30").stdout.split("\n\n")[1]
    assert max(map(len, narrow.splitlines())) <= 30 and "counting" in narrow
    for environ, is_coloured in (("TERM=xterm", True), ("TERM=xterm NO_COLOR=1", False)):
        shown = shared.run(f"{environ} script -qec 'sendrecv status' /dev/null").stdout
        assert "counting" in shown and ("\x1b[" in shown) == is_coloured


def test_a_name_that_no_app_has_is_4(shared: Machine) -> None:
    for name, words in (("other", "other"), ("One", "One; there is one"), ("one.", "one.; there")):
        done = typed(shared, name)
        assert done.returncode == 4
        assert done.stderr.startswith(f"sendrecv: no App is called {words}")
    said = asked(shared, "one other")
    assert (said["exitStatus"], said["unknown"]) == (4, ["other"])


def test_an_app_that_does_not_run(shared: Machine) -> None:
    """It is stopped, or it should run."""
    app = App(shared, "One")
    app.start()
    app.stop()
    assert app_of(shared, "One")["state"] == "stopped" and typed(shared, "One").returncode == 3
    said = asked(shared)
    assert said["exitStatus"] == 0 and problems(said) == [("One", "name", "warning")]
    app.start()
    shared.run(f"systemctl stop {GUARD}")
    shared.run(f"systemctl mask --runtime {app.failover}")
    settled(shared, "One", "counting")
    assert problems(asked(shared, "One")) == [("One", "masked", "warning")]
    shared.kill(app.main, "KILL")
    settled(shared, "One", "should run")
    said = asked(shared)
    assert (said["exitStatus"], problems(said)) == (3, [("One", "should-run", "error")])
    assert "main was killed, failover is masked" in said["problems"][0]["text"]
    assert typed(shared, "one").returncode == 0
    shared.run(f"systemctl mask --runtime {app.main}; systemctl reset-failed '{app.main}'")
    done = typed(shared)
    assert done.returncode == 3 and "! App One should run and does not: both halves" in done.stdout
    # What it says to type helps, as far as it goes.
    for command in asked(shared, "One")["problems"][0]["commands"]:
        shared.run(command.replace("unmask", "unmask --runtime"))
    settled(shared, "One", "counting")
    app.stop()
    shared.run("sendrecv forget --yes One")


def test_who_is_not_in_the_group_adm_sees_units_alone_which_is_77(shared: Machine) -> None:
    """Nor is a sender: it needs no list of Apps."""
    for user in ("nobody", "sendrecv"):
        before = f"runuser -u {user} --"

        def look(user: str = user, before: str = before) -> dict[str, Any]:
            """What the sender says of itself reaches systemd a moment later. It tells everybody of
            its count for as long as one is not acknowledged in time. The records are its own.
            """
            app = app_of(shared, "one", before)
            shown = app["count"] is not None
            return app if app["state"] == "counting" and shown == (user == "sendrecv") else {}

        one = shared.wait_until(look, f"one, as {user} may see it")
        assert one["half"] == "failover" and one["epoch"] == 2 and one["since"]
        done = typed(shared, before=before)
        assert done.returncode == 77
        refused = (
            f"sendrecv: {PATH}: you may not ask: counts are shown to root and to members of the"
            " group adm\n"
        )
        assert done.stderr == refused
        done = typed(shared, "other", before)
        unknown = "sendrecv: no App is called other, as far as this user may see\n"
        assert (done.returncode, done.stderr) == (77, unknown + refused)


def test_a_member_of_adm_sees_counts_and_can_do_no_more(shared: Machine) -> None:
    one = app_of(shared, "one", AS_MEMBER)
    assert one["state"] == "counting" and one["count"] > 0 and one["beat"]
    assert not asked(shared, before=AS_MEMBER)["seesRecords"] and asked(shared)["seesRecords"]
    for path, said in (("receiver.sock", "Permission denied"), ("status.sock", "HTTP/1.1 403")):
        done = shared.run([*AS_MEMBER.split(), "python3", "-c", UPGRADE, path], check=False)
        assert said in done.stdout + done.stderr, done


UPGRADE = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(f"/run/sendrecv-socket/{sys.argv[1]}")
connection.sendall(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
print(connection.recv(4096))
"""


def test_what_is_not_delivered_is_150(shared: Machine) -> None:
    """Its receiver is another one, which is not there; this machine's is well."""
    app = App(shared, "far", "SENDRECV_INTERVAL=0.1\nSENDRECV_URL=unix:///run/nobody.sock")
    with App(shared, "one").counts_from("failover"):
        app.systemctl("start", app.main)
    settled(shared, "far", "not delivered")
    said = asked(shared)
    assert (said["exitStatus"], problems(said)) == (150, [("far", "not-delivered", "error")])
    assert typed(shared, "one").returncode == 0
    assert asked(shared, "far")["problems"][0]["commands"][0] == "journalctl -n 20 -u sender@far"
    line = "no receiver at unix:///run/nobody.sock (nothing listens there: no such file); "
    log = shared.run("journalctl -o cat -u sender@far").stdout
    assert line in log and "ignoring" not in log
    app.stop()
    shared.run("rm /etc/sendrecv/far.env; sendrecv forget --yes far")


def test_a_token_that_is_missing(shared: Machine) -> None:
    """It names the file, and how to make one."""
    app = App(shared, "tcp", "SENDRECV_URL=http://127.0.0.1:3000")
    for half in (app.main, app.failover):
        shared.run(f"mkdir -p /etc/systemd/system/{half}.d")
        shared.run(f"ln -s /usr/lib/sendrecv/network.conf /etc/systemd/system/{half}.d/")
    shared.run("mv /etc/sendrecv/token /root/; systemctl daemon-reload")
    after = shared.cursor()
    assert app.systemctl("start", app.main, check=False) != 0
    said = asked(shared)
    assert said["exitStatus"] == 3
    assert problems(said) == [(None, "token", "error"), ("tcp", "should-run", "error")]
    entry = shared.wait_entry(
        lambda entry: "App tcp cannot start: " in str(entry["MESSAGE"]), "PRIORITY=3", after=after
    )
    (command,) = said["problems"][0]["commands"]
    assert str(entry["MESSAGE"]).endswith(
        f"/etc/sendrecv/token is missing, make one with: {command}"
    )
    shared.run("systemctl enable --now receiver-tcp.socket")
    with app.counts_from("main"):
        shared.run(command)
    assert typed(shared, "tcp").returncode == 0
    app.stop()
    shared.run("systemctl disable --now receiver-tcp.socket")


def test_the_target_can_be_enabled(shared: Machine) -> None:
    """With main, which is what starts at boot; and disabled again, by the same name."""
    assert not app_of(shared, "one")["atBoot"]
    enabled = shared.run("systemctl enable sendrecv@one.target 2>&1").stdout
    assert "not meant" not in enabled and enabled.count("\n") == 2, enabled
    for unit in ("sendrecv@one.target", "sender@one.service"):
        assert shared.run(f"systemctl is-enabled {unit}").stdout == "enabled\n"
    assert app_of(shared, "one")["atBoot"]
    shared.run("systemctl disable sendrecv@one.target")
    assert shared.run("find /etc/systemd/system -name '*@one*'").stdout == ""
    assert not app_of(shared, "one")["atBoot"]


def test_no_receiver_is_69(shared: Machine) -> None:
    done = typed(shared, "--url http://127.0.0.1:1")
    assert done.returncode == 69
    assert done.stderr.startswith("sendrecv: receiver at 'http://127.0.0.1:1': no answer")
    shared.run("systemctl stop receiver.socket receiver.service")
    try:
        settled(shared, "one", "not delivered")
        done = typed(shared)
        problem = f"nothing listens on {PATH}: see systemctl status receiver.socket"
        assert (done.returncode, done.stderr) == (69, f"sendrecv: {problem}\n")
        assert "! receiver.socket is not active" in done.stdout
    finally:
        shared.run("systemctl start receiver.socket")
    with App(shared, "one").counts_from("failover"):
        pass
    settled(shared, "one", "counting")
    assert typed(shared).returncode == 0
