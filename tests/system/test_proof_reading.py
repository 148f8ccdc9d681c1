"""`sendrecv proof` reads the whole journal while it is rotated, vacuumed, flooded, or says so."""

import contextlib
import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab.machine import Machine, end
from tests.system.app import App
from tests.system.proving import (
    after_restart,
    assert_proven,
    counting,
    drop_in,
    findings,
    proof,
    unproven,
    without_audits,
)

ROTATE = """
import os, sys, time
while True:
    os.kill(int(sys.argv[1]), 12)
    time.sleep(0.02)
"""
DAMAGE = """
import sys
with open(sys.argv[1], "r+b") as file:
    place = file.read().index(b'"count": 200, ')
    file.seek(place - 2000)
    file.write(bytes(16000))
"""
FLOOD = """
import socket
stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"flood\\n\\n6\\n0\\n0\\n0\\n0\\n")
while True:
    stream.sendall(b"y\\n" * 8000)
"""


@pytest.fixture(name="app")
def counting_app(machine: Machine) -> App:
    return without_audits(counting(machine))


def now(machine: Machine) -> str:
    return machine.run("date +@%s.%N").stdout.strip()


def vacuum(machine: Machine) -> None:
    machine.run("journalctl --rotate --vacuum-files=1")


# From the beginning


def test_what_was_vacuumed_of_a_time_or_a_boot_is_missed(app: App) -> None:
    machine = app.machine
    since = now(machine)
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    for part in (["--since", since], ["--boot"]):
        assert_proven(proof(machine, *part))
    vacuum(machine)
    with app.counts_from("main"):
        machine.kill(app.failover, "KILL")
    later = now(machine)
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    with app.counts_from("main"):
        machine.kill(app.failover, "KILL")
    for part in (["--since", since], ["--boot"]):
        assert unproven(proof(machine, *part))["the journal is whole"] == "INCONCLUSIVE"
        text = machine.run(["sendrecv", "proof", *part], check=False).stdout
        assert "the journal begins at " in text and "nothing is known to be missing" not in text
    assert_proven(proof(machine, "--since", later))


def test_a_boot_is_whole_where_the_journal_begins_with_it(machine: Machine) -> None:
    """The App is older than the journal, which is kept in memory."""
    machine.write("/etc/systemd/journald.conf.d/v.conf", "[Journal]\nStorage=volatile\n")
    machine.run("rm -r /var/log/journal")
    machine.reboot()
    app = counting(machine)
    app.systemctl("enable", app.main)
    machine.reboot()
    after_restart(app)
    assert "the journal is whole" not in unproven(proof(machine, "--boot"))
    vacuum(machine)
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    assert unproven(proof(machine, "--boot"))["the journal is whole"] == "INCONCLUSIVE"


def test_a_boot_after_a_power_cut_is_whole(app: App) -> None:
    machine = app.machine
    app.systemctl("enable", app.main)
    machine.power_cut()
    machine.boot()
    after_restart(app)
    assert_proven(proof(machine, "--boot"))


# Completely


@contextlib.contextmanager
def rotated(machine: Machine, most_files: int) -> Iterator[None]:
    """The journal is rotated every 20 ms; so many files are kept."""
    conf = f"[Journal]\nSystemMaxFiles={most_files}\n"
    machine.write("/etc/systemd/journald.conf.d/files.conf", conf)
    machine.run("systemctl restart systemd-journald")
    pid = machine.show("systemd-journald.service", "MainPID")
    with machine.popen(["python3", "-c", ROTATE, pid], stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            end(process)


def test_a_journal_that_is_rotated_while_it_is_read_is_read_completely(app: App) -> None:
    machine = app.machine
    machine.run("usermod -aG systemd-journal nobody")
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    with rotated(machine, 5000):
        machine.run("sleep 1")
        for _ in range(12):
            assert_proven(proof(machine, as_user="nobody"))
        assert_proven(proof(machine))


def test_a_journal_whose_files_vanish_while_it_is_read_is_no_violation(app: App) -> None:
    machine = app.machine
    machine.run("usermod -aG systemd-journal nobody")
    with rotated(machine, 10):
        machine.run("sleep 1")
        for _ in range(6):
            assert proof(machine, as_user="nobody")["verdict"] == "INCONCLUSIVE"


def test_a_damaged_file_whose_entries_journalctl_leaves_out_is_no_violation(
    machine: Machine,
) -> None:
    app = App(machine, "x", "SENDRECV_INTERVAL=0.02")
    without_audits(app)
    app.start()
    machine.wait_entry(lambda entry: '"count": 300, ' in entry["MESSAGE"], "-u", "receiver")
    machine.run("journalctl --rotate")
    with app.counts_from():
        pass
    app.stop()
    assert_proven(proof(machine))
    (path,) = machine.run("ls /var/log/journal/*/system@*").stdout.split()
    machine.run(["python3", "-c", DAMAGE, path])
    assert machine.run("journalctl -u receiver").returncode == 0, "it says nothing"
    verdict = proof(machine)
    assert verdict["verdict"] == "INCONCLUSIVE"
    assert unproven(verdict)["no count missing"] == "INCONCLUSIVE"
    assert "is damaged" in machine.run("sendrecv proof", check=False).stdout


def test_a_flood_of_streams_does_not_hold_it_up(app: App) -> None:
    machine = app.machine
    machine.write("/usr/local/bin/flood", FLOOD)
    for _ in range(3):
        machine.run("systemd-run --uid=nobody python3 /usr/local/bin/flood")
    machine.run("sleep 1")
    done = machine.run("timeout 60 sendrecv proof", check=False)
    assert done.returncode in {0, 2}, (done.returncode, done.stdout, done.stderr)


# Whose runs


def test_a_run_that_two_apps_claim_is_held_against_the_one_whose_it_is_not(app: App) -> None:
    machine = app.machine
    run = machine.show(app.main, "InvocationID")
    session = {"appID": "evil", "nodeID": "main", "epoch": 1, "run": run, "last": None}
    line = json.dumps(session).replace('"', '\\"')
    drop_in(
        machine, "receiver.service", f"[Service]\nExecStartPost=/bin/echo '<5>session {line}'\n"
    )
    with app.counts_from():
        machine.run("systemctl restart receiver")
    verdict = proof(machine)
    assert unproven(verdict) == {}
    assert unproven(verdict, "evil")["counts from their own run"] == "VIOLATED"
    assert [text for _, text in findings(verdict) if f"run {run[:8]} of App x was" in text]


def test_a_second_instance_that_waits_for_the_lock_did_not_run_beside_the_first(
    machine: Machine,
) -> None:
    settings = "SENDRECV_INTERVAL=0.1\nSENDRECV_APP_ID=x"
    second = App(machine, "y", settings)
    second.systemctl("start", second.main)
    machine.wait_entry(
        lambda entry: '"count": 5, "appID": "x"' in entry["MESSAGE"], "-u", "receiver"
    )
    second.stop()
    first = counting(machine)
    second.systemctl("start", "--no-block", second.main)
    machine.wait_entry(
        lambda entry: entry.get("EXIT_STATUS") == "71", "_PID=1", f"UNIT={second.main}"
    )
    second.stop()
    with first.counts_from("failover"):
        machine.kill(first.main, "KILL")
    verdict = proof(machine, "x")
    assert_proven(verdict)
    why = [run["why"] for run in verdict["apps"][0]["runs"]]
    assert "only waited for the App's lock" in why, why


# Errors


def test_what_cannot_be_written_or_read_is_no_verdict_and_stays_what_it_is(app: App) -> None:
    machine = app.machine
    app.stop()
    machine.run("mkdir /x && mkfifo /x/pipe && ln -s pipe /x/link && mount -t tmpfs -o ro ro /mnt")
    devices = "stat -c '%F %n' /dev/full /dev/stdout /x/pipe /x/link"
    before = machine.run(devices).stdout
    bundles = ("/x", "/x/pipe", "/x/link", "/none/x", "/mnt/x", "/dev/full", "/dev/stdout")
    for path in bundles:
        refused(machine, "--bundle", path)
    for words in (["--file", "/dev/zero"], ["--boot", "xyz"], ["--svg", "/none/x"]):
        refused(machine, *words)
    assert machine.run(devices).stdout == before
    machine.tmpfs("/small", "8k")
    refused(machine, "--bundle", "/small/x")
    assert machine.run("ls -A /small").stdout == ""


def refused(machine: Machine, *words: str) -> None:
    done = machine.run(["timeout", "60", "sendrecv", "proof", *words], check=False)
    assert (done.returncode, done.stdout) == (64, ""), (words, done.stdout, done.stderr)
    assert done.stderr.startswith("sendrecv: ") and done.stderr.count("\n") == 1, done.stderr


def test_no_temporary_directory_is_needed(app: App) -> None:
    app.stop()
    mounts = " && ".join(f"mount -t tmpfs -o ro none {top}" for top in ("/tmp", "/var/tmp"))
    command = f"{mounts} && cd /proc && sendrecv proof"
    done = app.machine.run(["unshare", "-m", "sh", "-c", command], check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_who_may_read_nothing_and_a_name_that_no_app_has_get_one_line(app: App) -> None:
    machine = app.machine
    for command, reason in (
        ("runuser -u nobody sendrecv proof", "cannot be read by this user"),
        ("runuser -u nobody sendrecv proof x", "cannot be read by this user"),
        ("sendrecv proof nobody", "no App or instance 'nobody'"),
    ):
        done = machine.run(command, check=False)
        assert (done.returncode, done.stdout.count("\n")) == (2, 1), done.stdout
        assert done.stdout.startswith("INCONCLUSIVE: ") and reason in done.stdout
