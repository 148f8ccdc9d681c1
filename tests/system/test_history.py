"""What the journal, its catalog and `sendrecv history` tell of takeovers, on real systemd."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from sendrecv.core.takeover import BEGUN, ENDED, TAKEOVER
from tests.lab.machine import Entry, Machine
from tests.system.app import App
from tests.system.trouble import FAST

FORGED = f"""\
MESSAGE=App seen: main counts on from 7: forged
MESSAGE_ID={TAKEOVER}
SENDRECV_APP=seen
SENDRECV_INSTANCE=seen
SENDRECV_FROM=failover
SENDRECV_TO=main
SENDRECV_WHY=signal
SENDRECV_WHY_TEXT=forged
SENDRECV_EPOCH=99
SENDRECV_COUNT=7
"""
STOP_IT = "to stop the App: systemctl stop sendrecv@seen.target"


class Watched:
    """An App, each of whose takeovers is waited for. told: the entries, in order."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.app = App(machine, "seen", FAST)
        self.told: list[Entry] = []

    def after(self, what: Callable[[], object], message: str = TAKEOVER) -> Entry:
        """The entry of that kind which follows."""
        after = self.machine.cursor()
        what()
        self.told.append(
            self.machine.wait_entry(
                # Not a match of journalctl: that of Debian 12 would leave out the first one.
                lambda entry: entry.get("MESSAGE_ID") == message,
                after=after,
                what=f"the entry after {what}",
            )
        )
        return self.told[-1]

    def history(self, *options: str) -> str:
        """What the command prints."""
        return self.machine.run(["sendrecv", "history", *options]).stdout


@pytest.fixture(name="watched")
def fixture_watched(machine: Machine) -> Iterator[Watched]:
    """It runs: main counts."""
    watched = Watched(machine)
    watched.after(watched.app.start, BEGUN)
    yield watched


def test_each_cause_is_told(machine: Machine, watched: Watched) -> None:
    app, after = watched.app, watched.after
    main = app.main

    def replace_record() -> None:
        record = f"/var/lib/sendrecv/{app.name}.record"
        machine.run(f"cp -p {record} {record}.new && mv {record}.new {record}")

    def mask() -> None:
        app.systemctl("mask", "--runtime", main)

    def boot() -> None:
        app.systemctl("unmask", "--runtime", main)
        app.systemctl("enable", main)
        machine.run("journalctl --sync")
        machine.power_cut()
        machine.boot()

    causes: list[tuple[Callable[[], object], str, str]] = [
        (lambda: machine.kill(main, "KILL"), "signal", "was killed by signal 9 (SIGKILL)"),
        (
            lambda: machine.kill(app.failover, "STOP"),
            "watchdog",
            "hung, and its watchdog killed it",
        ),
        (lambda: app.systemctl("stop", main), "stopped", "main was told to end"),
        (lambda: app.systemctl("start", main), "started", f"failover was told to end, and {main}"),
        (lambda: machine.kill(main, "SEGV"), "signal", "was killed by signal 11 (SIGSEGV)"),
        (replace_record, "exit-code", "failover ended with status 75"),
        (mask, "masked", f"{main} is masked"),
        (boot, "boot", "the machine was started again"),
    ]
    for cause, code, words in causes:
        entry = after(cause)
        assert (entry["SENDRECV_WHY"], entry["PRIORITY"]) == (code, "5"), entry
        assert words in entry["SENDRECV_WHY_TEXT"] and words in entry["MESSAGE"]
        assert entry["SYSLOG_IDENTIFIER"] == "sendrecv" and entry["_TRANSPORT"] == "journal"
        assert entry["_SYSTEMD_UNIT"] == app.unit(entry["SENDRECV_TO"])
        assert (STOP_IT in entry["MESSAGE"]) is (code == "stopped")
        assert ("SENDRECV_SILENCE_USEC" in entry) is (code != "boot")
    started = after(lambda: app.systemctl("restart", main), BEGUN)
    assert started["SENDRECV_WHY"] == "again"
    _assert_counts_and_epochs(watched)
    _assert_history(machine, watched)
    _assert_catalog(machine, watched)
    app.assert_sound(rescued=True)
    ended = after(app.stop, ENDED)
    assert "main ends, as it was told to, after count " in ended["MESSAGE"]


def _assert_counts_and_epochs(watched: Watched) -> None:
    """Each entry has the first count that the receiver has printed of that node from there on."""
    lines = watched.app.verdict().lines["seen"]
    changes = [
        (line.node, line.count)
        for before, line in zip(lines, lines[1:], strict=False)
        if line.node != before.node
    ]
    takeovers = [entry for entry in watched.told if entry["MESSAGE_ID"] == TAKEOVER]
    assert [(e["SENDRECV_TO"], int(e["SENDRECV_COUNT"])) for e in takeovers] == changes
    epochs = [int(entry["SENDRECV_EPOCH"]) for entry in watched.told]
    assert epochs == sorted(set(epochs))


def _assert_history(machine: Machine, watched: Watched) -> None:
    codes = [entry["SENDRECV_WHY"] for entry in watched.told]
    machine.run(["useradd", "joe"])
    machine.run(["runuser", "-u", "joe", "--", "logger", "--journald"], input=FORGED)
    machine.run("journalctl --sync")
    told = json.loads(watched.history("--json", "sendrecv@seen.target"))
    assert (told["schema"], [event["code"] for event in told["events"]]) == (1, codes)
    table = watched.history("sender@seen").splitlines()
    assert max(map(len, table)) <= 80 and len(table) >= 2 + 2 * len(codes)
    assert "    main was killed by signal 9 (SIGKILL)" in table
    assert "no takeovers" in watched.history("seen", "--since", "tomorrow")
    assert watched.history("--since", "-1h") == watched.history()
    for names, status, words in (
        (["nosuch"], 4, "no App is called nosuch"),
        (["Seen"], 4, "no App is called Seen; there is seen"),
        (["--since", "some day"], 64, "--since: not a time"),
    ):
        done = machine.run(["sendrecv", "history", *names], check=False)
        assert (done.returncode, words in done.stderr) == (status, True), done.stderr
    as_joe = ["runuser", "-u", "joe", "--", "sendrecv", "history", "--json"]
    done = machine.run(as_joe, check=False)
    assert (done.returncode, done.stdout) == (77, "")
    assert "members of the groups adm and systemd-journal" in done.stderr
    machine.run(["usermod", "-aG", "systemd-journal", "joe"])
    assert json.loads(machine.run(as_joe).stdout) == told


def _assert_catalog(machine: Machine, watched: Watched) -> None:
    explained = machine.run("journalctl -q -x -t sendrecv").stdout
    for words in (
        "Subject: App seen: failover counts, in place of main",
        "Subject: App seen: main counts, in place of failover",
        "Subject: App seen: main counts\n",
        "Why: failover hung, and its watchdog killed it.",
        "to stop the App for good:            systemctl stop sendrecv@seen.target",
    ):
        assert words in explained, words
    assert "@SENDRECV" not in explained
    both = re.search("what both halves said before that: +(journalctl .*)", explained)
    assert both and "Started sender@seen.service" in machine.run(both[1]).stdout
    of_unit = machine.run(f"journalctl -q -u {watched.app.failover}").stdout
    assert "failover counts on from " in of_unit


def test_without_journalds_socket_it_is_a_line(machine: Machine, watched: Watched) -> None:
    app = watched.app
    machine.write(
        f"/run/systemd/system/{app.failover}.d/no-socket.conf",
        "[Service]\nInaccessiblePaths=+/run/systemd/journal/socket\n",
    )
    app.systemctl("daemon-reload")
    after = machine.cursor()
    machine.kill(app.main, "KILL")
    entry = machine.wait_entry(
        lambda entry: "main was killed by signal 9 (SIGKILL)" in str(entry["MESSAGE"]),
        after=after,
    )
    assert (entry["_TRANSPORT"], entry["PRIORITY"]) == ("stdout", "5")
    app.assert_sound()


def test_a_receiver_that_is_away_is_not_waited_for(machine: Machine, watched: Watched) -> None:
    """Who counts is told all the same; the silence is not known then."""
    app = watched.app
    app.systemctl("mask", "--runtime", "--now", "receiver.socket", "receiver.service")
    entry = watched.after(lambda: machine.kill(app.main, "KILL"))
    assert entry["SENDRECV_WHY"] == "signal" and "SENDRECV_SILENCE_USEC" not in entry
    assert "of which the receiver has none yet: main was killed" in entry["MESSAGE"]
    with app.counts_from("failover"):
        app.systemctl("unmask", "--runtime", "receiver.socket", "receiver.service")
        app.systemctl("start", "receiver.socket")
    app.assert_sound()
