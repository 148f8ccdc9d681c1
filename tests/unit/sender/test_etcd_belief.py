"""What a host does not believe of etcd's record, where etcd has not proven who it is."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sendrecv.core.errors import ERROR, NOTICE
from sendrecv.core.lease import encode
from sendrecv.core.reach import EPOCHS, MOST_UNKNOWN, SPARE, App
from sendrecv.core.record import Record
from sendrecv.core.sender_events import Accepted
from sendrecv.core.values import SECOND
from sendrecv.sender.etcd_belief import Doubts
from sendrecv.sender.etcd_lease import NO_BOOT
from tests.unit.sender.hosts_of_etcd import Cluster, Host

BOOT = "b" * 32
APP = App("one", "a", "1" * 32, BOOT, SECOND)
HOUR = 3600
LONG = 20 * 365 * 24 * HOUR
"""Longer than this machine has been up, which counts as well."""
SLOW = 600
"""Counts: the test may take so many half seconds."""


def record(count: int, epoch: int = 6, *, heard: float = 0.0, boot: str = NO_BOOT) -> Record:
    """heard: seconds ago, 0 for never."""
    at = int(time.time() - heard) if heard else 0
    return Record("one", epoch, count, count, time.monotonic_ns(), boot, "a", "2" * 32, at)


class Asked:
    """Doubts, and what they say."""

    def __init__(self, accepted: Accepted | None = None) -> None:
        self.accepted = accepted
        self.said: list[tuple[int, str]] = []
        self.doubts = Doubts(APP, lambda: self.accepted, lambda *line: self.said.append(line))

    def why(self, there: Record, own: Record | None) -> str:
        return self.doubts.why(there, own)


@pytest.mark.parametrize(
    ("own", "most"),
    [
        (lambda: record(41, boot=BOOT), 41 + SPARE),
        (lambda: record(41, heard=LONG), 41 + SPARE + 2 * LONG),
        # How old they are is not known, or there is none.
        (lambda: record(41), MOST_UNKNOWN),
        (lambda: record(-1), MOST_UNKNOWN),
        (lambda: None, MOST_UNKNOWN),
    ],
)
def test_counts_that_the_app_can_have_reached(own: Callable[[], Record | None], most: int) -> None:
    asked, known = Asked(), own()
    assert asked.why(record(most), known) == ""
    assert asked.why(record(most + SLOW), known) == (
        f"etcd's count {most + SLOW} is not believed (see the journal)"
    )


def test_epochs_that_the_app_can_have_reached() -> None:
    own = record(41, 6, heard=HOUR)
    assert Asked().why(record(41, 6 + EPOCHS), own) == ""
    asked = Asked()
    assert asked.why(record(41, 7 + EPOCHS), own).startswith("etcd's epoch ")
    assert asked.said[0][1].endswith(f"run: sendrecv accept one --epoch {7 + EPOCHS}")


def test_it_is_said_once_and_a_person_decides() -> None:
    asked, own = Asked(), record(41, heard=HOUR)
    for more in range(3):
        assert asked.why(record(10**9 + more), own)
    asked.accepted = Accepted(10**9 - 1)
    assert asked.why(record(10**9), own)
    asked.accepted = Accepted(10**9)
    assert asked.why(record(10**9), own) == ""
    assert [line for line in asked.said if line[0] == ERROR] == [
        (
            ERROR,
            "etcd's record has count 1000000000, but this App was at 41 here and cannot have come"
            " so far, so this host stands by: if etcd is the right one, run: sendrecv accept one"
            " --count 1000000000",
        )
    ]
    assert asked.said[-1] == (NOTICE, "accepted by a person: count 1000000000")


def test_a_clock_that_was_wrong_at_the_start_may_be_right_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, own, there = Asked(), record(41, heard=HOUR), record(41 + HOUR)
    right = time.time_ns
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: 0)
        patch.setattr(time, "monotonic_ns", lambda: SECOND)
        assert asked.why(there, own)
    assert time.time_ns is right and asked.why(there, own) == ""


def test_a_host_takes_nothing_from_an_etcd_that_it_does_not_believe(
    cluster: Cluster, a: Host, tmp_path: Path
) -> None:
    """Not the App, nor what it says; and once the right etcd is back, all is as if nothing was."""
    a.takes()
    a.commit(7)
    right = cluster.holding()
    cluster.is_proven = False
    host = Host(cluster, tmp_path, "b")
    host.store.lease.keep(right.record.replace(heard=int(time.time()), boot=NO_BOOT))
    billion = right.record.replace(epoch=50, count=10**9, acknowledged=10**9)
    cluster.write(encode(right.replace(record=billion, released=True)))
    revision = cluster.revision
    assert host.stand_by(10) is None
    assert cluster.revision == revision and len(host.statuses) == 40  # as often as usual
    said = "standing by, etcd's count 1000000000 is not believed (see the journal)"
    assert set(host.statuses) == {said}
    cluster.write(encode(right.replace(released=True)))
    assert (host.takes().count, cluster.holding().record.epoch) == (7, right.record.epoch + 1)
    host.local.release()
