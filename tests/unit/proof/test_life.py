"""`sendrecv proof` of an App's whole life: the chain of audits, and the journal after it."""

import io
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from sendrecv.errors import UsageError
from sendrecv.proof.chain.append import Addition, append
from sendrecv.proof.chain.evidence import Hashes
from sendrecv.proof.chain.pack import packed, unpacked
from sendrecv.proof.chain.store import Chain, ChainError
from sendrecv.proof.evidence import statements
from sendrecv.proof.judge import findings as f
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED, Judge, Verdict
from sendrecv.proof.life import AuditedLife, Comparison, is_new
from sendrecv.proof.prove import main
from sendrecv.proof.read import bundle
from sendrecv.proof.read.export import entries
from sendrecv.proof.read.mark import ReadMark, place
from sendrecv.proof.show import report
from sendrecv.proof.statements import Missing, Statement
from tests.unit.proof.journals import Fields, World, export, without
from tests.unit.proof.judging import judge, outcome
from tests.unit.proof.test_verdict_random import is_killed, loses_counts_with_the_power


def read(written: Sequence[Fields]) -> list[tuple[bytes, Statement]]:
    return list(statements(entries(io.BytesIO(export(written)))))


def audit(directory: Path, chain: Chain | None, written: Sequence[Fields]) -> Chain:
    """One more, of these entries."""
    chain = chain or Chain.begun(directory, "a" * 32)
    state, memory = chain.state(), chain.memory().get("evidence", {})
    one = Judge.resume(state) if state else Judge(alone=True)
    hashes = Hashes(memory.get("machine", ""), memory.get("apps", {}))
    for _, said in read(written):
        one.feed(said)
        hashes.feed(said)
    end = place(written[-1]["__CURSOR"])
    assert end
    known = set(chain.memory().get("mark", {}).get("boots", ()))
    boots = frozenset(known | {entry["_BOOT_ID"] for entry in written})
    mark = ReadMark(written[-1]["__CURSOR"], boots, {end.numbering: end.number})
    line = {"at": end.wall, "n": chain.head.number + 1, "machine": "a" * 32}
    line |= {"from": int(written[0]["__REALTIME_TIMESTAMP"]), "until": mark.cursor}
    line |= {"evidence": hashes.machine, "verdict": PROVEN}
    kept = {"mark": mark.as_json(), "evidence": {"machine": hashes.machine, "apps": hashes.of_app}}
    return append(chain, Addition([line], end.wall, mark.cursor, one.state(), kept))


class Audited:
    """A world with an audit after each of its takeovers."""

    def __init__(self, directory: Path, number: int = 4) -> None:
        self.world, self.directory = World().up("x"), directory
        self.chain: Chain | None = None
        self.ends = [0]
        for _ in range(number):
            is_killed(self.world, "x")
            self.audit()

    def audit(self) -> None:
        self.chain = audit(self.directory, self.chain, self.world.entries[self.ends[-1] :])
        self.ends.append(len(self.world.entries))

    @property
    def news(self) -> list[Fields]:
        return self.world.entries[self.ends[-1] :]

    def bundle(self, written: Sequence[Fields], path: Path, chain: str = "") -> Path:
        assert self.chain
        first = read(written)[0][0]
        own = [bundle.Scope().entry(first), bundle.chain_entry(first, chain or packed(self.chain))]
        data = b"".join(entry[1:] + b"\n" for entry in own)
        path.write_bytes(data + export(written))
        return path


@pytest.fixture(name="audited")
def _audited(tmp_path: Path) -> Audited:
    (tmp_path / "chain").mkdir()
    audited = Audited(tmp_path / "chain")
    is_killed(audited.world, "x")
    return audited


def shown(capsys: pytest.CaptureFixture[str], path: Path, *more: str) -> str:
    status = main([*more, "--file", str(path)])
    return f"{status} {capsys.readouterr().out}"


def test_a_chain_and_what_came_after_it_are_the_whole_life(
    audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = judge(audited.world).apps[0].tally.counts
    for written in (audited.news, audited.world.entries):
        text = shown(capsys, audited.bundle(written, tmp_path / "bundle"))
        assert text.startswith("0 ") and f"{counts} counts, 0 to {counts - 1}" in text
        assert "5 takeovers, the next start" in text and "by the chain of 4 audits" in text
    # The news alone have no beginning:
    (tmp_path / "news").write_bytes(export(audited.news))
    assert shown(capsys, tmp_path / "news").startswith("2 ")


def test_what_happens_after_the_audits_is_judged_with_them(
    audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audited.world.print("x", "main", 1)
    text = shown(capsys, audited.bundle(audited.news, tmp_path / "bundle"))
    assert text.startswith("1 ") and "count 1 was printed twice" in text


def test_a_bundle_whose_chain_was_altered_is_judged_without_it(
    audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audited.chain
    whole = packed(audited.chain)
    values = json.loads(whole)
    name = next(name for name in values["files"] if name.startswith("audits"))
    values["files"][name] = values["files"][name].replace("PROVEN", "proven", 1)
    cut = json.loads(whole)
    cut["files"][name] = cut["files"][name][: cut["files"][name].index("\n") + 1]
    for chain in (json.dumps(values), json.dumps(cut), "{}", "[", whole[:-9]):
        text = shown(capsys, audited.bundle(audited.news, tmp_path / "bundle", chain))
        assert text.startswith("2 ") and "the chain of audits is not used: " in text, chain
        with pytest.raises(ChainError):
            unpacked(chain, tmp_path)


def test_what_the_journal_shows_to_be_violated_is_violated_whatever_the_chain_says(
    audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = range(audited.ends[-1])
    fifth = '{"count": 5, '
    place_of = next(n for n in places if audited.world.entries[n]["MESSAGE"].startswith(fifth))
    forged = without(audited.world.entries, place_of)
    assert judge(forged).status == VIOLATED
    text = shown(capsys, audited.bundle(forged, tmp_path / "bundle"))
    assert text.startswith("1 ") and "!" in text


def test_several_bundles_are_judged_without_their_chains(
    audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = audited.bundle(audited.world.entries, tmp_path / "1")
    second = audited.bundle(audited.world.entries, tmp_path / "2")
    assert main(["--file", str(first), "--file", str(second)]) == 0
    assert "by the chain" not in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--since=-1h", "--boot=0", "--file=x", "--directory=/"])
def test_full_is_of_all_of_the_journal(option: str) -> None:
    with pytest.raises(UsageError, match="--full is of all"):
        main(["--full", option])


def test_what_is_missing_after_the_mark_counts_whatever_the_clock_says(audited: Audited) -> None:
    assert audited.chain
    old = Missing("a hole that the audits knew", 5, machine="a" * 32)
    new = Missing("a hole after the clock was set back", 7, machine="a" * 32)
    life = AuditedLife.of(audited.chain)
    assert life
    life.known = frozenset([old])
    life.limit([old, new], {})
    for entry, said in read(audited.news):
        life.feed(entry, said)
    assert [text for _, text in found_of(life.judge.verdict())] == [new.text]


def found_of(verdict: Verdict) -> list[tuple[str, str]]:
    return [(name, one.text) for app in verdict.apps for name, one in app.doubts]


# Whether the journal is what was audited


def compared(audited: Audited, written: Sequence[Fields]) -> Comparison:
    assert audited.chain
    comparison = Comparison(audited.chain)
    for entry, said in read(written):
        comparison.feed(entry, said)
    comparison.finish()
    return comparison


def test_a_journal_that_is_what_was_audited(audited: Audited) -> None:
    whole = compared(audited, audited.world.entries)
    assert (whole.same, whole.differ) == (4, [])
    expected = "periods of the chain that are as the journal has them: 4, that differ: 0, of which"
    assert whole.note.startswith(expected)
    # Without its beginning:
    part = compared(audited, audited.world.entries[audited.ends[2] - 1 :])
    assert (part.same, part.differ) == (2, [])
    part = compared(audited, audited.world.entries[audited.ends[2] :])
    assert (part.same, part.differ) == (1, [])


def test_an_entry_that_was_removed_or_changed_since_is_a_doubt_with_its_time(
    audited: Audited,
) -> None:
    place_of = audited.ends[2] + 3
    changed = [dict(entry) for entry in audited.world.entries]
    changed[place_of]["MESSAGE"] += "?"
    changed[place_of]["__REALTIME_TIMESTAMP"] += "0"
    for written in (without(audited.world.entries, place_of), changed):
        found = compared(audited, written)
        assert (found.same, len(found.differ)) == (3, 1)
        (doubt,) = found.doubts
        assert "are not those that were audited" in doubt.text


def test_only_what_came_after_the_mark_is_new(audited: Audited) -> None:
    assert audited.chain
    life = AuditedLife.of(audited.chain)
    assert life
    new = [is_new(life.mark, entry["__CURSOR"]) for entry in audited.world.entries]
    assert new == [place >= audited.ends[-1] for place in range(len(new))]
    # A boot that is new is new whatever its clock says, and one that was there is not.
    audited.world.clock -= 10**12
    audited.world.boot(clean=True)
    assert is_new(life.mark, audited.world.write({})["__CURSOR"])


# What is said of doubts


def test_a_doubt_is_of_its_time_and_the_rest_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    world = World().up("x")
    is_killed(world, "x")
    loses_counts_with_the_power(world, "x")
    is_killed(world, "x")
    verdict = judge(world)
    assert verdict.status == INCONCLUSIVE and outcome(verdict) == {f.NO_GAP: INCONCLUSIVE}
    (gap,) = verdict.apps[0].but_for
    assert (gap.why, gap.counts) == ("power cut", 2)
    (line,) = (one for one in report.text(verdict) if "but for" in one)
    assert line.startswith("  App x is PROVEN but for ")
    assert line.endswith(" (power cut), where 2 counts are unproven")
    app = report.as_json(verdict)["apps"][0]
    assert app["but_for"][0]["counts"] == 2 and app["figures"]["takeovers"]["takeover"] == 2
    os.environ.pop("TZ", None)


def test_nothing_is_proven_but_for_what_has_no_time() -> None:
    world = World().up("x")
    loses_counts_with_the_power(world, "x")
    assert judge(world).apps[0].but_for
    assert not judge(world.entries[6:]).apps[0].but_for, "its beginning is missing"
    world.print("x", "main", 0)
    assert not judge(world).apps[0].but_for, "it is violated"
