"""An audit without files: what is new of each App, and what is told of it."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sendrecv.core import takeover
from sendrecv.proof.audit import entries
from sendrecv.proof.audit.audit import appended
from sendrecv.proof.audit.periods import AuditPeriod
from sendrecv.proof.audit.reading import Outcome, hashes_of, judge_of
from sendrecv.proof.audit.room import Room
from sendrecv.proof.chain import witness
from sendrecv.proof.chain.store import Chain
from sendrecv.proof.evidence import statements
from sendrecv.proof.read.export import entries as parsed
from sendrecv.proof.statements import Missing
from tests.judges.documents import catalog
from tests.unit.only import only
from tests.unit.proof.journals import Fields, World, export

SECOND = 1_000_000
DAY = 86_400 * SECOND


def audit(chain: Chain, written: Sequence[Fields], *missing: Missing) -> Chain:
    """One audit of these entries."""
    judge, hashes, period = judge_of(chain), hashes_of(chain), AuditPeriod()
    judge.limit(missing)
    for _, statement in statements(parsed(io.BytesIO(export(written)))):
        judge.feed(statement)
        hashes.feed(statement)
        period.feed(statement)
    state = judge.state()
    outcome = Outcome(judge.verdict(), state, period, hashes, None, None, Room())
    return appended(chain, outcome, [], DAY + chain.head.number).chain


def audits(directory: Path, *parts: Sequence[Fields]) -> list[dict[str, Any]]:
    """The lines of App x, after an audit of each part."""
    chain = Chain.begun(directory, "a" * 32)
    for part in parts:
        audit(chain, part)
        chain = Chain.read(directory) or chain
    return [*chain.lines("x")]


def cut(world: World, *places: int) -> list[list[Fields]]:
    ends = [*places, len(world.entries)]
    return [world.entries[begin:end] for begin, end in zip([0, *places], ends, strict=True)]


def test_each_line_is_of_its_period(tmp_path: Path) -> None:
    world = World().up("x")
    first = len(world.entries)
    world.take_over("x")
    second = len(world.entries)
    world.count("x", "failover", 4)
    lines = audits(tmp_path, *cut(world, first, second))
    assert [(line["first"], line["last"], line["counts"]) for line in lines] == [
        (0, 2, 3),
        (3, 4, 2),
        (5, 8, 4),
    ]
    assert [line["runs"] for line in lines] == [1, 1, 0]
    assert [line.get("takeovers") for line in lines] == [None, {"takeover": 1}, None]
    assert [line["epochs"] for line in lines] == [[1, 1], [1, 2], [2, 2]]
    assert {line["verdict"] for line in lines} == {line["whole"] for line in lines} == {"PROVEN"}
    assert lines[1]["hours"] and lines[1]["silence"] > SECOND


def test_the_evidence_is_the_same_wherever_it_is_cut(tmp_path: Path) -> None:
    world = World().up("x")
    world.take_over("x")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    (line,) = audits(whole, world.entries)
    lines = audits(parts, *cut(world, 3, 9, 14))
    assert lines[-1]["evidence"] == line["evidence"]
    world.entries[-1]["MESSAGE"] = world.entries[-1]["MESSAGE"].replace("4", "5")
    assert audits(tmp_path, world.entries)[0]["evidence"] != line["evidence"]


def test_a_violation_is_of_its_period_and_an_alarm(tmp_path: Path) -> None:
    world = World().up("x", "y")
    first = len(world.entries)
    world.print("x", "main", 1)
    second = len(world.entries)
    world.count("x")
    world.count("y")
    lines = audits(tmp_path, *cut(world, first, second))
    assert [line["verdict"] for line in lines] == ["PROVEN", "VIOLATED", "PROVEN"]
    assert [line["whole"] for line in lines] == ["PROVEN", "VIOLATED", "VIOLATED"]
    (found,) = lines[1]["witnesses"]
    assert found["check"] == "each count once" and len(found["cursors"]) == 2
    assert "witnesses" not in lines[2]
    chain = Chain.read(tmp_path)
    assert chain and chain.head.alarm == ("x",)


def test_a_doubt_is_of_its_period(tmp_path: Path) -> None:
    world = World().up("x")
    chain = audit(Chain.begun(tmp_path, "a" * 32), world.entries)
    chain = audit(chain, [], Missing("entries 5 to 9 are missing", 1))
    done = len(world.entries)
    world.count("x")
    chain = audit(chain, world.entries[done:])
    done = len(world.entries)
    world.count("x")
    audit(chain, world.entries[done:])
    verdicts = [line["verdict"] for line in (Chain.read(tmp_path) or chain).lines("x")]
    assert verdicts.count("INCONCLUSIVE") == 1 and verdicts[-1] == "PROVEN", verdicts


def test_findings_are_told_before_the_chain_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, str, dict[str, str]]] = []

    def log(priority: int, _message_id: str, text: str, **fields: str) -> None:
        told.append((priority, text, fields))

    monkeypatch.setattr(entries, "log", log)
    world = World().up("x")
    world.print("x", "main", 1)
    (line,) = audits(tmp_path, world.entries)
    entries.tell_findings({"x": line})
    priority, text, fields = only(told)
    assert (priority, text) == (2, "App x: VIOLATED: each count once: count 1 was printed twice")
    assert len(fields["SENDRECV_CURSORS"].split()) == 2


def test_the_catalog_explains_what_an_audit_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """By fields that the entry has. With the senders' entries, that is all of the catalog."""
    told: dict[str, set[str]] = {}

    def log(_priority: int, message_id: str, _text: str, **fields: str) -> None:
        told[message_id] = {name for name, value in fields.items() if value}

    monkeypatch.setattr(entries, "log", log)
    found = {"check": "each count once", "text": "count 1 came twice"}
    cursors = {"cursors": ["s=1", "s=2"]}
    entries.tell_findings({"x": {"witnesses": [found | cursors], "doubts": [found]}})
    explained = catalog()
    for message_id in (entries.VIOLATION_ID, entries.DOUBT_ID):
        named = set(re.findall(r"@([A-Z_]+)@", explained[message_id]))
        assert named and named <= told[message_id]
    alone = {entries.ACKNOWLEDGED_ID, entries.SMALL_ID, entries.CHAIN_ID, witness.MESSAGE_ID}
    assert not any("@" in explained[message_id] for message_id in alone)
    senders = {takeover.TAKEOVER, takeover.BEGUN, takeover.ENDED, takeover.PAUSED, takeover.RESUMED}
    assert explained.keys() == {*told, *alone, *senders}
