"""The lease keeps its promises, and each rule that is taken away from it breaks one.

As test_model.py does for takeover.pml: CAUGHT, REDUNDANT, LIMITS. Alone:

    python3 -m pytest tests/model/test_lease.py
    python3 -m tests.model.search --lease FAULTS=1 N=1 TAKES=2 KILL SHOWN_IS_RENEWED
"""

from functools import partial

import pytest

from tests.model.cases import TOP, Case, functions, marked, rules, steps, verdict, violations
from tests.model.search import LEASE

LeaseCase = partial(Case, model=LEASE)
PROMPT = "PROMPT LEASE=16"
BELATED = "TAKES=2"
"""Any step at any time, and one takeover after the first epoch."""
ALONE = "TAKES=2 LEASE=2 CONTINUE"
PAUSED_ALONE = "TAKES=1 LEASE=2 CONTINUE PAUSE"
"""What counts here is who takes the App, not what it counts."""

SUITES = {
    "belated: two counts, a kill": LeaseCase("", f"{BELATED} LEASE=2 KILL", 1),
    "belated: a release, a kill": LeaseCase("", f"{BELATED} LEASE=3 KILL MOVE", 1, n=1),
    "belated: from nothing": LeaseCase("", f"{BELATED} ABSENT", 0, n=1),
    "belated: three epochs": LeaseCase("", "TAKES=3", 0, n=1),
    "belated: three hosts": LeaseCase("", f"{BELATED} HOSTS=3 LEASE=2", 0, n=1),
    "prompt: any one fault": LeaseCase("", f"{PROMPT} KILL LOSE STOP CUT JUMP OUTAGE MOVE", 1),
    "prompt: two faults": LeaseCase("", f"{PROMPT} LOSE CUT MOVE", 2, n=1),
    "prompt: three hosts": LeaseCase("", f"{PROMPT} HOSTS=3 STOP", 1, n=1),
    "prompt: an outage and another fault": LeaseCase(
        "", f"{PROMPT} LOSE OUTAGE TAKES_JUDGED=0", 2, n=1
    ),
    "without etcd, belated": LeaseCase("", ALONE, 0, n=1),
    "without etcd, belated: a kill": LeaseCase("", f"{ALONE} KILL", 1, n=1),
    "without etcd, belated: two counts": LeaseCase("", ALONE, 0),
    "without etcd, prompt: any one fault": LeaseCase(
        "", f"{PROMPT} CONTINUE KILL LOSE STOP CUT OUTAGE MOVE", 1
    ),
    "without etcd, prompt: an outage and another fault": LeaseCase(
        "", f"{PROMPT} CONTINUE OUTAGE KILL TAKES_JUDGED=0", 2, n=1
    ),
    "paused, belated": LeaseCase("", f"{BELATED} PAUSE", 0, n=1),
    "paused, belated: any one fault": LeaseCase(
        "", f"{BELATED} LEASE=2 PAUSE KILL MOVE START", 1, n=1
    ),
    "paused, prompt: any one fault": LeaseCase(
        "", f"{PROMPT} PAUSE KILL LOSE STOP CUT OUTAGE MOVE START", 1
    ),
    "paused, without etcd": LeaseCase("", f"{PAUSED_ALONE} KILL MOVE START", 1, n=0),
}

LONG = {
    "belated: a release, a kill",
    "belated: three epochs",
    "belated: three hosts",
    "prompt: two faults",
    "without etcd, belated: a kill",
    "without etcd, belated: two counts",
    "without etcd, prompt: an outage and another fault",
    "paused, belated: any one fault",
    "paused, prompt: any one fault",
}
"""These are for `make long`."""

CAUGHT = (
    # Clocks and deadlines.
    LeaseCase("DEADLINE_IS_LEASE", BELATED, 0, n=1, violation="two_hold"),
    LeaseCase("DEADLINE_FROM_ANSWER", BELATED, 0, n=1, violation="two_hold"),
    LeaseCase("SHOWN_IS_RENEWED", BELATED, 0, n=1, violation="two_hold"),
    LeaseCase("NOT_CHECKED_AGAIN", BELATED, 0, n=1, violation="two_hold"),
    LeaseCase("SEEN_FROM_SENDING", BELATED, 0, n=1, violation="two_hold"),
    LeaseCase("WALL_CLOCK", f"{BELATED} LEASE=2 JUMP", 1, n=1, violation="two_hold"),
    LeaseCase("CLOCK_STOPS", f"{BELATED} LEASE=2 STOP", 1, n=1, violation="two_hold"),
    LeaseCase("NO_QUARTER", f"{PROMPT} OUTAGE", 1, violation="took_from_living"),
    LeaseCase("ANSWERING_FROM_SENDING", f"{PROMPT} OUTAGE", 1, violation="took_from_living"),
    LeaseCase("RETRIES_LATE", f"{PROMPT} OUTAGE", 1, violation="took_from_living"),
    LeaseCase("SEEN_RESTARTS", f"{PROMPT} LOSE", 1, violation="stuck"),
    # The key.
    LeaseCase("TAKE_BY_PUT", BELATED, 0, n=1, violation="two_hold"),
    LeaseCase("HALF_BY_PUT", f"{BELATED} KILL", 1, n=1, violation="two_hold"),
    LeaseCase("EMITS_BEFORE_WRITTEN", BELATED, 0, n=1, violation="count_lost"),
    LeaseCase("OWN_NOT_KNOWN", BELATED, 0, n=1, violation="gave_up"),
    LeaseCase("FIGHTS", f"{PROMPT} STOP", 1, violation="took_from_living"),
    LeaseCase("RELEASE_GOES_ON", f"{BELATED} MOVE", 1, n=1, violation="two_hold"),
    # The receiver.
    LeaseCase("NO_EPOCH", BELATED, 0, n=1, violation="printed_twice"),
    LeaseCase("NO_RESUME", f"{BELATED} KILL", 1, violation="printed_gap"),
    # Without etcd.
    LeaseCase("NO_EPOCH", f"{ALONE} SENT_AT_ONCE", 0, n=1, violation="printed_twice"),
    LeaseCase("RAISES_EPOCH", ALONE, 0, n=1, violation="fights"),
    LeaseCase("RAISE_FORGOTTEN", f"{ALONE} KILL", 1, n=1, violation="undone"),
    LeaseCase("RETURNS_BY_PUT", f"{PROMPT} CONTINUE CUT", 1, n=1, violation="undone"),
    LeaseCase("SENDS_ALL_AT_RETURN", f"{ALONE} SENT_AT_ONCE", 0, violation="count_lost"),
    LeaseCase("OWN_NOT_KEPT", f"{ALONE} SENT_AT_ONCE KILL", 1, n=1, violation="count_lost"),
    LeaseCase("OWN_STAYS", f"{ALONE} MOVE", 1, n=1, violation="usurped"),
    # A pause.
    LeaseCase("PAUSE_ONLY_READ", f"{BELATED} PAUSE", 0, n=1, violation="took_paused"),
    LeaseCase("HALF_IS_EXEMPT", f"{BELATED} LEASE=2 PAUSE KILL", 1, n=1, violation="took_paused"),
    LeaseCase("STARTED_IS_EXEMPT", f"{BELATED} PAUSE", 0, n=1, violation="took_paused"),
    LeaseCase("START_STAYS", f"{BELATED} PAUSE MOVE", 1, n=1, violation="took_paused"),
    LeaseCase("HELD_FOR_EVER", f"{PROMPT} PAUSE LOSE", 1, n=1, violation="stuck"),
    LeaseCase("HOLDER_HELD", f"{PROMPT} PAUSE TAKES_JUDGED=0", 0, n=1, violation="stuck"),
    LeaseCase("NOTE_IGNORED", f"{PAUSED_ALONE} KILL", 1, n=0, violation="took_paused"),
)

REDUNDANT = (
    LeaseCase(
        "OWN_BY_HOST",
        f"{BELATED} LEASE=3 KILL",
        1,
        n=1,
        why="a dead run's late write fails, for the host's next run compares and writes first",
    ),
    LeaseCase(
        "NO_EPOCH",
        f"{BELATED} LEASE=3 SENT_AT_ONCE",
        0,
        why="the lease alone is enough, if nobody is stopped between the check and the emit",
    ),
)

LIMITS = (
    # Two outages: the holder's write falls into the second one, the stand-by's reads into none.
    LeaseCase("", f"{PROMPT} OUTAGE", 2, violation="took_from_living"),
    # etcd takes longer than the time-out of a request.
    LeaseCase("", f"{PROMPT} LATENCY=3", 0, violation="took_from_living"),
    # The key is deleted by hand: whoever finds no key takes it, and knows of no count.
    LeaseCase("", f"{BELATED} DELETE", 1, n=1, violation="count_lost"),
    pytest.param(
        LeaseCase("", f"{BELATED} LEASE=2 DELETE COUNTS_JUDGED=0", 1, n=1, violation="two_hold"),
        marks=pytest.mark.long,
    ),
    # What a person gives up who lets a holder go on without etcd: docs/hosts.md.
    LeaseCase("", f"{ALONE} OUT_HOLDS_JUDGED COUNTS_JUDGED=0", 0, n=1, violation="two_hold"),
    LeaseCase("", f"{ALONE} OUT_COUNTS_JUDGED", 0, n=1, violation="count_lost"),
    # And a host that etcd does not answer does not know of a pause that it was not told of.
    LeaseCase("", f"{PAUSED_ALONE} KILL UNTOLD_JUDGED", 1, n=0, violation="took_paused"),
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
    found = verdict(case, optimize="-O1")
    assert not found.violation, found.trail
    assert case.why


@pytest.mark.parametrize("case", LIMITS, ids=str)
def test_what_is_not_promised_is_not_kept(case: Case) -> None:
    assert verdict(case).violation == case.violation


def test_each_rule_is_taken_away() -> None:
    cases = [*CAUGHT, *REDUNDANT]
    assert rules(LEASE) == {rule for case in cases for rule in case.rules.split()}


def test_each_violation_can_be_found() -> None:
    assert violations(LEASE) == {case.violation for case in CAUGHT}


@pytest.mark.long
def test_each_step_is_taken() -> None:
    unreached = [verdict(case, optimize="-O1").unreached for case in SUITES.values()]
    assert not frozenset.intersection(*unreached)


@pytest.mark.parametrize(("file", "names"), steps(LEASE))
def test_each_step_has_its_function(file: str, names: str) -> None:
    for name in names.split(", "):
        assert name in functions(TOP / file), f"{file} has no {name}"


def test_the_steps_are_mapped() -> None:
    assert len(steps(LEASE)) > 15
