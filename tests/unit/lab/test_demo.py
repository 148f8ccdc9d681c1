"""The demonstration believes no count that it did not see: it ends with an error."""

import json
from collections.abc import Sequence

import pytest

from tests.demo import ACTS, Act, Audience, DemoError
from tests.lab.machine import Entry

ACT = Act("", "", "main", 2, "")


def entry(message: str) -> Entry:
    return {"MESSAGE": message, "__REALTIME_TIMESTAMP": "1", "SYSLOG_IDENTIFIER": "receiver"}


def audience(*counts: tuple[int, str]) -> Audience:
    """Of a receiver that printed these counts, from these nodes, among other things."""
    payloads = [{"count": n, "appID": "main", "nodeID": node} for n, node in counts]
    return Audience(iter([entry("session {}"), *map(entry, map(json.dumps, payloads))]))


def test_an_act_ends_with_its_counts_and_the_next_one_goes_on_there() -> None:
    watched = audience((0, "failover"), (1, "main"), (2, "main"), (3, "main"), (4, "main"))
    watched.watch(ACT)
    watched.watch(ACT)
    with pytest.raises(DemoError, match="no count 5 from main"):
        watched.watch(ACT)


@pytest.mark.parametrize("counts", [[0, 2], [0, 0], [1, 2], [0]])
def test_a_count_that_is_missing_or_comes_twice_is_an_error(counts: Sequence[int]) -> None:
    with pytest.raises(DemoError, match="the receiver printed"):
        audience(*((count, "main") for count in counts)).watch(ACT)


def test_what_comes_from_the_wrong_node_is_not_enough() -> None:
    with pytest.raises(DemoError, match="no count 2 from main"):
        audience((0, "failover"), (1, "failover")).watch(ACT)


def test_no_line_is_wider_than_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Audience(iter([entry("x" * 200)]))
    with pytest.raises(DemoError):
        watched.watch(ACT)
    assert [len(line) for line in capsys.readouterr().out.splitlines()] == [80]
    assert max(len(f"  Look: {act.look}") for act in ACTS) <= 80
