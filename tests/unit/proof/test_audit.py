"""An audit without files: what is new of each App, how far the journal was read, and its room."""

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
from sendrecv.proof.audit.room import PERIOD, Room, rotated, small
from sendrecv.proof.chain import witness
from sendrecv.proof.chain.store import Chain
from sendrecv.proof.evidence import statements
from sendrecv.proof.read.after import lost, moved, news
from sendrecv.proof.read.export import entries as parsed
from sendrecv.proof.read.holes import Header
from sendrecv.proof.read.mark import ReadMark, later, place
from sendrecv.proof.statements import Missing
from tests.judges.documents import catalog
from tests.unit.only import only
from tests.unit.proof.journals import Fields, World, export

SERIES, OTHER, BOOT = "5" * 32, "6" * 32, "b" * 32
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


# How far the journal was read


def cursor(number: int, series: str = SERIES, boot: str = BOOT) -> str:
    return f"s={series};i={number:x};b={boot};m={number:x};t={number:x};x=1"


def header(head: int, tail: int, series: str = SERIES, path: str = "system@x.journal") -> Header:
    return Header(path, "a" * 32, series, head, tail, head, tail)


def mark(number: int, **numberings: int) -> ReadMark:
    return ReadMark(cursor(number), frozenset({BOOT}), numberings)


def test_a_mark_goes_through_json() -> None:
    assert ReadMark.decode(mark(5).as_json()) == mark(5)
    for said in (None, 5, {}, {"cursor": "x", "boots": [], "numberings": {}}):
        with pytest.raises(ValueError):
            ReadMark.decode(said)


def test_the_later_of_two_places() -> None:
    assert later(cursor(5), cursor(9)) == later(cursor(9), cursor(5)) == cursor(9)
    assert later(cursor(9), cursor(12, OTHER)) == cursor(12, OTHER)
    assert place("--output=json") is None


def test_a_mark_moves_with_what_was_read_and_not_back() -> None:
    entry = f"\n__CURSOR={cursor(9)}\n".encode()
    assert moved(mark(5), entry).cursor == cursor(9)
    assert moved(mark(12), entry).cursor == cursor(12)
    assert moved(mark(5), entry).numberings == {SERIES: 9}


@pytest.mark.parametrize(
    ("files", "holes", "gone"),
    [
        ([header(1, 5), header(6, 20)], False, False),
        ([header(1, 20)], False, False),
        ([header(6, 20)], False, False),
        ([header(8, 20)], True, False),
        ([header(1, 5), header(8, 20)], True, False),
        ([header(1, 7, OTHER)], False, True),  # nobody knows what followed 5 in its own numbering
        ([header(6, 9, OTHER)], False, False),  # a damaged file was put aside
    ],
)
def test_what_is_missing_after_a_mark(files: list[Header], holes: bool, gone: bool) -> None:
    there = news(mark(5), files)
    assert (there[0].tail, there[0].series) == (5, SERIES)
    known = there[0].tail
    ours = [one for one in there[1:] if one.series == SERIES]
    assert any(one.head > known + 1 for one in ours) == holes
    assert bool(lost(mark(5), files)) == gone


# Whether there is room


def test_a_rotation_is_a_reason_once_a_quarter_is_not_audited(tmp_path: Path) -> None:
    for number in range(1, 9):
        name = f"system@{SERIES}-{number * 100:016x}-{number:016x}.journal"
        (tmp_path / name).write_bytes(b"x" * 1000)
    assert rotated([tmp_path], None)
    assert rotated([tmp_path], ReadMark(cursor(650), frozenset(), {SERIES: 650}))
    assert not rotated([tmp_path], ReadMark(cursor(750), frozenset(), {SERIES: 750}))
    assert rotated([tmp_path], ReadMark(cursor(750), frozenset(), {OTHER: 750}))


@pytest.mark.parametrize(
    ("room", "is_small"),
    [
        (Room(8 << 20, 8 << 20, 0, 30 * 60 * SECOND, False), True),
        (Room(8 << 20, 80 << 20, 0, 30 * 60 * SECOND, True), False),
        (Room(8 << 20, 9 << 20, 0, 30 * 60 * SECOND, True), True),
        (Room(8 << 20, 0, 0, 30 * 60 * SECOND, True), False),  # it may be large: nobody knows
        (Room(8 << 20, 0, 0, 30 * 60 * SECOND, False), True),
        (Room(8 << 20, 8 << 20, 0, 3 * PERIOD * SECOND, False), False),
        (Room(), False),
    ],
)
def test_a_journal_that_is_too_small(room: Room, is_small: bool) -> None:
    text = small(room)
    assert bool(text) == is_small
    assert not text or "set SystemMaxUse=" in text


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
