"""The receiver's machine, by the table in its header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.core.receiver import AppState, ReceiverProtocol
from sendrecv.core.receiver_events import (
    Admit,
    Answer,
    CutOff,
    Print,
    ReceiverCommand,
    Refuse,
    Row,
    Store,
)
from sendrecv.core.wire import Claim, Refusal, Status

RUNS = ["0" * 32, "1" * 32, "2" * 32]
ROW = Row("a", 5, RUNS[0], "main", 41)
OURS = Claim("a", "main", 5, RUNS[0])


def machine(row: Row = ROW, connection: str = "c0") -> ReceiverProtocol:
    """One whose App `a` is spoken for by `connection`."""
    receiver = ReceiverProtocol([row], max_apps=2)
    receiver.apps["a"] = AppState(row, connection)
    return receiver


# A claim.


def test_the_first_claim_of_an_app() -> None:
    receiver = ReceiverProtocol([], max_apps=1)
    row = Row("a", 5, RUNS[0], "main", None)
    assert receiver.claim(7, "c1", OURS) == [Store(row), Admit(7, row, new=True)]
    assert receiver.apps == {"a": AppState(row, "c1")}


@pytest.mark.parametrize(("older", "cut"), [("", []), ("c0", [CutOff("c0")])])
@pytest.mark.parametrize("epoch", [6, 2**63 - 1])
def test_a_newer_epoch_takes_over(older: str, cut: list[ReceiverCommand], epoch: int) -> None:
    receiver = machine(connection=older)
    row = Row("a", epoch, RUNS[1], "failover", 41)
    claim = Claim("a", "failover", epoch, RUNS[1])
    assert receiver.claim(7, "c1", claim) == [Store(row), Admit(7, row, new=True), *cut]
    assert receiver.apps["a"] == AppState(row, "c1")


@pytest.mark.parametrize(("older", "cut"), [("", []), ("c0", [CutOff("c0")])])
def test_the_same_run_again(older: str, cut: list[ReceiverCommand]) -> None:
    receiver = machine(connection=older)
    assert receiver.claim(7, "c1", OURS) == [Admit(7, ROW, new=False), *cut]
    assert receiver.apps["a"] == AppState(ROW, "c1")


@pytest.mark.parametrize(
    "change",
    [{"epoch": 4}, {"epoch": 4, "run": RUNS[1]}, {"run": RUNS[1]}, {"node_id": "failover"}],
)
def test_any_other_claim_is_stale(change: dict[str, object]) -> None:
    receiver = machine()
    claim = OURS.replace(**change)
    assert receiver.claim(7, "c1", claim) == [Refuse(7, Refusal.STALE, 5)]
    assert receiver.apps["a"] == AppState(ROW, "c0")


def test_no_more_apps_than_there_is_room_for() -> None:
    receiver = machine()
    receiver.claim(1, "c1", OURS.replace(app_id="b"))
    assert receiver.claim(2, "c2", OURS.replace(app_id="c")) == [Refuse(2, Refusal.FULL)]
    assert set(receiver.apps) == {"a", "b"}
    assert isinstance(receiver.claim(3, "c3", OURS.replace(app_id="b"))[0], Admit)


# A resume, and counts.


def test_resume() -> None:
    receiver = machine()
    assert receiver.resume(7, "c0", "a") == [Answer(7, Status.ACCEPTED, 41)]
    assert receiver.resume(7, "c1", "a") == [Answer(7, Status.FENCED, 41)]
    assert machine(ROW.replace(last=None)).resume(1, "c0", "a") == [
        Answer(1, Status.ACCEPTED, None)
    ]


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
    assert receiver.counts(7, "c0", "a", *sent) == [
        Store(row.replace(last=sent[1])),
        Print("a", "main", *printed),
        Answer(7, Status.ACCEPTED, sent[1]),
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
    assert receiver.counts(7, "c0", "a", *sent) == [Answer(7, status, 41)]
    assert receiver.apps["a"] == AppState(ROW, "c0")


@pytest.mark.parametrize("sent", [(42, 42), (41, 41), (43, 43)])
def test_counts_of_a_connection_that_was_cut_off(sent: tuple[int, int]) -> None:
    receiver = machine()
    receiver.claim(1, "c1", Claim("a", "failover", 6, RUNS[1]))
    assert receiver.counts(7, "c0", "a", *sent) == [Answer(7, Status.FENCED, 41), CutOff("c0")]
    assert receiver.apps["a"].row.last == 41


def test_an_older_connection_that_closes_closes_nothing() -> None:
    receiver = machine()
    receiver.claim(1, "c1", OURS)
    receiver.closed("c0", "a")
    assert receiver.apps["a"].connection == "c1"
    receiver.closed("c1", "a")
    assert receiver.apps["a"] == AppState(ROW, "")


# Groups.


def test_after_a_roll_back_nothing_has_happened() -> None:
    receiver = machine()
    before = dict(receiver.apps)
    receiver.claim(1, "c1", Claim("a", "failover", 6, RUNS[1]))
    receiver.resume(2, "c1", "a")
    receiver.counts(3, "c1", "a", 42, 50)
    receiver.claim(4, "c2", OURS.replace(app_id="b"))
    receiver.closed("c1", "a")
    receiver.rolled_back()
    assert receiver.apps == before
    assert receiver.counts(5, "c0", "a", 42, 42)[-1] == Answer(5, Status.ACCEPTED, 42)


def test_a_roll_back_goes_no_further_than_its_group() -> None:
    receiver = machine()
    receiver.counts(1, "c0", "a", 42, 42)
    receiver.committed()
    receiver.counts(2, "c0", "a", 43, 43)
    receiver.rolled_back()
    receiver.rolled_back()
    assert receiver.apps["a"].row.last == 42


# Any events at all.

APPS, CONNECTIONS = st.sampled_from("ab"), st.sampled_from(["c0", "c1", "c2"])
NODES = st.sampled_from(["main", "failover"])
CLAIMS = st.builds(Claim, APPS, NODES, st.integers(1, 4), st.sampled_from(RUNS))
EVENTS = st.one_of(
    st.tuples(st.just("claim"), CONNECTIONS, CLAIMS),
    st.tuples(st.just("resume"), CONNECTIONS, APPS),
    st.tuples(st.just("counts"), CONNECTIONS, APPS, st.integers(0, 8), st.integers(0, 3)),
    st.tuples(st.just("closed"), CONNECTIONS, APPS),
    st.tuples(st.sampled_from(["committed", "rolled_back"])),
)


Event = tuple[object, ...]


def feed(receiver: ReceiverProtocol, ticket: int, event: Event) -> list[ReceiverCommand]:
    match event:
        case ("claim", str(connection), Claim() as claim):
            return receiver.claim(ticket, connection, claim)
        case (_, _, str(app), *_) if app not in receiver.apps:
            return []  # the gateway knows no such session
        case ("resume", str(connection), str(app)):
            return receiver.resume(ticket, connection, app)
        case ("counts", str(connection), str(app), int(first), int(more)):
            return receiver.counts(ticket, connection, app, first, first + more)
        case ("closed", str(connection), str(app)):
            receiver.closed(connection, app)
        case ("committed",):
            receiver.committed()
        case ("rolled_back",):
            receiver.rolled_back()
    return []


def order_of(commands: list[ReceiverCommand]) -> list[str]:
    return [type(command).__name__ for command in commands]


@given(st.lists(EVENTS, max_size=60))
def test_stored_before_printed_before_answered_and_nothing_twice(events: list[Event]) -> None:
    receiver = ReceiverProtocol([], max_apps=2)
    durable: dict[str, Row] = {}
    printed: dict[str, list[int]] = {"a": [], "b": []}
    group: list[ReceiverCommand] = []
    for ticket, event in enumerate(events):
        commands = feed(receiver, ticket, event)
        assert order_of(commands) in ORDERS
        group += commands
        if event[0] == "rolled_back":
            assert {app: state.row for app, state in receiver.apps.items()} == durable
            group = []
        if event[0] == "committed":
            for command in group:
                check_and_apply(durable, printed, command)
            group = []
    for counts in printed.values():
        assert not counts or counts == list(range(counts[0], counts[-1] + 1))


ORDERS = [
    [],
    ["Refuse"],
    ["Admit"],
    ["Admit", "CutOff"],
    ["Store", "Admit"],
    ["Store", "Admit", "CutOff"],
    ["Answer"],
    ["Answer", "CutOff"],
    ["Store", "Print", "Answer"],
]


def check_and_apply(
    durable: dict[str, Row], printed: dict[str, list[int]], command: ReceiverCommand
) -> None:
    """The invariants: epochs never fall, and the last count is the last one printed."""
    match command:
        case Store(row):
            before = durable.get(row.app_id)
            assert before is None or row.epoch >= before.epoch
            durable[row.app_id] = row
        case Print(app_id, node_id, first, last):
            row = durable[app_id]
            assert (row.last, row.node_id) == (last, node_id) and first <= last
            printed[app_id] += range(first, last + 1)
