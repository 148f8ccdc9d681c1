"""The checker is worth what it catches: each kind of violation is planted, and must be found."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.judges.checker import (
    JOURNAL_STARTED,
    JOURNAL_STOPPED,
    STARTING,
    Kind,
    Where,
    check,
    where,
)

EXITED = "98e322203f7a4ed290d09fe03c09fe15"
SUCCEEDED = "7ad2d189f7e94e70a38c781354912448"

Entry = dict[str, Any]


def line(count: int, node: str = "main", at: float = 0, **other: Any) -> Entry:
    """What journald makes of one line of the receiver."""
    return {
        "_SYSTEMD_UNIT": "receiver.service",
        "_TRANSPORT": "stdout",
        "PRIORITY": "6",
        "_BOOT_ID": "a",
        "__MONOTONIC_TIMESTAMP": str(int((at or count) * 1e6)),
        "MESSAGE": f'{{"count": {count}, "appID": "x", "nodeID": "{node}"}}',
    } | other


def lag(seconds: float) -> dict[str, str]:
    """What an entry has that journald took so many seconds after it was sent."""
    return {
        "_SOURCE_REALTIME_TIMESTAMP": "5000000",
        "__REALTIME_TIMESTAMP": f"{5 + seconds:.0f}000000",
    }


def event(message: str, unit: str, run: str, at: float, **other: Any) -> Entry:
    """An entry of PID 1."""
    return {
        "_PID": "1",
        "MESSAGE_ID": message,
        "UNIT": f"{unit}@x.service",
        "INVOCATION_ID": run,
        "_BOOT_ID": "a",
        "__MONOTONIC_TIMESTAMP": str(int(at * 1e6)),
    } | other


TAKEOVER = [
    event(STARTING, "sender", "r1", 0.5),
    line(0, at=1),
    line(1, at=2),
    event(EXITED, "sender", "r1", 2.5),
    event(STARTING, "sender-failover", "r2", 2.6),
    line(2, "failover", at=3),
    event(SUCCEEDED, "sender-failover", "r2", 3.5),
    event(STARTING, "sender", "r3", 3.6),
    line(3, at=4.2),
]


def kinds(entries: Iterable[Entry]) -> list[Kind]:
    return [fault.kind for fault in check(entries).faults]


def test_a_good_journal_has_no_fault() -> None:
    verdict = check(TAKEOVER)
    assert not verdict.faults
    assert [run.how for run in verdict.runs["x"]] == ["process exited", "succeeded", ""]
    assert [entry.count for entry in verdict.lines["x"]] == [0, 1, 2, 3]
    longest = verdict.silences("x")[0]
    assert longest.seconds == pytest.approx(1.2)
    assert longest.before.count == 2


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ([line(0), line(1), line(1)], [Kind.DUPLICATE]),
        ([line(0), line(1), line(1, "failover")], [Kind.CONFLICT]),
        ([line(0), line(1), line(2), line(0, "failover")], [Kind.CONFLICT]),
        ([line(0), line(2)], [Kind.GAP]),
        ([line(1)], [Kind.GAP]),
        ([line(0), line(2), line(1)], [Kind.GAP, Kind.DISORDER]),
        # The successor starts before the predecessor's end, which comes late or never.
        (
            [*TAKEOVER[:3], TAKEOVER[4], event(EXITED, "sender", "r1", 2.7)],
            [Kind.OVERLAP],
        ),
        ([*TAKEOVER[:3], TAKEOVER[4]], [Kind.OVERLAP]),
        # The end is another run's, or another process says it.
        (
            [*TAKEOVER[:3], event(EXITED, "sender", "r0", 2.5), TAKEOVER[4]],
            [Kind.OVERLAP],
        ),
        (
            [*TAKEOVER[:3], event(EXITED, "sender", "r1", 2.5, _PID="77"), TAKEOVER[4]],
            [Kind.OVERLAP],
        ),
        # Two open runs, both before the third.
        (
            [
                event(STARTING, "sender", "r1", 1),
                event(STARTING, "sender-failover", "r2", 2),
                event(EXITED, "sender-failover", "r2", 3),
                event(STARTING, "sender-failover", "r3", 4),
            ],
            [Kind.OVERLAP, Kind.OVERLAP],
        ),
    ],
)
def test_a_planted_violation_is_found(planted: list[Entry], found: list[Kind]) -> None:
    assert kinds(planted) == found


def session(epoch: int, run: str, at: float) -> Entry:
    """The receiver's word that it has let a run in."""
    names = '"appID": "x", "nodeID": "main"'
    text = f'session {{{names}, "epoch": {epoch}, "run": "{run}", "last": 1}}'
    return line(0, at=at, PRIORITY="5", MESSAGE=text)


@pytest.mark.parametrize(
    ("sessions", "found"),
    [
        ([session(1, "r1", 0.9), session(2, "r2", 2.7)], []),
        ([session(1, "r1", 0.9), session(1, "r1", 1.5)], []),  # again, after a lost ledger
        ([session(1, "r1", 0.9), session(2, "by hand", 1.5)], [Kind.UNKNOWN]),
        ([session(2, "r1", 0.9), session(1, "r2", 2.7)], [Kind.EPOCH]),
        ([session(2, "r1", 0.9), session(2, "r2", 2.7)], [Kind.EPOCH]),
    ],
)
def test_sessions_are_of_runs_and_their_epochs_grow(
    sessions: list[Entry], found: list[Kind]
) -> None:
    assert kinds([*TAKEOVER, *sessions]) == found


def test_what_journald_cannot_have_heard_is_unproven() -> None:
    restart = {"MESSAGE_ID": JOURNAL_STARTED, "_TRANSPORT": "driver", "_BOOT_ID": "a"}
    restart["__MONOTONIC_TIMESTAMP"] = "2550000"
    for entries, unproven in (
        ([*TAKEOVER[:3], restart, TAKEOVER[4]], [Kind.OVERLAP]),
        ([*TAKEOVER[:4], restart, *TAKEOVER[4:], session(1, "r0", 3)], [Kind.UNKNOWN]),
    ):
        verdict = check(entries)
        assert ([fault.kind for fault in verdict.unproven], verdict.faults) == (unproven, ())
    # An end that is there, and too late, is no matter of doubt; nor is a journal's start of old.
    late = [*TAKEOVER[:3], restart, TAKEOVER[4], event(EXITED, "sender", "r1", 2.7)]
    early = [event(STARTING, "sender", "r1", 9), event(STARTING, "sender", "r2", 9.5)]
    assert kinds(late) == kinds([restart, *early]) == [Kind.OVERLAP]


def test_pid_1_logs_no_more_once_it_has_begun_to_stop_journald() -> None:
    by_hand = session(3, "r0", 4)
    for stopped, later, unproven in (
        (4.2, [], [Kind.UNKNOWN]),
        (4.2, [event(STARTING, "sender", "r3", 4.1)], []),  # so it could have said that start
        (4.2, [event(STARTING, "other", "r9", 4.1)], []),
        (4.2, [event(STARTING, "other", "r9", 4.1, **lag(1.0))], [Kind.UNKNOWN]),  # sent at 3.1
        (30.0, [], []),
    ):
        restart = [journald(JOURNAL_STOPPED, stopped), journald(JOURNAL_STARTED, stopped + 0.1)]
        verdict = check([*TAKEOVER, by_hand, *later, *restart])
        assert [fault.kind for fault in verdict.unproven] == unproven
        assert len([*verdict.unproven, *verdict.of(Kind.UNKNOWN)]) == 1


def journald(message: str, at: float) -> Entry:
    times = {"_BOOT_ID": "a", "__MONOTONIC_TIMESTAMP": str(int(at * 1e6))}
    return {"MESSAGE_ID": message, "_TRANSPORT": "driver", **times}


def test_only_a_journald_that_was_killed_loses_a_line_and_only_there() -> None:
    began, killed = journald(JOURNAL_STARTED, 0.1), journald(JOURNAL_STARTED, 2.5)
    verdict = check([began, line(0, at=1), line(1, at=2), killed, line(3, at=3)])
    assert ([fault.kind for fault in verdict.unproven], verdict.faults) == ([Kind.GAP], ())
    restarted = [journald(JOURNAL_STOPPED, 2.4), killed]
    for entries in (
        [began, line(0, at=1), line(1, at=2), *restarted, line(3, at=3)],
        [began, line(0, at=1), line(2, at=2), killed, line(3, at=3)],
        [began, line(0, at=1), line(1, at=2), killed, line(2, at=3), line(4, at=4)],
    ):
        assert kinds(entries) == [Kind.GAP]
    assert kinds([began, line(0, at=1), line(1, at=2), killed, line(1, at=3)]) == [Kind.DUPLICATE]


def told(first: int, last: int) -> Entry:
    """The receiver's word that it cannot tell of those counts."""
    names = '"appID": "x", "nodeID": "main"'
    text = f'unproven {{{names}, "first": {first}, "last": {last}}}'
    return line(0, at=2.5, PRIORITY="5", MESSAGE=text)


def test_counts_that_the_receiver_could_not_tell_of_are_unproven_and_no_others() -> None:
    before, after = [line(0, at=1), line(1, at=2)], line(4, at=3)
    verdict = check([*before, told(2, 3), after])
    assert ([fault.kind for fault in verdict.unproven], verdict.faults) == ([Kind.GAP], ())
    assert verdict.told == {"x": ((2, 3),)}
    for other in (told(2, 2), told(3, 9)):
        assert kinds([*before, other, after]) == [Kind.GAP]
    assert not kinds([*before, told(2, 2), told(3, 3), after])
    assert kinds([*before, told(1, 1), line(1, at=3)]) == [Kind.DUPLICATE]


def test_what_a_vacuum_may_have_taken_is_unproven_then_and_at_no_other_time() -> None:
    lines = [line(0, at=1), line(1, at=2), line(3, at=3)]
    for taken, unproven in (((2.4, 2.5), [Kind.GAP]), ((1.5, 1.9), []), ((3.5, 3.6), [])):
        verdict = check(lines, taken=[taken])
        assert [fault.kind for fault in verdict.unproven] == unproven
        assert len(verdict.faults) == 1 - len(unproven)
    twice = [line(0, at=1), line(0, at=2)]
    assert [fault.kind for fault in check(twice, taken=[(1.4, 1.5)]).faults] == [Kind.DUPLICATE]


@pytest.mark.parametrize(
    "look_alike",
    [
        line(0, _SYSTEMD_UNIT="other.service"),
        line(0, _TRANSPORT="syslog"),
        line(0, PRIORITY="4"),
        line(0, MESSAGE=[123, 34]),
        line(0, MESSAGE='{"count": 00, "appID": "x", "nodeID": "main"}'),
        line(0, MESSAGE='{"count": 0, "appID": "x", "nodeID": "main"} '),
    ],
)
def test_look_alikes_are_not_counted(look_alike: Entry) -> None:
    assert not check([look_alike]).lines


def test_an_entry_is_placed_by_journalds_number_of_it() -> None:
    cursor = "s=0a5f;i=1f;b=77;m=2;t=3;x=4"
    there = line(0, __CURSOR=cursor, _PID="8")
    assert check([there]).lines["x"][0].where == where(there) == Where("0a5f", 31, "8")
    opened = session(1, "r1", 0.9) | {"__CURSOR": cursor}
    assert check([opened]).sessions[0].where == Where("0a5f", 31)
    assert where(line(0)) == Where()


def test_a_boot_ends_the_runs_before_it() -> None:
    entries = [
        event(STARTING, "sender", "r1", 5),
        event(STARTING, "sender", "r2", 1, _BOOT_ID="b"),
    ]
    assert not kinds(entries)


def test_the_first_count_may_be_any_if_asked() -> None:
    assert not check([line(7), line(8)], first=None).faults
    assert [f.kind for f in check([line(7), line(9)], first=None).faults] == [Kind.GAP]


def test_a_silence_does_not_span_boots() -> None:
    entries = [line(0, at=50), line(1, at=2, _BOOT_ID="b"), line(2, at=3, _BOOT_ID="b")]
    assert [silence.seconds for silence in check(entries).silences("x")] == [1.0]


def test_senders_on_other_hosts_have_no_runs_here() -> None:
    entries = [session(1, "r1", 0.5), line(0, at=1), session(2, "r2", 1.5), line(1, at=2)]
    assert kinds(entries) == [Kind.UNKNOWN, Kind.UNKNOWN]
    assert not check(entries, elsewhere=True).faults


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([session(2, "r2", 1), session(1, "r1", 2)], Kind.EPOCH),
        ([session(2, "r2", 1), session(2, "r1", 2)], Kind.EPOCH),
        ([line(0, "a"), line(1, "a"), line(1, "b", at=3)], Kind.CONFLICT),
        ([line(0, "a"), line(2, "b")], Kind.GAP),
    ],
)
def test_what_is_found_of_senders_on_other_hosts(entries: list[Entry], found: Kind) -> None:
    assert [fault.kind for fault in check(entries, elsewhere=True).faults] == [found]
