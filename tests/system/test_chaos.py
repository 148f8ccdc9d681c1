"""Faults at random, troubles that last, starvation; and what the checker of all that must catch."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.arena import KEPT, gone, install_injector
from tests.chaos.campaign import PROBLEM
from tests.chaos.endure import NOT_GOOD
from tests.chaos.starve import starve
from tests.judges.checker import Kind, where
from tests.lab.machine import HANG, TOP, Machine, end
from tests.system.app import App


def run(module: str, *arguments: str) -> None:
    """Runs one of chaos's commands, in a process of its own: it needs a mount namespace."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command,
        cwd=TOP,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=10 * HANG,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, _worst_first(done.stdout)


def _worst_first(said: str) -> str:
    """A summary of failures shows the first line only: it is to be what was wrong."""
    lines = said.splitlines()
    wrong = [line for line in lines if line.startswith(PROBLEM) or line.endswith(NOT_GOOD)]
    return "\n".join([*wrong, *lines])


@pytest.fixture(name="app")
def counting_app(machine: Machine) -> App:
    app = App(machine, "x")
    app.start()
    return app


# What must hold


def test_120_faults(release: str) -> None:
    """Two batches, the second of which ends with the loss of power; more of them: make chaos.

    How soon an App recovers is a figure of that command. Here it is too late if something hangs.
    """
    seed = secrets.randbelow(1_000_000)
    arguments = ("--faults=120", f"--seed={seed}", f"--recovery={HANG:g}")
    run("tests.chaos", f"--suite={release}", *arguments)


def test_troubles_that_last_do_not_make_it_spin(release: str) -> None:
    """Starts, lines, processes, wake-ups are counted. The full ten minutes of each: make endure."""
    times = ("--minutes=0.33", "--first=8")
    troubles = ("--troubles", "token missing", "token garbage", "both disks full")
    run("tests.chaos.endure", "--suite", release, *times, *troubles)


def test_starvation_is_not_taken_for_a_hang(machine: Machine) -> None:
    """The full five minutes: make starve."""
    verdict, wrong = starve(machine, 15)
    assert not verdict.faults, verdict
    assert not wrong, wrong


# What is guaranteed when a fault erases what is known


ERASURES = {
    "ledger and record": "sendrecv-receiver/ledger.db* sendrecv/x.record",
    "all of the receiver's": "sendrecv-receiver/*",
    "everything": "sendrecv-receiver/* sendrecv/*",
}


@pytest.mark.parametrize("erased", ERASURES)
def test_whatever_is_erased_the_journal_knows(app: App, erased: str) -> None:
    """The last counts, and the newest run that was admitted."""
    app.count(10)
    with app.counts_from("failover"):
        kill = "systemctl kill -s KILL receiver sender@x"
        app.machine.run(f"{kill}; cd /var/lib; rm -f {ERASURES[erased]}; {kill}; true")
    app.count(10)
    assert not app.verdict().faults


def test_a_new_ledger_that_its_maker_did_not_finish(app: App) -> None:
    """Killed before the journal's counts and epochs were in it; the sender's record is lost too."""
    where = "Path('/var/lib/sendrecv-receiver')"
    make = f"from sendrecv.receiver.ledger import *; Ledger({where}, 'b' * 32)"
    user = "runuser -u sendrecv-receiver -- env PYTHONPATH=/usr/lib/python3/dist-packages"
    app.count(10)
    with receiver_stopped(app):
        app.machine.run("rm -f /var/lib/sendrecv-receiver/ledger.db*")
        app.machine.run(f'{user} python3 -c "import os; {make}; os._exit(0)"')
        app.machine.run("test -s /var/lib/sendrecv-receiver/ledger.db")
        app.machine.run("rm /var/lib/sendrecv/x.record; systemctl kill -s KILL sender@x")
    app.count(10)
    assert not app.verdict().faults


# What the judge is told of a vacuum

VACUUM = """
set -e
cd /usr/local/lib/chaos
journald=/sys/fs/cgroup/system.slice/systemd-journald.service/cgroup.procs
logger first; sleep 0.3; kill -KILL $(cat $journald); sleep 0.5; logger second
journalctl --rotate; logger third
python3 -c 'from chaos.erasure import VACUUMS; VACUUMS["{kind}"]({{"chance": 1}})'
logger fourth; journalctl --sync
"""


@pytest.mark.planted
@pytest.mark.parametrize("kind", ["vacuum", "vacuum-files"])
def test_the_judge_is_told_exactly_which_entries_a_vacuum_took(machine: Machine, kind: str) -> None:
    """Each entry that was kept is either in the journal, or told to be gone. (The machine whose
    layer this one has begun with had a journal of its own: --merge.)
    """
    install_injector(machine)
    machine.run(VACUUM.format(kind=kind))
    spans = gone(machine)
    kept = {where(entry) for entry in machine.journal(KEPT)}
    taken = {one for one in kept if any(one in span for span in spans)}
    assert taken == kept - {where(entry) for entry in machine.journal("--merge")}
    assert taken and kept - taken


# What the checker must catch: real violations, planted


def kinds(app: App) -> set[Kind]:
    """What the checker finds."""
    return {fault.kind for fault in app.verdict().faults}


@contextmanager
def receiver_stopped(app: App) -> Iterator[None]:
    """The receiver and its socket are off meanwhile, then App counts again."""
    app.systemctl("stop", "receiver.socket", "receiver.service")
    with app.counts_from():
        yield
        app.systemctl("start", "receiver.socket")


@pytest.mark.planted
def test_nothing_is_found_where_nothing_is_wrong(app: App) -> None:
    with app.counts_from("failover"):
        app.machine.kill(app.main, "KILL")
    with receiver_stopped(app):
        pass
    assert kinds(app) == set()


BY_HAND = """
cp -a /var/lib/sendrecv /tmp/copy
install -d -m 0700 /tmp/credentials && install -m 0600 /etc/sendrecv/token /tmp/credentials/token
exec env STATE_DIRECTORY=/tmp/copy CREDENTIALS_DIRECTORY=/tmp/credentials SENDRECV_INTERVAL=0.1 \
    INVOCATION_ID=0123456789abcdef0123456789abcdef sendrecv send x failover
"""


@pytest.mark.planted
def test_a_second_sender_by_hand_with_a_copy_of_the_state(app: App) -> None:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    intruder = app.machine.popen(BY_HAND, **quiet)
    try:
        app.machine.wait_entry(
            lambda entry: "0123456789abcdef" in str(entry["MESSAGE"]), "-u", "receiver"
        )
        app.count(10)
    finally:
        end(intruder)
    assert Kind.UNKNOWN in kinds(app)


def edit(app: App, file: str, script: str) -> None:
    """Edits a module of the installed package."""
    path = f"/usr/lib/python3/dist-packages/sendrecv/{file}"
    app.machine.run(["sed", "-i.orig", script, path])
    assert app.machine.run(["cmp", path, f"{path}.orig"], check=False).returncode


@pytest.mark.planted
def test_a_receiver_that_prints_twice(app: App) -> None:
    with receiver_stopped(app):
        edit(app, "receiver/printing.py", "s/lines_of(order)/(2 * &)/")
    assert kinds(app) == {Kind.DUPLICATE}


@pytest.mark.planted
def test_a_receiver_that_prints_the_other_node_too(app: App) -> None:
    with receiver_stopped(app):
        other = '(& + &.replace("main", "failover"))'
        edit(app, "receiver/printing.py", f"s/lines_of(order)/{other}/")
    assert kinds(app) == {Kind.CONFLICT}


@pytest.mark.planted
@pytest.mark.parametrize(
    ("edited", "tells", "found"),
    [
        ("last + 5", True, {Kind.GAP}),
        ("last - 5", True, set()),
        ("last - 5", False, {Kind.DUPLICATE}),
    ],
)
def test_a_ledger_that_somebody_has_edited(
    app: App, edited: str, tells: bool, found: set[Kind]
) -> None:
    """A sender tells the receiver what its ledger had: unless that, too, is edited."""
    app.count(10)
    with receiver_stopped(app):
        database = "/var/lib/sendrecv-receiver/ledger.db"
        query = f"UPDATE app SET last = {edited}; DELETE FROM outbox"
        app.machine.run(["runuser", "-u", "sendrecv-receiver", "--", "sqlite3", database, query])
        if not tells:
            edit(app, "core/reach.py", "s/is_it = .*/is_it = False/")
            # Else the next receiver sees that somebody else has written, and asks the journal.
            edit(app, "receiver/mark.py", "s/if _stamp_in(data) not in .*:/if False:/")
            app.systemctl("restart", app.main)  # and with it the socket
    assert kinds(app) == found


@pytest.mark.planted
def test_units_that_let_both_halves_run(app: App) -> None:
    units = "/usr/lib/systemd/system/sender*@.service"
    app.machine.run(f"sed -i '/^Conflicts=/d' {units} && systemctl daemon-reload")
    app.systemctl("start", "--no-block", app.failover)
    app.machine.wait_until(lambda: app.machine.pid(app.failover), "the failover's process")
    app.machine.run("journalctl --sync")
    assert Kind.OVERLAP in kinds(app)
