"""The model keeps its promises, and each rule that is taken away from it breaks one.

A mutation that breaks nothing stands in REDUNDANT, with the other rule that covers for it; the two
taken away together stand in CAUGHT. What is not promised stands in LIMITS: there spin shows
that less could not be said.
"""

import pytest

from tests.model.cases import TOP, Case, functions, marked, rules, steps, verdict, violations
from tests.model.search import MODEL

ALL = "KILL_SENDER KILL_RECEIVER CUT BESIDE UNLINK DAMAGE FULL POWER WEDGED AGED NO_MARK BLIND"
DEATHS = "KILL_SENDER KILL_RECEIVER CUT"
LOCKS = "KILL_SENDER BESIDE UNLINK AGED"
RECEIVER = "KILL_RECEIVER CUT FULL POWER WEDGED NO_MARK BLIND"
LEDGER = "KILL_SENDER KILL_RECEIVER CUT BESIDE UNLINK DAMAGE FULL WEDGED AGED"

SUITES = {
    "any two faults": Case("", ALL, 2, n=3),
    "three deaths": Case("", DEATHS, 3),
    "three faults of processes and locks": Case("", LOCKS, 3),
    "three faults of the receiver": Case("", RECEIVER, 3, n=3),
    "a lost ledger": Case("", f"{LEDGER} LEDGER", 2, n=3),
    "an old ledger": Case("", f"{LEDGER} OLD_LEDGER NO_MARK", 2),
    "an old ledger, and nobody to ask": Case("", "OLD_LEDGER BLIND KILL_RECEIVER CUT", 3),
    "an old ledger, and only the sender knows": Case(
        "", "OLD_LEDGER=2 BLIND KILL_SENDER KILL_RECEIVER", 3, n=3
    ),
    "no endless execution: any two faults": Case("", ALL, 2, progress=True),
    "no endless execution: a lost ledger": Case("", f"{LEDGER} LEDGER", 2, progress=True),
}

LONG = {
    "three deaths",
    "three faults of processes and locks",
    "three faults of the receiver",
    "a lost ledger",
    "an old ledger, and only the sender knows",
    "no endless execution: any two faults",
}
"""These are for `make long`."""

CAUGHT = (
    # The store.
    Case("NO_LOCK", "BESIDE", 1, violation="two_holders"),
    Case("RENAME_OVER", "", 0, violation="restless"),
    Case(
        "RENAME_OVER NO_VERIFY_AT_COMMIT NO_VERIFY_AT_RAISE NO_VERIFY_AT_RESUMED",
        "BESIDE",
        1,
        violation="two_holders",
    ),
    Case("ONE_SLOT", "KILL_SENDER", 1, violation="tick_lost"),
    Case("EMIT_BEFORE_PERSIST", "KILL_SENDER", 1, violation="tick_lost"),
    Case("NO_VERIFY_AT_RESUMED", LOCKS, 2, n=3, violation="accepted_older_run"),
    Case(
        "NO_VERIFY_AT_COMMIT NO_VERIFY_AT_RAISE NO_VERIFY_AT_RESUMED",
        "BESIDE UNLINK",
        2,
        violation="accepted_older_run",
    ),
    # The sender.
    Case("SKIPS_UNACKNOWLEDGED", "KILL_SENDER", 1, n=3, violation="accepted_gap"),
    Case("NO_VERIFY_AT_RAISE", LOCKS, 2, violation="raced"),
    Case("NEVER_RAISES", "DAMAGE KILL_SENDER", 2, violation="cycle", progress=True),
    Case("NEVER_RECONNECTS", "KILL_RECEIVER", 1, violation="stuck"),
    # The receiver.
    Case("NO_FENCE", "KILL_SENDER", 1, violation="accepted_outsider"),
    Case("STALE_ADMITTED", "KILL_SENDER", 1, violation="epoch_fell"),
    Case("CLAIM_NOT_STORED", "KILL_RECEIVER BESIDE UNLINK CUT", 3, violation="epoch_fell"),
    Case("SAME_EPOCH_ADMITTED NO_VERIFY_AT_RESUMED", LOCKS, 2, violation="accepted_older_run"),
    Case(
        "FENCE_BY_EPOCH_ONLY SAME_EPOCH_ADMITTED EPOCH_NOT_WRITTEN_FIRST",
        "KILL_SENDER",
        2,
        violation="accepted_outsider",
    ),
    Case("DUPLICATE_ACCEPTED IGNORES_RESUMED", "KILL_SENDER", 1, violation="accepted_twice"),
    Case(
        "GAP_ACCEPTED SKIPS_UNACKNOWLEDGED IGNORES_RESUMED ASKS_ONLY_THE_JOURNAL",
        "KILL_SENDER AGED=2",
        1,
        n=3,
        violation="accepted_gap",
    ),
    Case("ANSWER_BEFORE_COMMIT", "KILL_RECEIVER", 1, violation="ack_not_durable"),
    Case("RESUMED_BEFORE_COMMIT", "KILL_RECEIVER CUT", 2, violation="ack_not_durable"),
    Case("NO_ROLL_BACK", "FULL", 1, violation="ack_not_durable"),
    # What is printed.
    Case("PRINT_BEFORE_COMMIT OLD_BELIEVED", "KILL_RECEIVER", 1, violation="printed_twice"),
    Case("NO_INTENT", "KILL_RECEIVER", 1, violation="printed_twice"),
    Case("MARKED_TOO_EARLY", "KILL_RECEIVER", 1, violation="printed_gap"),
    Case("NOT_FOUND_IS_NOT_PRINTED", "KILL_RECEIVER BLIND", 2, violation="printed_twice"),
    Case("NOT_FOUND_IS_NOT_PRINTED", "NO_MARK BLIND", 2, violation="printed_twice"),
    Case("OLD_BELIEVED", "OLD_LEDGER", 1, violation="printed_twice"),
    Case("OLD_GOES_ON", "OLD_LEDGER BLIND", 2, violation="printed_twice"),
    Case("ASKS_ONLY_THE_JOURNAL", "OLD_LEDGER=2 BLIND", 2, n=3, violation="printed_twice"),
    Case("NO_OUTBOX", "POWER", 1, violation="printed_gap"),
    Case("OUTBOX_NOT_KEPT", "POWER", 1, violation="printed_gap"),
    Case("NOT_COMPARED", "NO_MARK", 1, violation="printed_twice"),
    Case("COMPARE_WITHOUT_SYNC", "NO_MARK", 1, violation="printed_twice"),
    Case("NO_LEDGER_LOCK", "WEDGED", 1, violation="printed_twice"),
    Case("MARK_READ_BEFORE_LOCK", "WEDGED", 1, violation="printed_twice"),
    Case("NOT_REBUILT", "LEDGER", 1, violation="printed_twice"),
    Case("REBUILT_LATER", "LEDGER KILL_RECEIVER", 2, n=3, violation="printed_twice"),
)

REDUNDANT = (
    Case(
        "PRINT_BEFORE_COMMIT",
        "KILL_RECEIVER",
        2,
        why="the mark is then above the ledger, and the journal's last count is taken",
    ),
    Case("NO_VERIFY_AT_COMMIT", LOCKS, 2, why="who lost the lock is fenced, then verifies"),
    Case(
        "EPOCH_NOT_WRITTEN_FIRST",
        "KILL_SENDER BESIDE CUT UNLINK",
        2,
        why="of two runs with one epoch the receiver admits the first; the other raises it",
    ),
    Case("SAME_EPOCH_ADMITTED", LOCKS, 2, why="the older run verifies before it counts"),
    Case(
        "SAME_EPOCH_ADMITTED EPOCH_NOT_WRITTEN_FIRST",
        "KILL_SENDER CUT",
        2,
        why="what a dead run left in its socket is fenced by its connection",
    ),
    Case("FENCE_BY_EPOCH_ONLY", f"{LOCKS} CUT", 2, why="no two runs have one epoch"),
    Case("DUPLICATE_ACCEPTED", DEATHS, 2, why="after resumed, a sender sends no duplicates"),
    Case("IGNORES_RESUMED", DEATHS, 2, why="the answer `duplicate` says the last count as well"),
    Case("GAP_ACCEPTED", DEATHS, 2, why="a sender that follows the protocol leaves no gap"),
)

LIMITS = (
    # An old copy of the ledger, its mark lost by a reboot, and a journal that cannot be asked. If
    # only the counts are missing that a sender has not been told of, nobody knows that it is old.
    Case("", "OLD_LEDGER NO_MARK BLIND", 3, violation="printed_twice"),
    # The ledger lost, and the journal's newest lines by a power cut: nobody knows them any more.
    Case("", "LEDGER POWER", 2, violation="stuck"),
)


@pytest.mark.parametrize("name", marked(SUITES, LONG))
def test_every_promise_holds(name: str) -> None:
    found = verdict(SUITES[name], optimize="-O1")
    assert not found.violation, found.trail
    assert found.states > 100_000


@pytest.mark.parametrize("case", CAUGHT, ids=str)
def test_a_rule_taken_away_is_caught(case: Case) -> None:
    assert verdict(case).violation == case.violation


@pytest.mark.parametrize("case", REDUNDANT, ids=str)
def test_a_rule_that_another_covers_for(case: Case) -> None:
    found = verdict(case)
    assert not found.violation, found.trail
    assert case.why


@pytest.mark.parametrize("case", LIMITS, ids=str)
def test_what_is_not_promised_is_not_kept(case: Case) -> None:
    assert verdict(case).violation == case.violation


def test_the_journal_asked_at_each_start_would_make_up_for_an_old_ledger() -> None:
    found = verdict(Case("MERGED", f"{LEDGER} OLD_LEDGER", 2))
    assert not found.violation, found.trail


def test_each_rule_is_caught_alone_or_with_others() -> None:
    taken_away = rules(MODEL) | {"NO_LOCK", "NO_LEDGER_LOCK"}
    assert taken_away == {rule for case in CAUGHT for rule in case.rules.split()}


def test_each_violation_can_be_found() -> None:
    assert violations(MODEL) | {"cycle"} == {case.violation for case in CAUGHT}


@pytest.mark.long
def test_each_step_is_taken() -> None:
    suites = [case for case in SUITES.values() if not case.progress]
    unreached = [verdict(case, optimize="-O1").unreached for case in suites]
    assert not frozenset.intersection(*unreached)


@pytest.mark.parametrize(("file", "names"), steps(MODEL))
def test_each_step_has_its_function(file: str, names: str) -> None:
    for name in names.split(", "):
        assert name in functions(TOP / file), f"{file} has no {name}"


def test_the_steps_are_mapped() -> None:
    assert len(steps(MODEL)) > 20
