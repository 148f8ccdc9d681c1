"""The audit on a booted machine: its units, the chain, the alarm, and what takes evidence away.

proof/audit/command.py is the command, which acts as the user of the chain.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sendrecv.proof.audit.entries import CHAIN_ID, DOUBT_ID, VIOLATION_ID
from sendrecv.proof.chain.store import Chain
from tests.lab.machine import Machine
from tests.system.app import App
from tests.system.proving import after_restart, counting, plant_line

SERVICE = "sendrecv-audit.service"
STATE = "/var/lib/sendrecv-audit"
JOURNALD = "/etc/systemd/journald.conf.d/test.conf"
LOST = "was lost as the machine went down, and printed again by the receiver"
GetChain = Callable[[], Chain]


@pytest.fixture(name="app")
def counting_app(machine: Machine) -> App:
    """Neither the clock nor a rotation starts an audit: those of the test are all."""
    no_audits_of_its_own(machine)
    return counting(machine)


def no_audits_of_its_own(machine: Machine) -> None:
    """Also after a boot. There may have been one: if an hour has begun since the package was
    installed, the timer starts one at the first boot.
    """
    units = "sendrecv-audit.timer sendrecv-audit.path"
    assert machine.run(f"systemctl is-enabled {units}").stdout == "enabled\nenabled\n"
    machine.run(f"systemctl disable --now {units}; systemctl stop {SERVICE}")


@pytest.fixture(name="chain")
def fixture_chain(machine: Machine, tmp_path: Path) -> GetChain:
    """Reads the machine's chain, here, and checks it."""

    def chain() -> Chain:
        machine.run(f"tar -C {STATE} -cf /tmp/chain.tar .")
        machine.get("/tmp/chain.tar", tmp_path / "chain.tar")
        directory = Path(tempfile.mkdtemp(dir=tmp_path))
        subprocess.run(["tar", "-C", directory, "-xf", tmp_path / "chain.tar"], check=True)
        found = Chain.read(directory, machine.run("cat /etc/machine-id").stdout.strip())
        assert found
        return found

    return chain


def audit(machine: Machine, *, fails: bool = False) -> None:
    """As the timer does it, once the journal has what was printed. Not one that runs already,
    because the journal was rotated: it may have read before that.
    """
    machine.run("journalctl --sync")
    no_audit_runs(machine)
    status = machine.run(f"systemctl start {SERVICE}", check=False).returncode
    assert bool(status) == fails, machine.run(f"systemctl status {SERVICE}", check=False).stdout
    state = "failed" if fails else "inactive"
    assert machine.show(SERVICE, "ActiveState") == state


def no_audit_runs(machine: Machine) -> None:
    """Waits for that."""
    running = "activating", "deactivating"
    machine.wait_until(lambda: machine.show(SERVICE, "ActiveState") not in running, "no audit runs")


def lines_of(chain: Chain, app: str = "x") -> list[dict[str, Any]]:
    return [line for line in chain.lines(app) if line["counts"]]


def entries(machine: Machine, message_id: str) -> list[Any]:
    return machine.journal(f"MESSAGE_ID={message_id}", fields=["MESSAGE", "PRIORITY"])


def test_audits_follow_each_other(app: App, chain: GetChain) -> None:
    """A takeover between two of them, one across two, and one after a reboot."""
    machine = app.machine
    audit(machine)
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    audit(machine)
    app.systemctl("stop", app.failover)
    audit(machine)
    with app.counts_from("main"):
        pass
    audit(machine)
    app.systemctl("enable", app.main)
    machine.reboot()
    after_restart(app)
    audit(machine)
    found = lines_of(chain())
    assert [line["verdict"] for line in found] == ["PROVEN"] * 5, found
    assert [line["first"] for line in found] == [
        0,
        *(line["last"] + 1 for line in found[:-1]),
    ]
    kinds: dict[str, int] = {}
    for line in found:
        for kind, number in line.get("takeovers", {}).items():
            kinds[kind] = kinds.get(kind, 0) + number
    # On a busy host there may be more, by the watchdog.
    assert kinds["takeover"] >= 2 and kinds["boot"] == 1, kinds
    assert found[-1]["whole"] == "PROVEN"
    app.assert_sound()


def test_what_is_rotated_away_after_an_audit_is_not_needed(app: App, chain: GetChain) -> None:
    machine = app.machine
    for node in ("failover", "main", "failover"):
        machine.run("journalctl --rotate")
        audit(machine)
        machine.run("journalctl --vacuum-files=1")
        with app.counts_from(node):
            machine.kill(app.unit("main" if node == "failover" else "failover"), "KILL")
    audit(machine)
    found = lines_of(chain())
    assert [line["verdict"] for line in found] == ["PROVEN"] * len(found), found
    assert len(found) >= 3 and found[-1]["whole"] == "PROVEN"


def test_what_is_rotated_away_before_it_was_audited_is_a_doubt(app: App, chain: GetChain) -> None:
    machine = app.machine
    audit(machine)
    machine.run("systemctl stop sendrecv-audit.path")
    app.count(20)
    machine.run("journalctl --rotate --vacuum-files=1")
    for node in ("failover", "main"):
        with app.counts_from(node):
            app.systemctl("start", app.unit(node))
        audit(machine)
    found = lines_of(chain())
    assert [line["verdict"] for line in found] == ["PROVEN", "INCONCLUSIVE", "PROVEN"], found
    assert any("missing" in doubt["text"] for doubt in found[1]["doubts"]), found[1]
    assert found[-1]["whole"] == "INCONCLUSIVE"
    assert {entry["PRIORITY"] for entry in entries(machine, DOUBT_ID)} == {"4"}


def test_a_violation_is_an_alarm_until_it_is_acknowledged(app: App, chain: GetChain) -> None:
    machine = app.machine
    audit(machine)
    plant_line(app, '{"count": 1, "appID": "x", "nodeID": "main"}')
    audit(machine, fails=True)
    (entry,) = {entry["MESSAGE"] for entry in entries(machine, VIOLATION_ID)}
    assert entry.startswith("App x: VIOLATED: each count once: "), entry
    said = machine.run(f"journalctl -o json -p crit MESSAGE_ID={VIOLATION_ID}").stdout
    cursors = json.loads(said.splitlines()[0])["SENDRECV_CURSORS"].split()
    show = [f"journalctl -o cat --cursor='{cursor}' | head -n 1" for cursor in cursors]
    shown = [machine.run(command).stdout for command in show]
    assert '"count": 1, "appID": "x"' in shown[-1], shown  # the first one may be that of a span
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    audit(machine, fails=True)
    assert len(entries(machine, VIOLATION_ID)) == 1, "said once"
    assert machine.run("runuser -u nobody sendrecv audit --acknowledge x", check=False).returncode
    machine.run("sendrecv audit --acknowledge 'planted by a test'")
    assert machine.show(SERVICE, "ActiveState") == "inactive"
    audit(machine)
    (line,) = (line for line in chain().lines() if "acknowledged" in line)
    assert (line["acknowledged"], line["by"], line["apps"]) == ("planted by a test", "root", ["x"])
    verdicts = [line["verdict"] for line in lines_of(chain())]
    assert verdicts[:4] == ["PROVEN", "VIOLATED", "PROVEN", "PROVEN"]
    assert lines_of(chain())[-1]["whole"] == "VIOLATED"


def test_a_chain_that_was_put_back_from_a_backup(app: App, chain: GetChain) -> None:
    machine = app.machine
    audit(machine)
    machine.run(f"cp -a {STATE} /root/backup")
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    audit(machine)
    machine.run(f"rm -r {STATE}; cp -a /root/backup {STATE}")
    audit(machine)
    (entry,) = entries(machine, CHAIN_ID)
    assert entry["PRIORITY"] == "2" and "the chain is an old copy" in entry["MESSAGE"]
    assert chain().head.notes
    audit(machine)
    assert len(entries(machine, CHAIN_ID)) == 1
    found = lines_of(chain())
    assert {line["verdict"] for line in found} == {"PROVEN"}
    machine.run("sendrecv audit --acknowledge 'restored after a disk failure'")
    assert not chain().head.notes


def test_a_chain_that_was_edited_is_not_gone_on_with(app: App, chain: GetChain) -> None:
    machine = app.machine
    audit(machine)
    machine.run(f"sed -i s/PROVEN/proven/ {STATE}/audits-*")
    audit(machine, fails=True)
    (entry,) = entries(machine, CHAIN_ID)
    assert "the chain of audits cannot be used" in entry["MESSAGE"]
    machine.run("sendrecv audit --anew 'a person has edited it'")
    audit(machine)
    assert lines_of(chain())[0]["verdict"] == "PROVEN"
    assert next(chain().lines())["anew"] == "a person has edited it"


def test_a_power_cut_while_it_audits(app: App, chain: GetChain) -> None:
    machine = app.machine
    app.systemctl("enable", app.main)
    audit(machine)
    for _ in range(3):
        machine.run(f"systemctl start --no-block {SERVICE}")
        machine.power_cut()
        machine.boot()
        after_restart(app)
        audit(machine)
    # What journald had not read is lost with the power, and printed again: a doubt, and a true one.
    found = lines_of(chain())
    doubts = [doubt["text"] for line in found for doubt in line.get("doubts", ())]
    assert all(LOST in text for text in doubts), doubts
    assert {line["verdict"] for line in found} <= {"PROVEN", "INCONCLUSIVE"}
    assert doubts or {line["whole"] for line in found} == {"PROVEN"}, found
    machine.run("! systemctl --failed | grep audit")


def test_a_journal_that_rotates_is_audited_in_time(machine: Machine, chain: GetChain) -> None:
    """Without a word of the timer. Others write one and a half times what the journal may have."""
    machine.write(JOURNALD, "[Journal]\nSystemMaxUse=8M\n")
    no_audits_of_its_own(machine)
    # What there is now is one file of 8 MB, which the first rotation removes. If there has been an
    # audit, what came after that would be missing.
    machine.run(f"rm -rf /var/log/journal/* {STATE}/*")
    machine.power_cut()
    machine.boot()
    machine.run("systemctl start sendrecv-audit.path")
    app = counting(machine)
    for _ in range(12):
        machine.run("head -c 800000 /dev/urandom | base64 -w 4000 | systemd-cat -t others; sleep 1")
        no_audit_runs(machine)
    machine.wait_until(lambda: lines_of(chain(), "x")[2:], "three audits")
    app.stop()
    audit(machine)
    found = lines_of(chain())
    said = [(line["first"], line["verdict"], line.get("doubts")) for line in found]
    assert {line["verdict"] for line in found} == {"PROVEN"}, said
    assert found[0]["first"] == 0
