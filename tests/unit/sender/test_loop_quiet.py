"""How often a sender's loop wakes up: once for each count, and then it pings its watchdog too."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest

from sendrecv.backoff import Backoff
from sendrecv.core.reach import App
from sendrecv.core.sender_events import (
    Answered,
    Connected,
    Resumed,
    SenderEvent,
    StopAsked,
    TimePassed,
)
from sendrecv.core.values import MILLISECOND
from sendrecv.core.wire import Claim, Status
from sendrecv.sender.loop import MonotonicClock, Ports, Sender
from sendrecv.sender.store_file import StateFile
from tests.lab.reception import silent_notifier

LAST = 30
"""The last count of these Apps."""
Post = Callable[[SenderEvent], None]


class Events(SimpleQueue[SenderEvent]):
    """The queue of a loop, and what was put there."""

    def __init__(self) -> None:
        super().__init__()
        self.had: list[SenderEvent] = []

    def put(self, item: SenderEvent, block: bool = True, timeout: float | None = None) -> None:
        self.had.append(item)
        super().put(item, block, timeout)


class Receiver:
    """A connection that answers at once, and has the sender stop after LAST."""

    def __init__(
        self, batches: list[tuple[int, int]], post: Post, stop: Callable[[], None]
    ) -> None:
        self._batches = batches
        self._post = post
        self._stop = stop

    def resume(self, _last: int) -> None:
        self._post(Resumed(1, -1))

    def emit(self, first: int, last: int) -> None:
        self._batches.append((first, last))
        if last == LAST:
            self._stop()
        self._post(Answered(1, Status.ACCEPTED, last))

    def close(self) -> None:
        pass


def counting(directory: Path, make: type[Sender] = Sender) -> tuple[Events, list[tuple[int, int]]]:
    """A sender that has counted up to LAST: the events on its queue, and what it sent."""
    events, batches = Events(), list[tuple[int, int]]()

    def connect(_number: int, _claim: Claim, post: Post) -> Receiver:
        post(Connected(1))
        return Receiver(batches, post, sender.stop)

    sender = make(
        App("one", "main", "0" * 32, "b" * 32, 5 * MILLISECOND),
        Ports(
            store=StateFile(directory / "one.record"),
            connect=connect,
            notifier=silent_notifier(),
            backoff=Backoff(""),
            clock=MonotonicClock(),
            events=events,
        ),
    )
    sender.acquire()
    sender.run()
    return events, batches


def test_an_answer_that_leaves_nothing_to_do_wakes_nobody(tmp_path: Path) -> None:
    events, batches = counting(tmp_path)
    kinds = [type(event) for event in events.had]
    assert kinds[:3] == [Connected, Resumed, Answered]  # the first one is waited for, to be told
    assert kinds.count(Answered) <= 3 and StopAsked in kinds
    counts = [count for first, last in batches for count in range(first, last + 1)]
    assert counts == list(range(LAST + 1))


class LooksOnce(Sender):
    """As if each count were taken between the two looks of _post()."""

    looks = 0

    def _can_wait(self, event: SenderEvent) -> bool:
        self.looks += 1
        return super()._can_wait(event) and self.looks % 2 == 1


def test_a_count_that_was_taken_meanwhile_wakes_the_loop(tmp_path: Path) -> None:
    events, batches = counting(tmp_path, LooksOnce)
    assert [type(event) for event in events.had].count(TimePassed) > 5
    assert batches[-1][1] == LAST


@pytest.mark.parametrize(
    ("interval", "pings"),
    [(1.0, [0, 1, 2, 3]), (0.25, [0, 0.75, 1.5, 2.25, 3]), (10.0, [0, 1.04, 2.08, 3.12])],
)
def test_pings_come_with_the_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: float, pings: list[float]
) -> None:
    """And at least each 0.8 of the watchdog's limit."""
    monkeypatch.setenv("WATCHDOG_USEC", "1300000")
    notifier = silent_notifier()
    now, said = [100.0], list[float]()
    monkeypatch.setattr("sendrecv.systemd.time.monotonic", lambda: now[0])
    monkeypatch.setattr(notifier._notifier, "notify", lambda _text: said.append(now[0] - 100))
    store = StateFile(tmp_path / "one.record")
    app = App("one", "main", "0" * 32, "b" * 32, 0)

    def connect(_number: int, _claim: Claim, post: Post) -> Receiver:
        return Receiver([], post, lambda: None)

    make = partial(Ports, connect=connect, backoff=Backoff(""), clock=MonotonicClock())
    Sender(app, make(store=store, notifier=notifier, events=SimpleQueue()))
    due = 100.0
    while now[0] < 103.3:
        notifier.working("")
        due += interval * (now[0] >= due)
        now[0] = min(due, now[0] + notifier.until_ping())
    assert said == pytest.approx(pings)
