"""`sendrecv proof` where evidence is missing, or was altered: it is not PROVEN, and says why."""

from pathlib import Path

import pytest

from tests.lab.machine import Machine
from tests.system.app import App
from tests.system.proving import (
    after_restart,
    assert_proven,
    counting,
    drop_in,
    proof,
    proof_here,
    unproven,
    without_audits,
)


@pytest.fixture(name="app")
def counting_app(machine: Machine) -> App:
    return without_audits(counting(machine))


def test_a_removed_entry(app: App, tmp_path: Path) -> None:
    machine = app.machine
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    app.stop()
    machine.run("journalctl -o export > /tmp/all.export")
    machine.get("/tmp/all.export", tmp_path / "all.export")
    entries = (tmp_path / "all.export").read_bytes().split(b"\n\n")
    for removed, check in (
        (b"98e322203f7a4ed290d09fe03c09fe15", "one process at a time"),
        (b"MESSAGE=session ", "epochs grow"),
        (b'MESSAGE={"count": 1,', "no count missing"),
    ):
        place = next(n for n, entry in enumerate(entries) if removed in entry and b"x" in entry)
        (tmp_path / "less").write_bytes(b"\n\n".join(entries[:place] + entries[place + 1 :]))
        assert check in unproven(proof_here("--file", str(tmp_path / "less")))


def test_a_removed_file(app: App) -> None:
    machine = app.machine
    for node in ("failover", "main"):
        machine.run("journalctl --rotate")
        with app.counts_from(node):
            machine.kill(app.unit("main" if node == "failover" else "failover"), "KILL")
    app.stop()
    assert_proven(proof(machine))
    files = machine.run("ls -t /var/log/journal/*/system@*.journal").stdout.split()
    assert len(files) == 2
    machine.run(["rm", files[0]])  # the middle one
    found = unproven(proof(machine))
    assert found["the journal is whole"] == "INCONCLUSIVE" and "VIOLATED" not in found.values()
    assert "entries" in machine.run("sendrecv proof", check=False).stdout


def test_a_rotated_journal(app: App) -> None:
    machine = app.machine
    machine.run("journalctl --rotate && journalctl --vacuum-files=1")
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    assert unproven(proof(machine))["the journal is whole"] == "INCONCLUSIVE"
    assert "are not in this journal" in machine.run("sendrecv proof", check=False).stdout


MARK = "/run/sendrecv-receiver/mark"
JOURNALD = "/etc/systemd/journald.conf.d/test.conf"


def _last_count(machine: Machine) -> int:
    """The receiver's own word, for where the journal has none."""
    query = "sqlite3 /var/lib/sendrecv-receiver/ledger.db 'SELECT max(last) FROM app'"
    said = machine.run(f"runuser -u sendrecv-receiver -- {query}", check=False).stdout.strip()
    return int(said) if said else -1


def _assert_in_doubt(app: App, last: int) -> None:
    """The last group, with the receiver's line, and nothing is said to be violated. Of the counts
    before it the ledger knows that they were printed.
    """
    machine = app.machine
    show = "journalctl --sync; journalctl -q -o cat -u receiver | grep ^unproven"
    line = machine.run(show).stdout
    assert f'"first": {last}, "last": {last}}}' in line
    found = unproven(proof(machine))
    assert found["no count missing"] == "INCONCLUSIVE" and "VIOLATED" not in found.values()
    text = f"count {last} is not in the journal: the receiver could not tell"
    assert text in machine.run("sendrecv proof", check=False).stdout


def test_lines_that_were_not_stored_and_a_receiver_that_cannot_tell(machine: Machine) -> None:
    machine.write(JOURNALD, "[Journal]\nStorage=none\n")
    machine.run("systemctl restart systemd-journald")
    app = App(machine, "x")
    app.systemctl("start", app.main)
    machine.wait_until(lambda: _last_count(machine) >= 5, "5 counts")
    app.stop()
    last = _last_count(machine)
    machine.run(f"rm {JOURNALD} {MARK}; systemctl restart systemd-journald receiver")
    app.start()
    _assert_in_doubt(app, last)
    app.count(5)
    _assert_in_doubt(app, last)


def test_a_vacuumed_journal_and_a_receiver_that_cannot_tell(app: App) -> None:
    machine = app.machine
    app.stop()
    last = _last_count(machine)
    machine.run(f"journalctl --rotate --vacuum-size=1; rm {MARK}; systemctl restart receiver")
    _assert_in_doubt(app, last)
    app.start()
    _assert_in_doubt(app, last)


def test_a_journal_that_this_user_cannot_read(app: App) -> None:
    verdict = proof(app.machine, as_user="nobody")
    assert verdict["verdict"] == "INCONCLUSIVE"
    command = "runuser -u nobody sendrecv proof x"
    assert "systemd-journal" in app.machine.run(command, check=False).stdout
    app.machine.run("usermod -aG systemd-journal nobody")
    assert_proven(proof(app.machine, as_user="nobody"))


def test_a_volatile_journal(machine: Machine) -> None:
    machine.write("/etc/systemd/journald.conf.d/v.conf", "[Journal]\nStorage=volatile\n")
    machine.run("rm -r /var/log/journal")
    machine.reboot()
    app = counting(machine)
    app.systemctl("enable", app.main)
    machine.reboot()
    after_restart(app)
    verdict = proof(machine)
    assert "INCONCLUSIVE" in unproven(verdict).values()
    assert any("volatile" in note for note in verdict["notes"])


def test_lines_that_journald_dropped(machine: Machine) -> None:
    limits = "[Service]\nLogRateLimitIntervalSec=1s\nLogRateLimitBurst=100\n"
    drop_in(machine, "receiver.service", limits)
    app = App(machine, "x", "SENDRECV_INTERVAL=0")
    app.start()
    machine.wait_entry(lambda entry: entry["MESSAGE"].startswith("Suppressed "), "-u", "receiver")
    app.stop()
    found = unproven(proof(machine))
    assert found["the journal is whole"] == "INCONCLUSIVE"
    assert found["no count missing"] == "INCONCLUSIVE"


def test_seals(machine: Machine) -> None:
    made = machine.run("journalctl --setup-keys --interval=1s --force", check=False)
    key = made.stdout.strip()
    assert key, made.stderr
    machine.run("systemctl restart systemd-journald && journalctl --rotate && sleep 1.5")
    since = machine.run("date +@%s.%N").stdout.strip()
    app = counting(machine)
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    app.stop()
    machine.run("sleep 2.5 && logger sealed && sleep 1.5 && logger sealed")
    arguments = ["--since", since, f"--verify-key={key}"]
    verdict = proof(machine, *arguments)
    assert_proven(verdict)
    assert any("sealed until" in note for note in verdict["notes"])
    assert proof(machine, f"--verify-key={key}")["verdict"] == "INCONCLUSIVE", "not sealed before"
    wrong = key.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    assert proof(machine, "--since", since, f"--verify-key={wrong}")["verdict"] == "INCONCLUSIVE"
    tamper(machine)
    assert proof(machine, *arguments)["verdict"] != "PROVEN"


TAMPER = """
import glob
for name in glob.glob("/var/log/journal/*/system.journal"):
    with open(name, "r+b") as file:
        data = file.read()
        place = data.rfind(b'"appID": "x", "nodeID": "main"')
        if place >= 0:
            file.seek(place)
            file.write(b'"appID": "y"')
"""


def tamper(machine: Machine) -> None:
    """Make an entry of main's one of another App, as root may, but for the seal."""
    machine.run("systemctl stop systemd-journald.socket systemd-journald", check=False)
    machine.run(["python3", "-c", TAMPER])
