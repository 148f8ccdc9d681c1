"""Each count once, whatever becomes of the journal and of the receiver's state.

An observer outside the journal sees each line that journald was given, also those that the journal
has lost since. One machine for each test: what is done to it cannot be undone. What the journal
has, the receiver asks systemd/journal-reader.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.lab.machine import HANG, TOP, Machine
from tests.system.app import App

KILL = "systemctl kill --signal=KILL --kill-whom=main receiver"
OBSERVED = "/root/observed"
STATE, MARK = "/var/lib/sendrecv-receiver", "/run/sendrecv-receiver/mark"
JOURNALD = "/etc/systemd/journald.conf.d/test.conf"
RECEIVER = "/etc/systemd/system/receiver.service.d/test.conf"


class Observer:
    """What journald was given, by its own forwarding."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.configure("")
        machine.put(TOP / "tests/lab/observer.py", "/opt/observer.py")
        self.start()

    def start(self) -> None:
        """Once in each boot."""
        self._machine.run(
            f"systemd-run -q --unit=observer -p Restart=always python3 /opt/observer.py {OBSERVED}"
        )
        self._machine.run("until test -S /run/systemd/journal/syslog; do sleep 0.05; done")

    def configure(self, journald: str) -> None:
        """Those settings of journald, and the forwarding."""
        self.write(journald)
        self._machine.run("systemctl restart systemd-journald")

    def write(self, journald: str) -> None:
        """The same, for a journald that starts later."""
        text = f"[Journal]\nForwardToSyslog=yes\nMaxLevelSyslog=debug\n{journald}"
        self._machine.write(JOURNALD, text)

    def counts(self, app: str) -> list[int]:
        """The counts of that App, in the order in which they came."""
        text = self._machine.run(f"grep -ao '{{\"count\".*}}' {OBSERVED} || :").stdout
        payloads = [json.loads(line) for line in text.splitlines()]
        return [payload["count"] for payload in payloads if payload["appID"] == app]

    def wait_for_more(self, app: str, more: int = 5, timeout: float = HANG) -> None:
        """Waits for so many further counts."""
        before = len(self.counts(app))
        self._machine.wait_until(
            lambda: len(self.counts(app)) >= before + more, f"{more} counts of {app}", timeout
        )

    def unproven(self, app: str) -> set[int]:
        """The counts of that App that the receiver has said to be unproven."""
        text = self._machine.run(f"grep -ao 'unproven {{.*}}' {OBSERVED} || :").stdout
        told = [json.loads(line.removeprefix("unproven ")) for line in text.splitlines()]
        spans = [range(one["first"], one["last"] + 1) for one in told if one["appID"] == app]
        return {count for span in spans for count in span}

    def assert_once(self, app: str, *, but_unproven: bool = False) -> None:
        """Each count once, in order, none left out; or only those that are said to be unproven."""
        counts = self.counts(app)
        left_out = self.unproven(app) - {*counts} if but_unproven else set()
        assert (
            counts
            and sorted(left_out.union(counts)) == list(range(counts[0], counts[-1] + 1))
            and counts == sorted({*counts})
        ), (
            [pair for pair in zip(counts, counts[1:], strict=False) if pair[1] != pair[0] + 1],
            self._machine.run("journalctl -q --no-pager -n 60 -o short-precise").stdout,
        )


@contextlib.contextmanager
def observed(
    machine: Machine, *apps: str, interval: str = "0.05", but_unproven: bool = False
) -> Iterator[Observer]:
    """Those Apps, which count meanwhile, each once."""
    observer = Observer(machine)
    for app in apps:
        App(machine, app, f"SENDRECV_INTERVAL={interval}").start()
    yield observer
    for app in apps:
        observer.wait_for_more(app)
        observer.assert_once(app, but_unproven=but_unproven)


# The journal is rotated, vacuumed, or is not where the lines go.


def test_rotated_at_random_while_the_receiver_is_killed(machine: Machine) -> None:
    with observed(machine, "one", "two") as observer:
        observer.configure("SystemMaxFiles=5000\n")
        machine.run("for i in $(seq 60); do journalctl --rotate; done")
        for number in range(12):
            machine.run(
                f"{KILL}; sleep 0.{number % 4}{number % 10}; journalctl --rotate; sleep 0.7"
            )


def test_rotated_and_vacuumed_the_last_lines_are_gone(machine: Machine) -> None:
    with observed(machine, "one", "stopped") as observer:
        machine.run("systemctl stop sendrecv@stopped.target; sleep 1")
        for again in (KILL, "systemctl restart receiver", KILL):
            machine.run(f"journalctl --rotate --vacuum-size=1; {again}")
            observer.wait_for_more("one")
        machine.run("systemctl start sender@stopped")


ELSEWHERE = {
    "a file": ("", "StandardOutput=append:/root/lines\n"),
    "a namespace": ("", "LogNamespace=other\n"),
    "nowhere": ("Storage=none\n", ""),
    "memory": ("Storage=volatile\n", ""),
    "not at that level": ("MaxLevelStore=warning\n", ""),
}


@pytest.mark.parametrize("where", ELSEWHERE)
def test_lines_that_are_not_where_the_receiver_could_look(machine: Machine, where: str) -> None:
    journald, service = ELSEWHERE[where]
    if where == "a namespace":
        machine.write("/etc/systemd/journald@other.conf", "[Journal]\nForwardToSyslog=yes\n")
    with observed(machine, "one") as observer:
        observer.configure(journald)
        machine.write(RECEIVER, f"[Service]\n{service}")
        machine.run("systemctl daemon-reload; systemctl restart receiver")
        if where in {"a file", "a namespace"}:
            _assert_once_elsewhere(machine, where)
        else:
            for again in (KILL, "systemctl restart receiver", KILL, KILL):
                machine.run(again)
                observer.wait_for_more("one")
        machine.run(f"rm {RECEIVER}; systemctl daemon-reload; systemctl restart receiver")
        if where in {"a file", "a namespace"}:
            # What went elsewhere was not observed.
            machine.run(f"sleep 1; : > {OBSERVED}")


DIES_IN_DOUBT = """
def _done_or_dead(self, done=Mark.done):
    if os.path.exists("/run/sendrecv-receiver/die"):
        os.unlink("/run/sendrecv-receiver/die")
        os.kill(os.getpid(), 9)
    done(self)
Mark.done = _done_or_dead
"""


@pytest.mark.parametrize("level", ["debug", "warning"])
def test_killed_between_a_line_and_its_mark(machine: Machine, level: str) -> None:
    """What is in doubt is asked of the journal. If the journal does not have it for another reason
    than that it was not printed, it is not printed again.
    """
    machine.write("/root/dies", DIES_IN_DOUBT)
    machine.run("cat /root/dies >> /usr/lib/python3/dist-packages/sendrecv/receiver/mark.py")
    with observed(machine, "one") as observer:
        observer.wait_for_more("one")
        observer.configure(f"MaxLevelStore={level}\n")
        for _ in range(3):
            machine.run("touch /run/sendrecv-receiver/die")
            observer.wait_for_more("one", 20)
    pids = machine.run(f"grep -ao 'receiver\\[[0-9]*\\]: {{' {OBSERVED} | sort -u").stdout
    assert len(pids.splitlines()) == 4, pids
    assert bool(observer.unproven("one")) is (level == "warning")


HELD_BEFORE_A_LINE = """
import time
def _held(self, lines, intend=Mark.intend):
    intend(self, lines)
    if os.path.exists("/run/sendrecv-receiver/hold"):
        os.rename("/run/sendrecv-receiver/hold", "/run/sendrecv-receiver/held")
        while os.path.exists("/run/sendrecv-receiver/held"):
            time.sleep(0.01)
        open("/run/sendrecv-receiver/die", "w").close()
Mark.intend = _held
while os.path.exists("/run/sendrecv-receiver/wait"):
    time.sleep(0.01)
"""


def test_killed_between_a_line_and_its_mark_while_it_was_not_stored(machine: Machine) -> None:
    """Lines are stored before and after it, and a probe, too."""
    machine.write("/root/dies", DIES_IN_DOUBT + HELD_BEFORE_A_LINE)
    machine.run("cat /root/dies >> /usr/lib/python3/dist-packages/sendrecv/receiver/mark.py")
    with observed(machine, "one") as observer:
        observer.wait_for_more("one")
        dies = machine.pid("receiver")
        machine.run("cd /run/sendrecv-receiver; touch wait hold; until test -e held; do :; done")
        observer.configure("MaxLevelStore=warning\n")
        machine.run("rm /run/sendrecv-receiver/held")
        machine.wait_until(lambda: machine.pid("receiver") not in {0, dies}, "another receiver")
        observer.configure("")
        machine.run("rm /run/sendrecv-receiver/wait")
        observer.wait_for_more("one", 20)
    assert len(observer.unproven("one")) == 1


def _assert_once_elsewhere(machine: Machine, where: str) -> None:
    show = {
        "a file": "cat /root/lines",
        "a namespace": "journalctl --namespace=other -q -o cat -t receiver",
    }[where]

    def counts() -> list[int]:
        lines = machine.run(f"{show} | grep -o '{{\"count\".*}}'", check=False).stdout
        return [json.loads(line)["count"] for line in lines.splitlines()]

    def wait_for_more() -> None:
        enough = len(counts()) + 10
        machine.wait_until(lambda: len(counts()) >= enough, "ten more counts")

    for again in (KILL, "systemctl restart receiver", KILL, KILL):
        machine.run(again)
        wait_for_more()
    found = counts()
    assert found == list(range(found[0], found[-1] + 1)), found


@pytest.mark.parametrize("where", ["a file", "nowhere", "memory", "not at that level"])
def test_after_an_orderly_reboot_nothing_is_in_doubt(machine: Machine, where: str) -> None:
    """Though the journal has nothing of the boot before."""
    journald, service = ELSEWHERE[where]
    with observed(machine, "one") as observer:
        observer.configure(journald)
        machine.write(RECEIVER, f"[Service]\n{service}")
        machine.run("systemctl daemon-reload; systemctl restart receiver; sleep 1")
        machine.run(f"systemctl stop sendrecv@one.target; rm {RECEIVER}; sleep 1")
        machine.reboot()
        observer.start()
        if where == "a file":
            machine.run(f": > {OBSERVED}")  # what went elsewhere was not observed
        machine.run("systemctl start sender@one")
        observer.wait_for_more("one")
        assert not observer.unproven("one")


# Old state.


def _copy(machine: Machine) -> None:
    machine.run(f"cp -a {STATE} /root/copy; cp -a /var/lib/sendrecv /root/records")


def _put_back(machine: Machine, *, stop: bool, records: bool = False) -> None:
    """From the copy: of the receiver's state, or also of the senders' records."""
    units = "receiver.socket receiver" + (" sendrecv@one.target" if records else "")
    if stop:
        machine.run(f"systemctl stop {units}")
    machine.run(f"rm -rf {STATE}/*; cp -a /root/copy/. {STATE}/")
    if records:
        machine.run("rm -rf /var/lib/sendrecv/*; cp -a /root/records/. /var/lib/sendrecv/")
    if stop:
        machine.run("systemctl start receiver.socket")
    if records:
        machine.run("systemctl start sender@one")


def _while_it_runs(machine: Machine) -> None:
    _put_back(machine, stop=False)


def _while_it_is_stopped(machine: Machine) -> None:
    _put_back(machine, stop=True)


def _with_the_records(machine: Machine) -> None:
    _put_back(machine, stop=True, records=True)


def _with_no_mark(machine: Machine) -> None:
    machine.run("systemctl stop receiver.socket receiver")
    machine.run(f"rm -rf {STATE}/* {MARK}; cp -a /root/copy/. {STATE}/")
    machine.run("systemctl start receiver.socket")


def _with_nobody_to_ask(machine: Machine) -> None:
    """All wait until the journal can be asked, for nobody else knows what was printed."""
    machine.run("systemctl mask --runtime --now sendrecv-journal.socket")
    after = machine.cursor()
    _put_back(machine, stop=True)
    machine.wait_entry(
        lambda entry: "and the journal cannot be asked" in str(entry.get("MESSAGE")),
        "_SYSTEMD_UNIT=receiver.service",
        after=after,
    )
    time.sleep(1)
    machine.run("systemctl unmask --runtime sendrecv-journal.socket")
    machine.run("systemctl start sendrecv-journal.socket")


def _with_only_the_sender_to_ask(machine: Machine) -> None:
    """No mark, as after a reboot, and a journal that has forgotten."""
    machine.run("systemctl stop receiver.socket receiver; journalctl --sync")
    machine.run(f"rm -rf {STATE}/* {MARK}; cp -a /root/copy/. {STATE}/")
    machine.run("journalctl --rotate --vacuum-size=1; systemctl start receiver.socket")
    machine.wait_entry(
        lambda entry: str(entry.get("MESSAGE")).startswith("unproven {"),
        "_SYSTEMD_UNIT=receiver.service",
    )


def _without_its_log(machine: Machine) -> None:
    machine.run(f"rm {STATE}/ledger.db-wal")


def _killed_without_its_log(machine: Machine) -> None:
    machine.run(f"systemctl kill -s STOP receiver; rm {STATE}/ledger.db-wal; {KILL}")


@pytest.mark.parametrize(
    "harm",
    [
        _while_it_runs,
        _while_it_is_stopped,
        _with_the_records,
        _with_no_mark,
        _with_nobody_to_ask,
        _with_only_the_sender_to_ask,
        _without_its_log,
        _killed_without_its_log,
    ],
    ids=lambda harm: harm.__name__.strip("_"),
)
def test_old_state_is_not_believed(machine: Machine, harm: Callable[[Machine], None]) -> None:
    # A sender that has died meanwhile, on a busy machine, does not know what it had sent.
    with observed(machine, "one", but_unproven=harm is _with_only_the_sender_to_ask) as observer:
        _copy(machine)
        observer.wait_for_more("one", 30)
        machine.run("systemctl stop sender@one")  # from here on another nodeID counts
        observer.wait_for_more("one", 30)
        harm(machine)
        observer.wait_for_more("one", 30)
    epochs = machine.run("journalctl -q -o cat -u receiver | grep -o 'epoch\": [0-9]*'").stdout
    numbers = [int(line.split()[1]) for line in epochs.splitlines()]
    assert numbers == sorted(set(numbers)), numbers


MANY = 150_000


def test_old_state_that_does_not_know_an_app_which_stopped_long_ago(machine: Machine) -> None:
    """Its last lines are the oldest of those that the state does not know."""
    with observed(machine, "one") as observer:
        observer.wait_for_more("one", 20)
        _copy(machine)
        observer.wait_for_more("one", 30)
        machine.run("systemctl stop sendrecv@one.target")
        fast = App(machine, "fast", "SENDRECV_INTERVAL=0")
        fast.start()
        newest = "journalctl -q -o cat -u receiver -n 200 | grep -o 'count\": [0-9]*' | tail -n 1"

        def counted(enough: int) -> bool:
            return int(machine.run(newest).stdout.split()[-1]) > enough

        for enough in range(0, MANY + 1, MANY // 5):  # it is a matter of speed
            machine.wait_until(partial(counted, enough), f"{enough} counts of fast")
        machine.run("systemctl stop sendrecv@fast.target")
        _put_back(machine, stop=True, records=True)


# The start does not hang on journald.


def test_a_flood_holds_up_nobody(machine: Machine) -> None:
    """journald forwards not all of a flood, so its own journal is the witness here."""
    machine.put(TOP / "tests/lab/flood.py", "/opt/flood.py")
    app = App(machine, "one", "SENDRECV_INTERVAL=0.2")
    app.start()
    flood = "systemd-run -q --uid=nobody --unit=flood{} python3 /opt/flood.py"
    machine.run("; ".join(flood.format(number) for number in range(3)))
    time.sleep(2)
    for _ in range(3):
        with app.counts_from():  # the flood takes nearly all of two cores
            machine.run(KILL)
    assert machine.show("flood0", "ActiveState") == "active"
    machine.run("systemctl stop flood0 flood1 flood2; journalctl --sync")
    app.assert_sound()


def test_a_full_run_directory_keeps_nobody_from_starting(machine: Machine) -> None:
    with observed(machine, "one") as observer:
        machine.run("mount -o remount,size=8m /run; dd if=/dev/zero of=/run/filler bs=64k || :")
        for _ in range(3):
            machine.run(KILL)
            observer.wait_for_more("one")
        machine.run(f"rm {MARK}; systemctl restart receiver; {KILL}")
        observer.wait_for_more("one")
        machine.run("rm /run/filler")


def test_files_of_another_user_are_named_and_waited_for(machine: Machine) -> None:
    with observed(machine, "one") as observer:
        machine.run(f"chown root: {STATE}/*; {KILL}")
        said = machine.wait_entry(
            lambda entry: "waiting until it can be used" in str(entry.get("MESSAGE")),
            "SYSLOG_IDENTIFIER=receiver",
        )
        assert f"{STATE}/lock: Permission denied" in said["MESSAGE"]
        time.sleep(3)
        lines = machine.run("journalctl -q -o cat -u receiver -p warning | grep -c waiting").stdout
        assert int(lines) == 1
        machine.run(f"chown sendrecv-receiver: {STATE}/*")
        observer.wait_for_more("one")


# Who asks the journal.


def test_only_the_receiver_may_ask_the_journal(machine: Machine) -> None:
    App(machine, "one").start()
    reader = "/run/sendrecv-journal.socket"
    assert machine.run(f"stat -c '%U %a' {reader}").stdout == "sendrecv-receiver 600\n"
    ask = f"""python3 -c "
import socket
s = socket.socket(socket.AF_UNIX); s.connect('{reader}'); s.settimeout({HANG / 2})
s.sendall(b'REQUEST\\n'); f = s.makefile()
for line in f:
    print(line, end='')
    if line.startswith(('end', 'failed')): break
" """
    as_receiver = f"setpriv --reuid=sendrecv-receiver --clear-groups {ask}"
    assert machine.run(f"setpriv --reuid=sendrecv --clear-groups {ask}", check=False).returncode
    said = {
        request: machine.run(as_receiver.replace("REQUEST", request)).stdout
        for request in ("files", "lines - 0 2", "sync", "lines /etc 0 2", "bounds x", "", "x" * 300)
    }
    assert "/system.journal:" in said["files"] and said["files"].endswith("\nend\n")
    assert said["lines - 0 2"].count('"count"') == 2
    assert said["sync"] == "end\n"
    for request in ("lines /etc 0 2", "bounds x", "", "x" * 300):
        assert said[request].startswith("failed no such request"), request
