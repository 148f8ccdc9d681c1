"""`sendrecv status` as it is typed: its tables and its exit statuses, on real units."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import Machine
from tests.system.app import App

UNITS = ["INSTANCE", "MAIN", "FAILOVER", "STATUS"]
APPS = ["APPID", "NODEID", "EPOCH", "COUNT", "CONNECTED", "SINCE"]


@pytest.fixture(scope="module")
def shared(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests here, in which the App "one" has handed over to its failover."""
    with Machine(release, layer=installed_disk) as machine:
        assert status(machine) == (0, [UNITS], [APPS], "")
        app = App(machine, "one")
        app.start()
        with app.counts_from("failover"):
            machine.kill(app.main, "KILL")
        # The count may be in the journal before PID 1 has read the sender's status.
        machine.wait_until(
            lambda: machine.show(app.failover, "StatusText").startswith("connected"),
            "PID 1 knows that it is connected",
        )
        yield machine


def status(
    machine: Machine, arguments: str = "", before: str = ""
) -> tuple[int, list[list[str]], list[list[str]], str]:
    """Exit status, the words of each row of the two tables, and what is on standard error."""
    done = typed(machine, arguments, before)
    units, _, apps = done.stdout.partition("\n\n")
    first, second = ([row.split() for row in table.splitlines()] for table in (units, apps))
    return done.returncode, first, second, done.stderr


def typed(machine: Machine, arguments: str, before: str) -> subprocess.CompletedProcess[str]:
    return machine.run(f"{before} sendrecv status {arguments}", check=False)


def test_an_app_that_runs(shared: Machine) -> None:
    for arguments in ("", "one"):
        code, units, apps, errors = status(shared, arguments)
        assert (code, errors) == (0, "")
        assert units[0] == UNITS and units[1][:3] == ["one", "failed", "active"]
        assert [word.rstrip(",") for word in units[1][3:6]] == ["connected", "epoch", "2"]
        assert apps[0] == APPS and apps[1][:3] == ["one", "failover", "2"]
        assert int(apps[1][3]) > 0 and len(apps[1]) == len(APPS)
        assert len(units) == len(apps) == 2


def test_columns_are_below_their_headers(shared: Machine) -> None:
    lines = typed(shared, "", "").stdout.splitlines()
    assert lines[2] == ""
    for header, row, cell in ((0, 1, "active"), (3, 4, "failover")):
        column = {"active": "FAILOVER", "failover": "NODEID"}[cell]
        assert lines[row].index(cell) == lines[header].index(column)


def test_an_app_that_does_not_run_is_3(shared: Machine) -> None:
    assert status(shared, "other") == (3, [UNITS], [APPS], "")
    assert status(shared, "one other")[0] == 3
    app = App(shared, "two")
    app.start()
    shared.run("systemctl stop sendrecv-guard.timer sendrecv-guard.service sendrecv-mask.path")
    shared.run(f"systemctl mask --runtime {app.failover}")
    shared.kill(app.main, "KILL")
    shared.wait_until(lambda: app.state(app.main) == "failed", "main has failed")
    code, units, apps, errors = status(shared)
    assert (code, errors) == (3, "")
    assert ["two", "failed", "masked"] in units
    assert [row[:3] for row in apps[1:]] == [["one", "failover", "2"], ["two", "main", "1"]]
    assert status(shared, "one")[0] == 0
    shared.run(f"systemctl mask --runtime {app.main}; systemctl reset-failed '{app.main}'")
    code, units, _, errors = status(shared)
    assert (code, errors) == (3, "") and ["two", "masked", "masked"] in units
    app.stop()
    shared.run(f"systemctl unmask --runtime {app.failover} {app.main}")
    assert status(shared)[0] == 0  # two is not meant to run, and no longer known to systemd
    assert status(shared, "two")[0] == 3


def test_who_is_not_in_the_group_adm_sees_units_alone_which_is_77(shared: Machine) -> None:
    """Nor is a sender: it needs no list of Apps."""
    for user in ("nobody", "sendrecv"):
        code, units, apps, errors = status(shared, before=f"runuser -u {user} --")
        assert (code, units[1][0], apps) == (77, "one", [])
        assert errors == (
            "sendrecv: /run/sendrecv-socket/status.sock: you may not ask: counts are shown to root"
            " and to members of the group adm\n"
        )


def test_a_member_of_adm_sees_what_root_sees_and_can_do_no_more(shared: Machine) -> None:
    as_member = "setpriv --reuid=nobody --regid=nogroup --groups=adm --"
    code, units, apps, errors = status(shared, before=as_member)
    assert (code, units[1][:3], errors) == (0, ["one", "failed", "active"], "")
    assert apps[1][:3] == ["one", "failover", "2"]
    for path, said in (("receiver.sock", "Permission denied"), ("status.sock", "HTTP/1.1 403")):
        done = shared.run([*as_member.split(), "python3", "-c", UPGRADE, path], check=False)
        assert said in done.stdout + done.stderr, done


UPGRADE = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(f"/run/sendrecv-socket/{sys.argv[1]}")
connection.sendall(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
print(connection.recv(4096))
"""


def test_no_receiver_is_69(shared: Machine) -> None:
    code, units, apps, errors = status(shared, "--url http://127.0.0.1:1")
    assert (code, units[1][0], apps) == (69, "one", [])
    assert errors.startswith("sendrecv: receiver at 'http://127.0.0.1:1': no answer")
    shared.run("systemctl stop receiver.socket receiver.service")
    try:
        code, units, apps, errors = status(shared)
        assert (code, units[1][0], apps) == (69, "one", [])
        path = "/run/sendrecv-socket/status.sock"
        problem = f"nothing listens on {path}: see systemctl status receiver.socket"
        assert errors == f"sendrecv: {problem}\n"
    finally:
        shared.run("systemctl start receiver.socket")
    with App(shared, "one").counts_from("failover"):
        pass
    assert status(shared)[0] == 0
