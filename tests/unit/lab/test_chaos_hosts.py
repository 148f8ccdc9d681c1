"""Chaos on several hosts, without a machine: a seed is a schedule of all kinds of faults."""

from collections import Counter

from tests.chaos.hosts import Result, table, wandering
from tests.chaos.hosts_actions import ACTIONS
from tests.chaos.hosts_faults import (
    BY_NAME,
    HOLDER,
    KINDS,
    LEADER,
    MEMBERS,
    RECEIVER,
    ROUND,
    SCOPES,
    schedule,
)
from tests.chaos.silence import Worst
from tests.judges.checker import Session

APPS = ["one", "two"]


def test_a_seed_is_a_schedule() -> None:
    assert schedule(7, 300, APPS) == schedule(7, 300, APPS) != schedule(8, 300, APPS)


def test_every_fault_has_its_number_and_every_kind_its_turn() -> None:
    rounds = schedule(1, 3005, APPS)
    assert [len(faults) for faults in rounds] == 300 * [ROUND] + [5]
    faults = [fault for faults in rounds for fault in faults]
    assert [fault.number for fault in faults] == list(range(3005))
    assert Counter(fault.kind for fault in faults).keys() == BY_NAME.keys() == ACTIONS.keys()
    assert {kind.scope for kind in KINDS} == SCOPES.keys()


def test_some_faults_strike_at_one_instant_and_some_the_host_that_matters() -> None:
    faults = [fault for faults in schedule(2, 1000, APPS) for fault in faults]
    together = Counter(
        (number, fault.at) for number, some in enumerate(schedule(2, 1000, APPS)) for fault in some
    )
    assert max(together.values()) == 3
    hosts = Counter(fault.host for fault in faults)
    assert hosts.keys() == {*MEMBERS, RECEIVER, HOLDER, LEADER}
    assert {fault.host for fault in faults if BY_NAME[fault.kind].scope == "receiver"} == {RECEIVER}


def test_only_what_strikes_a_process_of_an_app_concerns_that_app_alone() -> None:
    for faults in schedule(3, 500, APPS):
        for fault in faults:
            is_of_app = BY_NAME[fault.kind].scope == "app"
            assert fault.concerns == (fault.app if is_of_app else "")


def test_the_table_has_what_happened() -> None:
    result = Result("trixie", 7, counts=90, skipped=3, worst={"kill": Worst(2, 1, 0.5, 1.25)})
    text = table(result)
    assert "2 faults, 90 counts" in text and "nothing to strike: 3" in text
    assert "| kill | SIGKILL of the App's process on a host | 2 | 1 | 0.50 | 1.25 |" in text


def test_an_app_that_moves_while_nothing_happens_wanders() -> None:
    sessions = [Session("x", epoch, "run", "boot", at) for epoch, at in ((1, 0.5), (2, 2.5))]
    assert not wandering(sessions, [(1.0, 2.0), (3.0, 4.0)])
    found = wandering(sessions, [(1.0, 2.0), (2.0, 3.0)])
    assert len(found) == 1 and "epoch 2" in found[0]
