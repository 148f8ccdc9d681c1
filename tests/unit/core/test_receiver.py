"""The receiver's machine, by the table in its header."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.core.receiver import AppState, ReceiverMachine
from sendrecv.core.receiver_events import (
    AdmissionAsked,
    Admit,
    Answer,
    ConnectionClosed,
    CountsSent,
    CutOff,
    Print,
    ReceiverCommand,
    ReceiverEvent,
    Refuse,
    ResumeAsked,
    Row,
    StoreRow,
    Unproven,
)
from sendrecv.core.wire import Claim, Refusal, Status

RUNS = ["0" * 32, "1" * 32, "2" * 32]
ROW = Row("a", 5, RUNS[0], "main", 41)
OURS = Claim("a", "main", 5, RUNS[0])


def machine(row: Row = ROW, connection: str = "c0") -> ReceiverMachine:
    """One whose App `a` is spoken for by `connection`."""
    receiver = ReceiverMachine([row], max_apps=2)
    receiver.apps["a"] = AppState(row, connection)
    return receiver


# A claim.


def test_the_first_claim_of_an_app() -> None:
    receiver = ReceiverMachine([], max_apps=1)
    row = Row("a", 5, RUNS[0], "main", None)
    assert receiver.handle(AdmissionAsked("c1", OURS)) == [StoreRow(row), Admit(row, new=True)]
    assert receiver.apps == {"a": AppState(row, "c1")}


@pytest.mark.parametrize(("older", "cut"), [("", []), ("c0", [CutOff("c0")])])
@pytest.mark.parametrize("epoch", [6, 2**53])
def test_a_newer_epoch_takes_over(older: str, cut: list[ReceiverCommand], epoch: int) -> None:
    receiver = machine(connection=older)
    row = Row("a", epoch, RUNS[1], "failover", 41)
    claim = Claim("a", "failover", epoch, RUNS[1])
    assert receiver.handle(AdmissionAsked("c1", claim)) == [
        StoreRow(row),
        Admit(row, new=True),
        *cut,
    ]
    assert receiver.apps["a"] == AppState(row, "c1")


@pytest.mark.parametrize(("older", "cut"), [("", []), ("c0", [CutOff("c0")])])
def test_the_same_run_again(older: str, cut: list[ReceiverCommand]) -> None:
    receiver = machine(connection=older)
    assert receiver.handle(AdmissionAsked("c1", OURS)) == [Admit(ROW, new=False), *cut]
    assert receiver.apps["a"] == AppState(ROW, "c1")


def test_claims_do_not_use_up_the_epochs_of_an_app() -> None:
    """Whoever has the token claims as far up as it can, again and again. The App goes on above."""
    receiver = ReceiverMachine([ROW], max_apps=1)
    for _ in range(1000):
        epoch = receiver.apps["a"].row.epoch
        claims = [
            2**63 - 1,
            *(epoch + 2**bits for bits in (50, 44, 30, 20)),
            2**53,
            epoch + 1,
        ]
        for claimed in claims:
            receiver.handle(AdmissionAsked("c", OURS.replace(epoch=claimed)))
        assert receiver.apps["a"].row.epoch > epoch
    assert receiver.apps["a"].row.epoch < 2**54


@pytest.mark.parametrize(
    "change",
    [{"epoch": 4}, {"epoch": 4, "run": RUNS[1]}, {"run": RUNS[1]}, {"node_id": "failover"}],
)
def test_any_other_claim_is_stale(change: dict[str, object]) -> None:
    receiver = machine()
    claim = OURS.replace(**change)
    assert receiver.handle(AdmissionAsked("c1", claim)) == [Refuse(Refusal.STALE, 5)]
    assert receiver.apps["a"] == AppState(ROW, "c0")


def test_no_more_apps_than_there_is_room_for() -> None:
    receiver = machine()
    receiver.handle(AdmissionAsked("c1", OURS.replace(app_id="b")))
    assert receiver.handle(AdmissionAsked("c2", OURS.replace(app_id="c"))) == [Refuse(Refusal.FULL)]
    assert set(receiver.apps) == {"a", "b"}
    assert isinstance(receiver.handle(AdmissionAsked("c3", OURS.replace(app_id="b")))[0], Admit)


# A resume, and counts.


def test_resume() -> None:
    receiver = machine()
    assert receiver.handle(ResumeAsked("c0", "a")) == [Answer(Status.ACCEPTED, 41)]
    assert receiver.handle(ResumeAsked("c1", "a")) == [Answer(Status.FENCED, 41)]
    assert receiver.handle(ResumeAsked("c0", "a", 44)) == [
        Unproven(Print("a", "main", 42, 44)),
        StoreRow(ROW.replace(last=44)),
        Answer(Status.ACCEPTED, 44),
    ]
    assert receiver.handle(CountsSent("c0", "a", 44, 45))[1] == Print("a", "main", 45, 45)
    assert machine(ROW.replace(last=None)).handle(ResumeAsked("c0", "a")) == [
        Answer(Status.ACCEPTED, None)
    ]


def test_an_app_that_has_counted_is_not_raised() -> None:
    """Its row is no old copy: neither after a claim, nor twice, nor for who comes after that."""
    receiver = machine()
    receiver.handle(CountsSent("c0", "a", 42, 42))
    receiver.committed()
    receiver.handle(AdmissionAsked("c1", Claim("a", "failover", 6, RUNS[1])))
    for said in (43, 2**53):
        assert receiver.handle(ResumeAsked("c1", "a", said)) == [Answer(Status.INVALID, 42)]
    assert receiver.handle(ResumeAsked("c1", "a", 42)) == [Answer(Status.ACCEPTED, 42)]
    raised = machine()
    assert raised.handle(ResumeAsked("c0", "a", 44))[-1] == Answer(Status.ACCEPTED, 44)
    assert raised.handle(ResumeAsked("c0", "a", 45)) == [Answer(Status.INVALID, 44)]
    raised.rolled_back()  # it was not durable
    assert raised.handle(ResumeAsked("c0", "a", 45))[-1] == Answer(Status.ACCEPTED, 45)


@pytest.mark.parametrize(
    ("have", "sent", "printed"),
    [
        (41, (42, 42), (42, 42)),
        (41, (42, 50), (42, 50)),
        (41, (40, 43), (42, 43)),
        (0, (0, 1), (1, 1)),
        (None, (0, 0), (0, 0)),
        (None, (100, 105), (100, 105)),
    ],
)
def test_counts_that_are_next(
    have: int | None, sent: tuple[int, int], printed: tuple[int, int]
) -> None:
    row = ROW.replace(last=have)
    receiver = machine(row)
    assert receiver.handle(CountsSent("c0", "a", *sent)) == [
        StoreRow(row.replace(last=sent[1])),
        Print("a", "main", *printed),
        Answer(Status.ACCEPTED, sent[1]),
    ]
    assert receiver.apps["a"].row.last == sent[1]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ((41, 41), Status.DUPLICATE),
        ((0, 41), Status.DUPLICATE),
        ((43, 43), Status.GAP),
        ((43, 99), Status.GAP),
    ],
)
def test_counts_that_are_not_next(sent: tuple[int, int], status: Status) -> None:
    receiver = machine()
    assert receiver.handle(CountsSent("c0", "a", *sent)) == [Answer(status, 41)]
    assert receiver.apps["a"] == AppState(ROW, "c0")


@pytest.mark.parametrize("sent", [(42, 42), (41, 41), (43, 43)])
def test_counts_of_a_connection_that_was_cut_off(sent: tuple[int, int]) -> None:
    receiver = machine()
    receiver.handle(AdmissionAsked("c1", Claim("a", "failover", 6, RUNS[1])))
    assert receiver.handle(CountsSent("c0", "a", *sent)) == [
        Answer(Status.FENCED, 41),
        CutOff("c0"),
    ]
    assert receiver.apps["a"].row.last == 41


def test_an_older_connection_that_closes_closes_nothing() -> None:
    receiver = machine()
    receiver.handle(AdmissionAsked("c1", OURS))
    receiver.handle(ConnectionClosed("c0", "a"))
    assert receiver.apps["a"].connection == "c1"
    receiver.handle(ConnectionClosed("c1", "a"))
    assert receiver.apps["a"] == AppState(ROW, "")


# Groups.


def test_after_a_roll_back_nothing_has_happened() -> None:
    receiver = machine()
    before = dict(receiver.apps)
    receiver.handle(AdmissionAsked("c1", Claim("a", "failover", 6, RUNS[1])))
    receiver.handle(ResumeAsked("c1", "a"))
    receiver.handle(CountsSent("c1", "a", 42, 50))
    receiver.handle(AdmissionAsked("c2", OURS.replace(app_id="b")))
    receiver.handle(ConnectionClosed("c1", "a"))
    receiver.rolled_back()
    assert receiver.apps == before
    assert receiver.handle(CountsSent("c0", "a", 42, 42))[-1] == Answer(Status.ACCEPTED, 42)


def test_a_roll_back_goes_no_further_than_its_group() -> None:
    receiver = machine()
    receiver.handle(CountsSent("c0", "a", 42, 42))
    receiver.committed()
    receiver.handle(CountsSent("c0", "a", 43, 43))
    receiver.rolled_back()
    receiver.rolled_back()
    assert receiver.apps["a"].row.last == 42


# Any events at all.

APPS, CONNECTIONS = st.sampled_from("ab"), st.sampled_from(["c0", "c1", "c2"])
NODES = st.sampled_from(["main", "failover"])
CLAIMS = st.builds(Claim, APPS, NODES, st.integers(1, 4), st.sampled_from(RUNS))
COUNTS = st.tuples(CONNECTIONS, APPS, st.integers(0, 8), st.integers(0, 3)).map(
    lambda sent: CountsSent(sent[0], sent[1], sent[2], sent[2] + sent[3])
)
EVENTS: st.SearchStrategy[ReceiverEvent] = st.one_of(
    st.builds(AdmissionAsked, CONNECTIONS, CLAIMS),
    st.builds(ResumeAsked, CONNECTIONS, APPS, st.integers(-1, 8)),
    COUNTS,
    st.builds(ConnectionClosed, CONNECTIONS, APPS),
)
ENDS = st.sampled_from(["committed", "rolled back"])


def feed(receiver: ReceiverMachine, event: ReceiverEvent) -> list[ReceiverCommand]:
    if not isinstance(event, AdmissionAsked) and event.app_id not in receiver.apps:
        return []  # the gateway knows no such session
    return receiver.handle(event)


def order_of(commands: list[ReceiverCommand]) -> list[str]:
    return [type(command).__name__ for command in commands]


@given(st.lists(st.tuples(st.lists(EVENTS, max_size=4), ENDS), max_size=20))
def test_stored_before_printed_before_answered_and_nothing_twice(
    groups: list[tuple[list[ReceiverEvent], str]],
) -> None:
    receiver = ReceiverMachine([], max_apps=2)
    durable: dict[str, Row] = {}
    printed: dict[str, list[int]] = {"a": [], "b": []}
    for events, end in groups:
        group = [feed(receiver, event) for event in events]
        assert all(order_of(commands) in ORDERS for commands in group)
        if end == "rolled back":
            receiver.rolled_back()
            assert {app: state.row for app, state in receiver.apps.items()} == durable
        else:
            receiver.committed()
            for commands in group:
                for command in commands:
                    check_and_apply(durable, printed, command)
    for counts in printed.values():
        assert not counts or counts == list(range(counts[0], counts[-1] + 1))


ORDERS = [
    [],
    ["Refuse"],
    ["Admit"],
    ["Admit", "CutOff"],
    ["StoreRow", "Admit"],
    ["StoreRow", "Admit", "CutOff"],
    ["Answer"],
    ["Answer", "CutOff"],
    ["StoreRow", "Print", "Answer"],
    ["Unproven", "StoreRow", "Answer"],
]


def check_and_apply(
    durable: dict[str, Row], printed: dict[str, list[int]], command: ReceiverCommand
) -> None:
    """The invariants: epochs never fall, and the last count is the last one printed."""
    match command:
        case StoreRow(row):
            before = durable.get(row.app_id)
            assert before is None or row.epoch >= before.epoch
            durable[row.app_id] = row
        case Print(app_id, node_id, first, last):
            row = durable[app_id]
            assert (row.last, row.node_id) == (last, node_id) and first <= last
            printed[app_id] += range(first, last + 1)
        case Unproven(Print(app_id, _, first, last)):  # is not printed, and never will be
            assert durable[app_id].last == first - 1
            printed[app_id] += range(first, last + 1)


# Apps that give way.


class WithLedger:
    """A machine with room for so many Apps, and the ledger that knows them all."""

    def __init__(self, room: int) -> None:
        self.machine = ReceiverMachine([], room)
        self.rows: dict[str, Row] = {}
        self.gave_way = 0

    def group(self, events: list[ReceiverEvent], durable: bool) -> list[list[ReceiverCommand]]:
        """The commands of a group."""
        before = set(self.machine.apps)
        found = [self.machine.handle(self._completed(event)) for event in events]
        if durable:
            self.machine.committed()
            rows = [c.row for commands in found for c in commands if isinstance(c, StoreRow)]
            self.rows.update({row.app_id: row for row in rows})
            self.gave_way += bool(before - set(self.machine.apps))
        else:
            self.machine.rolled_back()
            assert set(self.machine.apps) == before
        return found

    def _completed(self, event: ReceiverEvent) -> ReceiverEvent:
        if not isinstance(event, AdmissionAsked) or event.claim.app_id in self.machine.apps:
            return event
        return event.replace(known=self.rows.get(event.claim.app_id))


def likeness(commands: list[ReceiverCommand]) -> list[object]:
    """The commands; of who is fenced, not which count it is told, for it must not go by that."""
    fenced = Status.FENCED
    return [
        fenced if isinstance(command, Answer) and command.status is fenced else command
        for command in commands
    ]


NAMES = st.sampled_from("abcd")
STEPS = st.one_of(
    st.builds(lambda a, e: ("claim", a, e), NAMES, st.integers(1, 4)),
    st.builds(lambda a, e: ("count", a, e), NAMES, st.integers(0, 3)),
    st.builds(lambda a: ("leave", a, 0), NAMES),
    st.builds(lambda a: ("resume", a, 0), NAMES),
)
Group = tuple[list[tuple[str, str, int]], bool]
# An App comes and counts, and leaves then: chance alone would seldom have it do so in that order.
VISITS: st.SearchStrategy[list[Group]] = st.builds(
    lambda a, e, n: [([("claim", a, e), ("count", a, n)], True), ([("leave", a, 0)], True)],
    NAMES,
    st.integers(1, 4),
    st.integers(0, 3),
)
GROUPS: st.SearchStrategy[list[Group]] = st.lists(
    st.tuples(st.lists(STEPS, min_size=1, max_size=4), st.booleans()), max_size=25
)


def event_of(step: tuple[str, str, int]) -> ReceiverEvent:
    """A step, as an event of the App's one connection."""
    what, app_id, number = step
    match what:
        case "claim":
            return AdmissionAsked(app_id, Claim(app_id, "main", number, RUNS[0]))
        case "count":
            return CountsSent(app_id, app_id, number, number)
        case "leave":
            return ConnectionClosed(app_id, app_id)
    return ResumeAsked(app_id, app_id)


@given(st.lists(VISITS, max_size=8), GROUPS)
def test_an_app_that_gave_way_is_answered_as_if_it_had_not(
    visits: list[list[Group]], groups: list[Group]
) -> None:
    """But for who finds no room: that one is only refused."""
    small, large = WithLedger(2), WithLedger(100)
    for steps, durable in [*itertools.chain(*visits), *groups]:
        events: list[ReceiverEvent] = []
        for step in steps:
            event = event_of(step)
            trial = copied(small)
            if [Refuse(Refusal.FULL)] not in trial.group([*events, event], durable=True):
                events.append(event)
        assert list(map(likeness, small.group(events, durable))) == list(
            map(likeness, large.group(events, durable))
        )
        assert len(small.machine.apps) <= 2
        assert small.rows == large.rows


def copied(other: WithLedger) -> WithLedger:
    """One that goes on by itself."""
    copy = WithLedger(2)
    copy.machine.apps = dict(other.machine.apps)
    copy.rows = dict(other.rows)
    return copy


def test_the_app_that_has_not_changed_for_the_longest_time_gives_way() -> None:
    both = WithLedger(3)
    for name in "abc":
        both.group([event_of(("claim", name, 1)), event_of(("count", name, 0))], True)
    both.group([event_of(("count", "a", 1)), event_of(("leave", "a", 0))], True)
    both.group([event_of(("leave", "c", 0))], True)
    both.group([event_of(("claim", "d", 1))], True)
    assert list(both.machine.apps) == ["b", "c", "d"] and both.gave_way == 1
    both.group([event_of(("claim", "a", 2))], True)
    assert list(both.machine.apps) == ["b", "d", "a"]
    assert both.machine.apps["a"].row.last == 1
    assert both.group([event_of(("claim", "c", 2))], True) == [[Refuse(Refusal.FULL)]]


def test_what_the_group_has_changed_does_not_give_way() -> None:
    """The ledger does not have it yet, so it could not come back."""
    both = WithLedger(1)
    steps = ("claim", "a", 1), ("count", "a", 0), ("leave", "a", 0), ("claim", "b", 1)
    found = both.group([event_of(step) for step in steps], True)
    assert found[-1] == [Refuse(Refusal.FULL)] and list(both.machine.apps) == ["a"]
