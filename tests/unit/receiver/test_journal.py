"""The client of journal-reader, on a real socket; the reader is one of the test's own.

The system tests have the real one, with journald.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from sendrecv.core.lines import line_of
from sendrecv.core.recovery import Bounds
from sendrecv.receiver import journal
from sendrecv.receiver.journal import MAX_LINE, TRIES, JournalReader, Unreadable

HERE, OLD = "a" * 32, "b" * 32


class Reader:
    """Answers by request: lines, or what makes them; "" for its death. A line that ends in a
    backslash is cut off there. Attribute asked: the requests, in order.
    """

    def __init__(self, address: Path) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, list[str] | Callable[[], Iterable[str]]] = {
            "files": ["system.journal:1:2", "end"],
            "sync": ["end"],
        }
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(address))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def has(self, boot: str, *lines: tuple[float, str]) -> None:
        """All lines of that boot, the newest first: its seconds and the text."""
        self.answers[f"lines {boot}"] = [
            *(f"{HERE if boot == '-' else boot} {int(at * 1e6)} {text}" for at, text in lines),
            "end",
        ]

    def end(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        # The client has read enough, or has given up.
        with contextlib.suppress(OSError), peer, peer.makefile("rb") as requests:
            for line in requests:
                request = line.decode("ascii").strip()
                self.asked.append(request)
                key = request if request in self.answers else " ".join(request.split()[:2])
                answer = self.answers[key]
                for text in answer if isinstance(answer, list) else answer():
                    if text == "":  # it is killed
                        return
                    peer.sendall(text.encode() + (b"" if text.endswith("\\") else b"\n"))


@pytest.fixture(name="reader")
def fixture_reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path / "sock")
    yield reader
    reader.end()


@pytest.fixture(name="client")
def fixture_client(tmp_path: Path) -> JournalReader:
    return JournalReader(str(tmp_path / "sock"))


def counted(app_id: str, count: int) -> str:
    return line_of(app_id, "main", count).rstrip("\n")


def test_what_the_journal_has_of_some_boots(reader: Reader, client: JournalReader) -> None:
    reader.has(HERE, (9.5, counted("one", 8)), (8.25, "session of nobody"), (8, counted("one", 7)))
    reader.has(OLD, (99, counted("two", 3)))
    reader.answers[f"bounds {HERE}"] = ["1000000 9500000", "end"]
    reader.answers[f"bounds {OLD}"] = ["end"]  # it has nothing of that boot
    reading = client.read_boots({OLD: 7.0, HERE: 5.5}, ["one", "two", "three"])
    rows = {name: row.last for name, row in reading.known.rows.items()}
    assert rows == {"one": 8, "two": 3} and reading.known.boots == {HERE: 9.5, OLD: 99}
    assert reading.since == {OLD: 7.0, HERE: 5.5}
    assert reading.bounds == {HERE: Bounds(1.0, 9.5)}
    assert [line for line in reader.asked if line.startswith("lines")] == [
        f"lines {OLD} 7000000 1000000",
        f"lines {HERE} 5500000 1000000",
    ]


def test_it_reads_no_more_than_it_takes_to_see_each_app(
    reader: Reader, client: JournalReader
) -> None:
    """The reader's answer goes on, and is not waited for."""
    told = [f"{HERE} 9 {counted('one', 8)}", f"{HERE} 8 {counted('two', 5)}"]
    reader.answers[f"lines {HERE}"] = told
    reader.answers[f"bounds {HERE}"] = ["end"]
    reading = client.read_boots({HERE: 0.0}, ["two"])
    assert {name: row.last for name, row in reading.known.rows.items()} == {"one": 8, "two": 5}


def test_the_last_lines_of_all_boots(reader: Reader, client: JournalReader) -> None:
    """If there are more of them than were asked for, the reading says from when on it is whole."""
    reader.has("-", (9, counted("one", 8)), (8.5, counted("one", 7)))
    assert client.read_all(3).since == {"-": 0.0}
    reading = client.read_all(2)
    assert reading.since == {"-": 8.5} and not reading.bounds
    assert reading.known.rows["one"].last == 8
    assert "lines - 0 2" in reader.asked


def test_a_file_that_was_rotated_meanwhile_is_read_again(
    reader: Reader, client: JournalReader
) -> None:
    files = iter([1, 2, 3, 3])
    reader.answers["files"] = lambda: [str(next(files)), "end"]
    counts = iter([8, 9])
    reader.answers["lines -"] = lambda: [f"{HERE} 5 {counted('one', next(counts))}", "end"]
    assert client.read_all(10).known.rows["one"].last == 9
    assert reader.asked.count("lines - 0 10") == 2


def test_files_that_change_all_the_time(reader: Reader, client: JournalReader) -> None:
    reader.has("-")
    reader.answers["files"] = lambda: [str(len(reader.asked)), "end"]
    with pytest.raises(Unreadable, match=f"^its files changed each of {TRIES} times"):
        client.read_all(10)
    assert reader.asked.count("lines - 0 10") == TRIES


def test_a_reader_that_fails_once_is_asked_again(reader: Reader, client: JournalReader) -> None:
    """A file that it had listed was renamed before it looked at it, for example."""
    reader.has("-", (9, counted("one", 8)))
    answers = iter(["failed no such file", "1", "1"])
    reader.answers["files"] = lambda: [next(answers), "end"]
    assert client.read_all(10).known.rows["one"].last == 8


BACK = "lines - 0 2000000000"


def test_all_lines_back_to_a_time_of_a_boot(reader: Reader, client: JournalReader) -> None:
    """What comes before is not waited for."""
    reader.answers[BACK] = [
        f"{HERE} 5 {counted('one', 8)}",
        f"{OLD} 9000000 {counted('two', 5)}",
        f"{HERE} 1 {counted('three', 1)}",
        f"{OLD} 7000000 {counted('four', 3)}",
        f"{OLD} 6999999 {counted('five', 3)}",
    ]
    known = client.read_back(OLD, 7.0).known
    assert {name: row.last for name, row in known.rows.items()} == {
        "one": 8,
        "two": 5,
        "three": 1,
        "four": 3,
    }


def test_reading_back_ends_where_the_journal_begins(reader: Reader, client: JournalReader) -> None:
    reader.answers[BACK] = [f"{HERE} 5 {counted('one', 8)}", "end"]
    assert client.read_back(OLD, 7.0).known.rows["one"].last == 8
    reader.answers[BACK] = ["end"]
    assert not client.read_back("", 0.0).known.rows


def test_reading_back_may_take_as_long_as_it_takes(
    reader: Reader, client: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So long as lines come: the limit is for the next one."""
    pauses = []

    def lines() -> Iterator[str]:
        for count in range(5, 0, -1):
            time.sleep(0.7)
            pauses.append(count)
            yield f"{HERE} 5 {counted('one', count)}"
        yield "end"

    monkeypatch.setattr(journal, "PATIENCE", 3.0)
    reader.answers[BACK] = lines
    assert client.read_back(OLD, 7.0).known.rows["one"].last == 5
    assert len(pauses) == 5


def test_a_file_that_is_rotated_before_the_first_line_is_read_again(
    reader: Reader, client: JournalReader
) -> None:
    """After it, journalctl has opened all files: see JournalReader."""
    files = iter([1, 2, 3, 3, 4])
    reader.answers["files"] = lambda: [str(next(files)), "end"]
    counts = iter([8, 9])
    reader.answers[BACK] = lambda: [f"{HERE} 5 {counted('one', next(counts))}", "end"]
    assert client.read_back(OLD, 7.0).known.rows["one"].last == 9
    assert reader.asked.count(BACK) == 2 and next(files) == 4


def test_sync_waits_for_the_answer(reader: Reader, client: JournalReader) -> None:
    client.sync()
    assert reader.asked == ["sync"]
    reader.answers["sync"] = ["failed journald is too busy"]
    with pytest.raises(Unreadable, match="^journald is too busy$"):
        client.sync()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (["failed journalctl: 1"], "journalctl: 1"),
        ([""], "no answer"),
        ([f"{HERE} 5 a line", ""], "no answer"),
        ([f"{HERE} 5 half a line\\", ""], "no answer"),
        (["x" * 2 * MAX_LINE, "end"], "no answer"),
    ],
    ids=["it says so", "at once", "after a line", "within a line", "a line without end"],
)
def test_an_answer_that_is_not_whole(
    reader: Reader, client: JournalReader, answer: list[str], why: str
) -> None:
    """As when journal-reader is killed. What has come of it is no reason."""
    reader.answers["lines -"] = answer
    with pytest.raises(Unreadable) as failure:
        client.read_all(10)
    assert str(failure.value) == why


def test_a_reader_that_is_silent(
    reader: Reader, client: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PATIENCE", 0.1)
    reader.answers["sync"] = []
    with pytest.raises(Unreadable, match="^.*/sock: timed out$"):
        client.sync()


def test_a_reader_that_never_comes_to_an_end(
    reader: Reader, client: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line comes in time; all of them do not."""
    monkeypatch.setattr(journal, "PATIENCE", 0.1)
    reader.answers["sync"] = [f"{HERE} 5 a line"] * 1_000_000
    with pytest.raises(Unreadable, match="(it takes too long|timed out)$"):
        client.sync()


def test_nobody_listens(tmp_path: Path) -> None:
    address = str(tmp_path / "none")
    with pytest.raises(Unreadable, match=f"^{address}: {os.strerror(2)}$"):
        JournalReader(address).sync()
