"""The JSON of `sendrecv status`, and the manual page that documents it."""

import json
import re
from collections.abc import Iterator

import pytest

from sendrecv.admin import problems
from sendrecv.admin.facts import STATES, App, Facts
from sendrecv.admin.receiver import Receiver, RefusedClaim
from sendrecv.admin.schema import document
from sendrecv.admin.units import Units, half_of
from sendrecv.errors import DONE, EXIT_STATUSES
from tests.lab.paths import TOP
from tests.unit.admin.journals import EVENT

PAGE = (TOP / "debian/man/sendrecv-status.1").read_text(encoding="utf-8").replace("\\-", "-")
HALVES = (half_of("x", "main"), half_of("x", "failover"))
FACTS = Facts(
    when=1.5,
    host="alpha",
    receiver=Receiver("unix:///x", refusal=RefusedClaim(1.0, "token", "")),
    units=Units({}),
    apps=(App("x", "x", "stopped", False, False, HALVES, takeover=EVENT),),
    sees_records=False,
    has_token=True,
)
PROBLEM = problems.Problem("", "token", "it is missing", ("make one",))


def keys(value: object) -> Iterator[str]:
    """All that are in it, at any depth."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield key
            yield from keys(below)
    if isinstance(value, list):
        for one in value:
            yield from keys(one)


def section(name: str, page: str = PAGE) -> str:
    return page.split(f".SH {name}\n")[1].split("\n.SH ")[0]


def undocumented(page: str) -> set[str]:
    said = document(FACTS, FACTS.apps, [PROBLEM], ["y"], DONE)
    words = set(re.findall(r"[A-Za-z-]+", section("JSON", page)))
    return set(keys(said)) - words


def test_each_key_is_in_the_manual_page() -> None:
    assert undocumented(PAGE) == set()
    assert undocumented(PAGE.replace("connectedSince", "")) == {"connectedSince"}


def test_it_is_json_and_what_is_not_known_is_null() -> None:
    said = json.loads(json.dumps(document(FACTS, FACTS.apps, [PROBLEM], ["y"], DONE)))
    assert said["apps"][0]["count"] is None and said["apps"][0]["half"] is None
    assert said["receiver"]["lastRefusal"] == {"when": 1.0, "reason": "token", "appID": None}
    assert said["problems"][0]["instance"] is None and said["unknown"] == ["y"]


def test_each_state_and_each_code_is_in_it() -> None:
    for state in STATES:
        assert f"\n.B {state}\n" in section("COLUMNS")
    with open(problems.__file__, encoding="utf-8") as file:
        codes = set(re.findall(r'Problem\([^,]+, "([a-z-]+)",', file.read()))
    assert len(codes) >= 9
    assert all(re.search(rf"\b{code}\b", section("JSON")) for code in codes)


@pytest.mark.parametrize("number", re.findall(r"^\.B (\d+)$", section("EXIT STATUS"), re.M))
def test_its_exit_statuses_are_those_of_the_table(number: str) -> None:
    (status,) = (status for status in EXIT_STATUSES if status == int(number))
    about_others = ("proof", "move", "record", "ledger")
    assert status in {0, 69, 77} or not any(word in status.meaning for word in about_others)
