"""The loop of a sender in this process: its lock, its end, and what each leaves behind.

With the real store, queue, clock and connection. test_main.py has it as a process.
"""

import fcntl
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest

from sendrecv import systemd
from sendrecv.core import record as slots
from sendrecv.core.reach import App
from sendrecv.core.values import SECOND
from sendrecv.errors import LockBusy, LockLost
from sendrecv.sender import loop
from sendrecv.backoff import Backoff
from sendrecv.sender.connection import Connection
from sendrecv.sender.loop import Arrival, Departure, MonotonicClock, Ports, Sender
from sendrecv.sender.store_file import StateFile
from tests.lab.reception import TOKEN, Reception, silent_notifier
from tests.lab.waiting import HANG, wait_until

NOBODY = "http://127.0.0.1:1"
APP = App("one", "main", "0123456789abcdef" * 2, "b" * 32, SECOND // 50)
HOLD = """
import fcntl, sys
with open(sys.argv[1], "ab") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("sockets_left"),
]


def sender_on(
    directory: Path,
    url: str,
    notifier: systemd.Notifier,
    tell: Callable[[App, Arrival | Departure], None] = lambda *_: None,
) -> Sender:
    return Sender(
        APP,
        Ports(
            store=StateFile(directory / "one.record"),
            connect=partial(Connection, url, TOKEN),
            notifier=notifier,
            backoff=Backoff(str(directory / "one.starts")),
            clock=MonotonicClock(),
            events=SimpleQueue(),
            tell=tell,
        ),
    )


def newest(directory: Path) -> slots.Record:
    record = slots.decode((directory / "one.record").read_bytes()).record
    assert record
    return record


def is_locked(directory: Path) -> bool:
    with (directory / "one.record").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


# The lock


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch) -> Iterator[systemd.Notifier]:
    """A notifier that shows each 50 ms that this process is starting, to nobody."""
    monkeypatch.setattr(systemd, "START_SLICE", 0.05)
    before = signal.getsignal(signal.SIGALRM)
    notifier = silent_notifier()
    notifier.starting()
    yield notifier
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def predecessor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has the App's lock until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "one.record")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.usefixtures("predecessor")
def test_a_lock_that_stays_held(
    tmp_path: Path, starting: systemd.Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOCK_PATIENCE", 0.2)
    with pytest.raises(
        LockBusy, match="another process holds the lock of App one: perhaps another"
    ):
        sender_on(tmp_path, NOBODY, starting).acquire()


def test_a_predecessor_that_ends_is_waited_for(
    tmp_path: Path, starting: systemd.Notifier, predecessor: subprocess.Popen[str]
) -> None:
    end = threading.Timer(0.3, predecessor.kill)  # several of the signals that interrupt the wait
    end.start()
    sender = sender_on(tmp_path, NOBODY, starting)
    sender.acquire()
    assert predecessor.wait(HANG) == -signal.SIGKILL
    end.join()
    assert is_locked(tmp_path)
    sender.stop()
    sender.run()
    assert newest(tmp_path).epoch == 1 and not is_locked(tmp_path)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_lock_that_was_lost_ends_it_before_anything_else(tmp_path: Path, replaced: bool) -> None:
    sender = sender_on(tmp_path, NOBODY, silent_notifier())
    sender.acquire()
    path = tmp_path / "one.record"
    path.unlink()
    if replaced:
        path.touch()
    with pytest.raises(LockLost):
        sender.run()
    assert not replaced or not path.read_bytes()


# The end


def test_a_stop_before_the_first_event(tmp_path: Path) -> None:
    """The record has the new epoch, and the streak of starts goes on."""
    (tmp_path / "one.starts").write_text("7 1.0\n", encoding="ascii")
    sender = sender_on(tmp_path, NOBODY, silent_notifier())
    sender.acquire()
    assert is_locked(tmp_path)
    sender.stop()
    sender.run()
    assert (newest(tmp_path).epoch, newest(tmp_path).count) == (1, -1)
    assert not is_locked(tmp_path) and (tmp_path / "one.starts").exists()


def test_each_run_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """Each count is printed once, and the streak of starts ends with the first answer."""
    reception_directory = tmp_path / "reception"
    reception_directory.mkdir()
    with Reception(reception_directory) as reception:
        (tmp_path / "one.starts").write_text("7 1.0\n", encoding="ascii")
        url = f"http://127.0.0.1:{reception.address[1]}"
        for epoch in (1, 2, 3):
            least = len(reception.printed()) + 5
            reception.do(_run_until_printed, tmp_path, url, reception, least)
            record = newest(tmp_path)
            assert record.epoch == epoch and not is_locked(tmp_path)
            assert record.acknowledged == len(reception.printed()) - 1
            assert not (tmp_path / "one.starts").exists()
        assert reception.printed() == [
            f'{{"count": {count}, "appID": "one", "nodeID": "main"}}'
            for count in range(newest(tmp_path).acknowledged + 1)
        ]


def _run_until_printed(
    directory: Path,
    url: str,
    reception: Reception,
    least: int,
    tell: Callable[[App, Arrival | Departure], None] = lambda *_: None,
) -> None:
    sender = sender_on(directory, url, silent_notifier(), tell)
    sender.acquire()
    thread = threading.Thread(target=sender.run)
    thread.start()
    wait_until(lambda: len(reception.printed()) >= least, f"{least} lines")
    sender.stop()
    thread.join(HANG)
    assert not thread.is_alive()


# What it tells


def test_it_tells_once_that_it_counts_and_once_that_it_ends(tmp_path: Path) -> None:
    """The former when the first count is accepted: an earlier word would delay that."""
    reception_directory = tmp_path / "reception"
    reception_directory.mkdir()
    with Reception(reception_directory) as reception:
        url = f"http://127.0.0.1:{reception.address[1]}"
        told: list[Arrival | Departure] = []
        printed: list[int] = []

        def tell(app: App, news: Arrival | Departure) -> None:
            assert app == APP
            printed.append(len(reception.printed()))
            told.append(news)

        reception.do(_run_until_printed, tmp_path, url, reception, 3, tell)
        left = newest(tmp_path)
        reception.do(_run_until_printed, tmp_path, url, reception, left.count + 4, tell)
    first, end, second = told[0], told[1], told[2]
    assert isinstance(first, Arrival) and isinstance(second, Arrival)
    assert (first.before, first.epoch, first.first) == (None, 1, 0)
    assert end == Departure(left.count)
    assert (second.before, second.epoch, second.first) == (left, 2, left.acknowledged + 1)
    assert printed[0] > 0 and printed[2] > left.acknowledged


def test_it_tells_of_its_own_first_count_where_the_receiver_has_none(tmp_path: Path) -> None:
    """Another receiver had all before."""
    store = StateFile(tmp_path / "one.record")
    store.acquire()
    store.commit(slots.Record("one", 3, 41, 41, 0, APP.boot, "failover", "0" * 32))
    store.release()
    reception_directory = tmp_path / "reception"
    reception_directory.mkdir()
    told: list[Arrival | Departure] = []
    with Reception(reception_directory) as reception:
        url = f"http://127.0.0.1:{reception.address[1]}"
        tell = partial(_keep, told)
        reception.do(_run_until_printed, tmp_path, url, reception, 1, tell)
        assert '"count": 42' in reception.printed()[0]
    assert isinstance(told[0], Arrival) and told[0].first == 42


def _keep(told: list[Arrival | Departure], _app: App, news: Arrival | Departure) -> None:
    told.append(news)


def test_without_a_receiver_it_tells_after_a_time_that_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TELL_AFTER", 0.1)
    told: list[Arrival | Departure] = []

    def tell(_app: App, news: Arrival | Departure) -> None:
        told.append(news)
        sender.stop()

    sender = sender_on(tmp_path, NOBODY, silent_notifier(), tell)
    sender.acquire()
    sender.run()
    assert len(told) == 2
    first, end = told[0], told[1]
    assert isinstance(first, Arrival) and (first.first, first.count) == (-1, -1)
    assert end == Departure(-1)


def test_a_sender_that_has_not_told_that_it_counts_does_not_tell_that_it_ends(
    tmp_path: Path,
) -> None:
    told: list[Arrival | Departure] = []
    sender = sender_on(tmp_path, NOBODY, silent_notifier(), lambda _, news: told.append(news))
    sender.acquire()
    sender.stop()
    sender.run()
    assert not told
