"""The demonstration of several hosts believes no count that it did not see, and says who counts."""

import json

import pytest

from tests.demo import DemoError
from tests.demo_hosts import HEADING, Audience
from tests.lab.hosts import host_of
from tests.lab.machine import Entry


def entry(message: str, seconds: float = 1) -> Entry:
    stamp = str(int(seconds * 1e6))
    return {"MESSAGE": message, "__REALTIME_TIMESTAMP": stamp, "SYSLOG_IDENTIFIER": "receiver"}


def audience(*counts: tuple[int, str, float]) -> Audience:
    """Of a receiver that printed these counts, from these nodes, at these times."""
    made = ((json.dumps({"count": n, "appID": "main", "nodeID": x}), at) for n, x, at in counts)
    return Audience(iter([entry("session {}"), *(entry(text, at) for text, at in made)]))


def test_an_act_ends_with_counts_of_the_host_that_should_count_now() -> None:
    watched = audience((0, "a", 1), (1, "a", 2), (2, "b-failover", 4.5), (3, "b-failover", 5))
    assert watched.watch(1, lambda node: host_of(node) != "a") == pytest.approx(2.5)
    assert (watched.node, watched.host) == ("b-failover", "b")
    with pytest.raises(DemoError, match="no count 4"):
        watched.watch(2)


def test_without_a_count_of_that_host_it_ends_with_an_error() -> None:
    with pytest.raises(DemoError, match="no count 2"):
        audience((0, "a", 1), (1, "a", 2)).watch(1, lambda node: node == "b")


@pytest.mark.parametrize("second", [0, 2])
def test_a_count_that_is_missing_or_comes_twice_is_an_error(second: int) -> None:
    with pytest.raises(DemoError, match="where count 1 was due"):
        audience((0, "a", 1), (second, "b", 2)).watch(2)


def test_each_count_shows_who_counts_and_who_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    watched = audience((0, "c-failover", 1), (1, "b", 2))
    watched.watch(1)
    watched.off.add("c")
    watched.watch(1)
    lines = [line for line in capsys.readouterr().out.splitlines() if "count" in line]
    assert [line[-8:].split() for line in lines] == [[".", ".", "#"], [".", "#", "x"]]
    assert HEADING.split()[-3:] == ["a", "b", "c"]
    assert {len(line) for line in lines} == {len(HEADING)} == {80}
