"""What status says of audits, from the chain's head and the states of its units."""

import json
from pathlib import Path
from typing import Any

import pytest

from sendrecv.admin.audits import SERVICE, TIMER, Audits, problems, read
from sendrecv.admin.facts import STOPPED, App
from sendrecv.admin.problems import problems as all_problems
from sendrecv.admin.units import half_of
from sendrecv.proof.chain.head import Head
from tests.unit.admin.test_schema import FACTS

NOW = 1_790_000_000.0
HOUR = 3600
ON = {TIMER: "active"}


def codes(audits: Audits, states: dict[str, str]) -> list[str]:
    return [code for _, code, *_ in problems(audits, states, NOW)]


@pytest.mark.parametrize(
    ("audits", "states", "expected"),
    [
        (Audits(NOW - HOUR, 0.0), ON, []),
        (Audits(NOW - 3 * HOUR, 0.0), ON, ["audit-late"]),
        (Audits(NOW - 3 * HOUR, NOW - HOUR), ON, []),  # just booted
        (Audits(None, NOW - HOUR), ON, []),  # just installed
        (Audits(None, NOW - 3 * HOUR), ON, ["audit-late"]),
        (Audits(NOW - 3 * HOUR, 0.0), {**ON, SERVICE: "activating"}, []),  # a long one
        (Audits(NOW - 3 * HOUR, 0.0), {}, ["audit-off"]),
        (Audits(NOW, 0.0), {TIMER: "inactive"}, ["audit-off"]),
        (Audits(NOW, 0.0), {**ON, SERVICE: "failed"}, ["audit-failed"]),
        (Audits(NOW, 0.0, ("x",)), {**ON, SERVICE: "failed"}, ["violated"]),
        (Audits(NOW, 0.0, ("x", "y"), ("old copy",)), ON, ["violated", "violated", "audit-chain"]),
    ],
)
def test_what_is_wrong(audits: Audits, states: dict[str, str], expected: list[str]) -> None:
    assert codes(audits, states) == expected


def test_it_is_said_of_the_instance_and_only_if_there_is_an_app() -> None:
    halves = (half_of("inst", "main"), half_of("inst", "failover"))
    app = App("inst", "x", STOPPED, False, False, halves)
    units = FACTS.units.replace(others={**FACTS.units.others, TIMER: "active"}, error="")
    facts = FACTS.replace(apps=(app,), units=units, audits=Audits(FACTS.when, 0.0, ("x",)))
    found = [one for one in all_problems(facts) if one.code == "violated"]
    assert [(one.app, one.is_error) for one in found] == [("inst", True)]
    assert "sendrecv proof x" in found[0].commands
    facts = facts.replace(apps=())
    assert "violated" not in [one.code for one in all_problems(facts)]


def test_the_head_of_a_chain_is_read(tmp_path: Path) -> None:
    assert read(str(tmp_path / "none")) is None
    there = read(str(tmp_path))
    assert there and (there.at, there.alarm) == (None, ())
    head = Head("a" * 32, 5, int(NOW * 1e6), alarm=("x",), notes=("old copy",))
    (tmp_path / "head").write_bytes(head.encode())
    there = read(str(tmp_path))
    assert there and (there.at, there.alarm, there.notes) == (NOW, ("x",), ("old copy",))


@pytest.mark.parametrize("said", [None, [], 5, {"at": "now"}, {"at": 5, "alarm": 5, "notes": []}])
def test_a_head_that_makes_no_sense(tmp_path: Path, said: Any) -> None:
    (tmp_path / "head").write_text(json.dumps(said))
    assert read(str(tmp_path)) is None
