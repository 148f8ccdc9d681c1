"""Questions about the journal, which the receiver may not read itself: a client of journal-reader.

The protocol is in systemd/journal-reader. Nothing is read without a limit, of time or of lines;
whatever goes wrong is Unreadable, and the receiver then decides without the journal.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import BinaryIO, Protocol

from sendrecv.core.recovery import Bounds, JournalReading, Known

ADDRESS = "/run/sendrecv-journal.socket"
PATIENCE = 20.0
"""Seconds for one reading, with its repetitions; for the next line, if the lines have no limit."""
TRIES = 10
"""How often a reading is repeated that failed, or during which a journal file was renamed or
removed."""
NEWEST = 1000
"""Lines that show whether a ledger is older than what was printed: any newer one would do."""
MAX_LINES = 1_000_000
"""Lines that are read of one boot."""
ALL = 2_000_000_000
"""Lines: more than a journal has."""
MAX_LINE = 65_536
"""Bytes of one line of an answer."""


class Unreadable(Exception):
    """There is no complete reading of the journal. The text says why."""


class _Passing(Unreadable):
    """It may be over at once: a file was renamed or removed."""


class Journal(Protocol):
    """What a start asks. Each raises Unreadable.

    A reading is repeated until no journal file was renamed, made or removed meanwhile.
    """

    def read_boots(self, since: Mapping[str, float], wanted: Iterable[str]) -> JournalReading:
        """The boots, in that order, each backwards to so many seconds of its monotonic clock; not
        more of them than it takes to see a payload of each App in `wanted`.
        """

    def read_all(self, lines: int) -> JournalReading:
        """The last lines of all boots, so many."""

    def read_back(self, boot: str, since: float) -> JournalReading:
        """All lines since then, in seconds of that boot's monotonic clock, and all of later boots.
        All that there are, if there are none of that boot. It takes as long as it takes.
        """

    def sync(self) -> None:
        """Returns when journald has taken all that was sent to it before."""

    def store(self) -> None:
        """Journald is asked the same, and not waited for: a failure is nobody's business."""


class JournalReader:
    """The Journal that asks journal-reader."""

    def __init__(self, address: str = ADDRESS) -> None:
        self._address = address

    def read_boots(self, since: Mapping[str, float], wanted: Iterable[str]) -> JournalReading:
        """See Journal."""
        return self._read(since, MAX_LINES, set(wanted))

    def read_all(self, lines: int) -> JournalReading:
        """See Journal."""
        return self._read({"-": 0.0}, lines, None)

    def read_back(self, boot: str, since: float) -> JournalReading:
        """See Journal."""
        return _again(lambda: self._read_back(boot, since))

    def _read_back(self, boot: str, since: float) -> JournalReading:
        """journalctl opens all files before it shows the first line, and what is open can be read
        to its end, whatever becomes of its name. So the files have to be the same until then.
        """
        known = Known()
        before = self._files()
        with self._connected(PATIENCE) as ask:
            number = 0
            for number, line in enumerate(ask(f"lines - 0 {ALL}", for_each=PATIENCE), 1):
                of_boot, microseconds, text = line.split(" ", 2)
                at = int(microseconds) / 1e6
                if number == 1:
                    _assert_same(before, self._files())
                if of_boot == boot and at < since:
                    break
                known.add(of_boot, at, text)
        if not number:
            _assert_same(before, self._files())
        return JournalReading(known, {}, {})

    def sync(self) -> None:
        """See Journal."""
        with self._connected(PATIENCE) as ask:
            list(ask("sync"))

    def store(self) -> None:
        """See Journal."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.setblocking(False)
            connection.connect(self._address)
            connection.sendall(b"sync\n")

    def _read(
        self, since: Mapping[str, float], limit: int, wanted: set[str] | None
    ) -> JournalReading:
        deadline = time.monotonic() + PATIENCE
        return _again(lambda: self._read_once(deadline, since, limit, wanted))

    def _read_once(
        self, deadline: float, since: Mapping[str, float], limit: int, wanted: set[str] | None
    ) -> JournalReading:
        with self._connected(deadline - time.monotonic()) as ask:
            before = list(ask("files"))
            bounds = {boot: found for boot in since if (found := _bounds(ask, boot))}
        # In a connection of its own, which is ended when enough has been seen.
        with self._connected(deadline - time.monotonic()) as ask:
            known, complete = _lines(ask, since, limit, wanted)
        _assert_same(before, self._files(deadline - time.monotonic()))
        return JournalReading(known, complete, bounds)

    def _files(self, at_most: float = PATIENCE) -> list[str]:
        with self._connected(at_most) as ask:
            return list(ask("files"))

    @contextlib.contextmanager
    def _connected(self, at_most: float) -> Iterator[_Session]:
        """A connection for so many seconds."""
        deadline = time.monotonic() + at_most
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(max(at_most, 0.001))
            try:
                connection.connect(self._address)
                # The connection is closed once both are.
                with connection.makefile("rb") as answers:
                    yield _Session(connection, answers, deadline)
            except OSError as error:
                raise Unreadable(f"{self._address}: {error.strerror or error}") from None


def _again(read: Callable[[], JournalReading]) -> JournalReading:
    """What it returns; it is tried again if it failed for what may be over at once."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(_Passing):
            return read()
    return read()


def _assert_same(before: list[str], after: list[str]) -> None:
    """Of the journal's files."""
    if after != before:
        raise _Passing(f"its files changed each of {TRIES} times that they were read")


class _Session:
    """One connection: call it with a request, and iterate over the lines of the answer."""

    def __init__(self, connection: socket.socket, answers: BinaryIO, deadline: float) -> None:
        self._connection = connection
        self._answers = answers
        self._deadline = deadline

    def __call__(self, request: str, for_each: float = 0.0) -> Iterator[str]:
        """for_each: seconds for each line of the answer, in place of those for all of it."""
        self._connection.sendall(f"{request}\n".encode("ascii"))
        while True:
            left = for_each or self._deadline - time.monotonic()
            if left <= 0:
                raise Unreadable("it takes too long")
            self._connection.settimeout(left)
            line = self._answers.readline(MAX_LINE).decode("utf-8", "replace")
            if line == "end\n":
                return
            if not line.endswith("\n"):  # it was killed, and what has come of the line is no reason
                raise Unreadable("no answer")
            if line.startswith("failed "):
                raise _Passing(line.removeprefix("failed ").strip())
            yield line[:-1]


def _bounds(ask: _Session, boot: str) -> Bounds | None:
    if boot == "-":
        return None
    for line in list(ask(f"bounds {boot}")):
        first, last = line.split()
        return Bounds(int(first) / 1e6, int(last) / 1e6)
    return None


def _lines(
    ask: _Session, since: Mapping[str, float], limit: int, wanted: set[str] | None
) -> tuple[Known, dict[str, float]]:
    """What the lines tell; and for each boot, from when on they are all in it."""
    known, complete = Known(), dict(since)
    unseen = None if wanted is None else set(wanted)
    for boot, start in since.items():
        number = 0
        for number, line in enumerate(ask(f"lines {boot} {int(start * 1e6)} {limit}"), 1):
            of_boot, microseconds, text = line.split(" ", 2)
            seen = known.add(of_boot, int(microseconds) / 1e6, text)
            if unseen is not None and seen in unseen:
                unseen.discard(seen)
                if not unseen:
                    return known, complete
            if number == limit:
                complete[boot] = int(microseconds) / 1e6
    return known, complete
