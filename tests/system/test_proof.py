"""`sendrecv proof` on real systemd: what really happened is PROVEN; what was planted is found."""

import re
from pathlib import Path

import pytest

from tests.lab.machine import Machine
from tests.system.app import App
from tests.system.proving import (
    after_restart,
    assert_proven,
    counting,
    drop_in,
    findings,
    plant_line,
    proof,
    proof_here,
    unproven,
    without_audits,
)


@pytest.fixture(name="app")
def counting_app(machine: Machine) -> App:
    return without_audits(counting(machine))


# What really happens


def test_faults_of_every_kind_are_proven_and_told(app: App) -> None:
    machine = app.machine
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    with app.counts_from("main"):
        machine.kill(app.failover, "STOP")
    with app.counts_from("failover"):
        app.systemctl("stop", app.main)
    with app.counts_from("main"):
        app.systemctl("start", app.main)
    with app.counts_from("main"):
        machine.kill("receiver", "KILL")
    with app.counts_from("failover"):
        machine.kill(app.main, "TERM")
    verdict = proof(machine)
    assert_proven(verdict)
    (told,) = verdict["apps"]
    nodes = ["main", "failover", "main", "failover", "main", "failover"]
    assert [run["node"] for run in told["runs"]] == nodes
    assert [run["epoch"] for run in told["runs"]] == [1, 2, 3, 4, 5, 6]
    assert [run["why"] for run in told["runs"]] == [
        "signal (killed, status 9)",
        "watchdog (killed, status 9)",
        "stopped",
        "stopped",
        "success",
        "running",
    ]
    for takeover in told["takeovers"]:
        assert takeover["kind"] == "takeover"
        # PID 1 may log that it is ready after the receiver has printed its first count.
        for keys in (("exited", "started", "ready"), ("started", "first_count")):
            times = [takeover[key]["monotonic"] for key in keys]
            assert times == sorted(times)
        assert 0 < takeover["gap"]
    assert machine.run("sendrecv proof x").stdout.splitlines()[-1].startswith("PROVEN: 1 App, ")


def test_boots_and_a_power_cut_are_proven(app: App) -> None:
    machine = app.machine
    app.systemctl("enable", app.main)
    machine.power_cut()
    machine.boot()
    after_restart(app)
    # A count that journald had not read when the power went is printed again; that is a doubt
    # about what else journald had not read, and about nothing else.
    assert set(unproven(proof(machine))) <= {"the journal is whole"}
    machine.reboot()
    after_restart(app)
    assert_proven(proof(machine, "--boot"))
    verdict = proof(machine)
    assert [boot["shut_down"] for boot in verdict["boots"]][:2] == [False, True]
    kinds = [takeover["kind"] for takeover in verdict["apps"][0]["takeovers"]]
    assert kinds == ["boot", "boot"]


def test_a_pair_that_was_stopped_is_no_takeover(app: App) -> None:
    app.stop()
    app.start()
    verdict = proof(app.machine)
    assert_proven(verdict)
    assert [one["kind"] for one in verdict["apps"][0]["takeovers"]] == ["start"]
    assert verdict["apps"][0]["runs"][0]["why"] == "stopped"
    with app.counts_from("main"):
        app.systemctl("restart", app.main)
    verdict = proof(app.machine)
    assert_proven(verdict)
    assert [one["kind"] for one in verdict["apps"][0]["takeovers"]] == ["start", "restart"]


def test_a_bundle_gives_the_same_verdict_elsewhere(app: App, tmp_path: Path) -> None:
    machine = app.machine
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    app.stop()
    machine.run("sendrecv proof --bundle /tmp/bundle.gz")
    machine.run("cd /tmp && sha256sum --check bundle.gz.sha256")
    for name in ("bundle.gz", "bundle.gz.sha256"):
        machine.get(f"/tmp/{name}", tmp_path / name)
    here = proof_here("--file", str(tmp_path / "bundle.gz"))
    there = proof(machine)
    assert_proven(here)
    assert (here["apps"], here["entries"]) == (there["apps"], there["entries"])
    (tmp_path / "bundle.gz.sha256").write_text(f"{'0' * 64}  bundle.gz\n")
    altered = proof_here("--file", str(tmp_path / "bundle.gz"))
    assert unproven(altered) == {"the journal is whole": "INCONCLUSIVE"}


def test_exported_journals_of_either_kind(app: App, tmp_path: Path) -> None:
    machine = app.machine
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    app.stop()
    machine.run("journalctl --rotate --sync; journalctl -o export > /tmp/all.export")
    machine.get("/tmp/all.export", tmp_path / "all.export")
    there = proof(machine)
    assert proof_here("--file", str(tmp_path / "all.export"))["apps"] == there["apps"]
    machine.run("cp -r /var/log/journal /tmp/copy")
    directory = machine.run("echo /tmp/copy/$(cat /etc/machine-id)").stdout.strip()
    assert proof(machine, "--directory", directory)["apps"] == there["apps"]
    files = machine.run(f"ls {directory}/*.journal").stdout.split()
    arguments = [word for file in files for word in ("--file", file)]
    assert proof(machine, *arguments)["apps"] == there["apps"]


def test_the_picture_is_drawn(app: App) -> None:
    app.machine.run("sendrecv proof --svg /tmp/picture.svg")
    assert "</svg>" in app.machine.run("cat /tmp/picture.svg").stdout


# Planted violations


def test_two_senders_at_once(app: App) -> None:
    """Units edited so that nothing orders the two halves: the lock alone keeps them apart."""
    machine = app.machine
    unit = machine.run(f"systemctl cat {app.failover}").stdout
    edited = re.sub(
        r"^(Conflicts|After|OnSuccess|OnFailure)=sender(-start-main)?@.*$", "", unit, flags=re.M
    )
    machine.write("/etc/systemd/system/sender-failover@.service", edited)
    main = re.sub(
        r"^(Conflicts|OnSuccess|OnFailure)=sender(-start)?-failover@.*$",
        "",
        machine.run(f"systemctl cat {app.main}").stdout,
        flags=re.M,
    )
    machine.write("/etc/systemd/system/sender@.service", main)
    machine.run("systemctl daemon-reload")
    machine.run(f"systemctl start --no-block {app.failover}")
    machine.wait_entry(
        lambda entry: entry.get("UNIT") == app.failover and "Starting" in entry["MESSAGE"], "_PID=1"
    )
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    checks = ("one process at a time", "start after the exit")
    verdict = proof(machine)
    assert unproven(verdict) == dict.fromkeys(checks, "VIOLATED"), findings(verdict)
    output = machine.run("sendrecv proof", check=False).stdout
    assert f"! {app.failover} (run " in output and "was started before" in output


@pytest.mark.parametrize(
    ("count", "node", "violated"),
    [
        (1, "main", {"each count once"}),
        (1, "failover", {"each count once", "counts from their own run"}),
        (100_000, "main", {"no count missing", "each count once"}),
    ],
)
def test_a_line_too_many(app: App, count: int, node: str, violated: set[str]) -> None:
    plant_line(app, f'{{"count": {count}, "appID": "x", "nodeID": "{node}"}}')
    found = {name for name, status in unproven(proof(app.machine)).items() if status == "VIOLATED"}
    assert violated & found, found
    assert found <= violated | {"counts in order"}


def test_a_line_too_few(app: App) -> None:
    """What the receiver prints is filtered on its way to the journal."""
    machine = app.machine
    drop_in(
        machine,
        "receiver.service",
        "[Service]\nSyslogLevel=info\nExecStart=\n"
        "ExecStart=/bin/sh -c 'cd $$RUNTIME_DIRECTORY; rm -f pipe; mkfifo pipe;"
        """ grep --line-buffered -v "5, " < pipe & exec /usr/bin/sendrecv receive > pipe'\n""",
    )
    with app.counts_from():
        machine.run("systemctl restart receiver")
    app.count(20)  # wherever that begins, two of them are filtered
    machine.run("systemctl stop receiver.socket receiver; systemctl stop sendrecv@x.target")
    assert unproven(proof(machine))["no count missing"] == "VIOLATED"


ATTACK = r"""
import os, socket
def journald(*fields):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as native:
        native.sendto(b"".join(fields), "/run/systemd/journal/socket")
def binary(name, value):
    return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
run = b"0123456789abcdef" * 2
starting = b"MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5\n"
about = b"UNIT=sender-failover@x.service\nINVOCATION_ID=" + run + b"\nJOB_TYPE=start\n"
trusted = b"_PID=1\n_UID=0\n_TRANSPORT=journal\n_SYSTEMD_UNIT=receiver.service\n"
payload = b'{"count": 1, "appID": "x", "nodeID": "failover"}'
session = b'session {"appID": "x", "nodeID": "failover", "epoch": 1, "run": "%s", "last": 0}' % run
for text in (payload, session):
    print(text.decode(), flush=True)
    print("<6>" + text.decode(), flush=True)
    journald(trusted, b"PRIORITY=6\nMESSAGE=" + text + b"\n")
    os.system(f"logger -t receiver '{text.decode()}'")
journald(trusted, starting, about, b"MESSAGE=Starting sender-failover@x.service...\n")
# A whole entry hidden in one field.
entry = b"x\n\n" + trusted + starting + about + b"MESSAGE=forged\n\n" + trusted.replace(
    b"=journal", b"=stdout") + b"PRIORITY=6\nMESSAGE=" + payload + b"\n\nX="
journald(binary(b"MESSAGE", entry), b"SYSLOG_IDENTIFIER=systemd\n")
journald(b"MESSAGE=Suppressed\nMESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\n",
         b"OBJECT_SYSTEMD_UNIT=receiver.service\nN_DROPPED=9\n_TRANSPORT=driver\n")
journald(b'MESSAGE=x\nSENDRECV_PROOF={"names": ["y"], "scoped": true, "missing": []}\n')
"""


def test_look_alikes_of_other_units_and_users_change_nothing(app: App, tmp_path: Path) -> None:
    machine = app.machine
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    app.stop()
    before = proof(machine)
    assert_proven(before)
    machine.write("/usr/local/bin/attack", ATTACK)
    for user in ("nobody", "root"):
        machine.run(
            f"systemd-run --wait --quiet -p User={user} -p SyslogIdentifier=receiver"
            " python3 /usr/local/bin/attack"
        )
    forged = "_TRANSPORT=journal", "MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5"
    assert any(e["_PID"] != "1" for e in machine.journal(*forged)), "the attack took place"
    assert proof(machine) == before
    machine.run("journalctl -o export > /tmp/all.export")
    machine.get("/tmp/all.export", tmp_path / "all.export")
    assert proof_here("--file", str(tmp_path / "all.export"))["apps"] == before["apps"]
