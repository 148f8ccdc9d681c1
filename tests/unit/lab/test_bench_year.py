"""The year that the benchmark makes up: an entry is as the proof reads it, and the truth is the
truth: what the year says of itself is what a verdict finds."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from sendrecv.proof.chain.lines import Line
from sendrecv.proof.chain.store import Chain
from sendrecv.proof.evidence import statements
from sendrecv.proof.judge import findings as f
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED, Judge, Verdict
from sendrecv.proof.read import export
from tests.bench.audit import Audits, hours
from tests.bench.audited import differences
from tests.bench.year import APP, PLANTED, Happening, Truth, Year
from tests.unit.proof.judging import outcome


def day(planted: str = "", *, cuts: int = 3) -> Year:
    happening = Happening(1, 30, 9, cuts, 3, planted=PLANTED.get(planted), planted_on=0.5)
    return Year(happening)


def judged(year: Year) -> Verdict:
    judge = Judge()
    for _, statement in statements(entry for _, entry in year.entries()):
        judge.feed(statement)
    return judge.verdict()


def found(verdict: Verdict) -> Truth:
    """What the verdict says of the year."""
    app = verdict.apps[0]
    gaps = [one for check in app.checks for one in check.findings if check.name == f.NO_GAP]
    return Truth(
        app.tally.counts,
        app.number_of_takeovers,
        len(verdict.boots),
        sum(not boot.clean for boot in verdict.boots[:-1]),
        len(app.lives),
        [_unproven(one) for one in gaps],
        max(takeover.silence or 0 for takeover in app.takeovers),
    )


def _unproven(gap: f.Finding) -> tuple[int, int, int]:
    first, last = (int(word) for word in gap.text.split() if word.isdigit())
    return first, last, gap.exhibits[-1].at.wall


@pytest.mark.parametrize("cuts", [0, 3])
def test_a_verdict_finds_what_happened(cuts: int) -> None:
    year = day(cuts=cuts)
    verdict = judged(year)
    assert found(verdict) == year.truth
    assert outcome(verdict) == ({f.NO_GAP: INCONCLUSIVE} if cuts else {})
    assert verdict.status == (INCONCLUSIVE if cuts else PROVEN)
    assert year.truth.takeovers == 30 and year.truth.boots == 9
    assert 86_400 - 9 * 300 < year.truth.counts <= 86_400


@pytest.mark.parametrize(
    "planted, check", [("twice", f.ONCE), ("skips", f.NO_GAP), ("overlaps", f.ONE)]
)
def test_a_violation_in_it_is_found(planted: str, check: str) -> None:
    verdict = judged(day(planted, cuts=0))
    assert verdict.status == VIOLATED and outcome(verdict)[check] == VIOLATED


# Hour by hour, with the code of `sendrecv audit`


def audited_hourly(year: Year, directory: Path) -> tuple[Audits, Verdict]:
    audits = Audits(directory)
    verdicts = [audits.audit(entries) for entries in hours(year)]
    return audits, verdicts[-1]


def test_hourly_audits_find_what_happened(tmp_path: Path) -> None:
    year = day()
    audits, verdict = audited_hourly(year, tmp_path)
    assert differences(verdict, year.truth) == []
    assert len(audits.busy) == 25 and audits.violated is None


def test_what_did_not_happen_is_told(tmp_path: Path) -> None:
    year = day()
    _, verdict = audited_hourly(year, tmp_path)
    year.truth.takeovers += 1
    year.truth.unproven.pop()
    told = [line.split(":")[0] for line in differences(verdict, year.truth)]
    assert told == ["takeovers", "unproven counts"]


@pytest.mark.parametrize("planted", PLANTED)
def test_the_audit_of_its_hour_finds_a_violation(planted: str, tmp_path: Path) -> None:
    audits, verdict = audited_hourly(day(planted), tmp_path)
    assert verdict.status == VIOLATED
    # It is planted at 03:13 of the second day, and the first audit is of 15:13 to 16:00.
    assert audits.violated == 13
    (alarm,) = [line["app"] for line in lines_of(tmp_path) if line.get("witnesses")]
    assert alarm == APP


def lines_of(directory: Path) -> list[Line]:
    chain = Chain.read(directory)
    assert chain
    return list(chain.lines())


def test_entries_are_as_the_proof_reads_them() -> None:
    written = [entry for _, entry in Year(Happening(0.02, 5, 3, 1, 1)).entries()]
    stream = io.BytesIO(b"".join(entry[1:] + b"\n" for entry in written))
    assert list(export.entries(stream)) == written


def test_time_and_numbers_go_on() -> None:
    walls: list[int] = []
    numbers: list[int] = []
    for wall, number in _places(day()):
        walls.append(wall)
        numbers.append(number)
    assert walls == sorted(walls)
    assert numbers == list(range(1, len(numbers) + 1))


def _places(year: Year) -> Iterator[tuple[int, int]]:
    for wall, entry in year.entries():
        cursor = entry.split(b"\n", 2)[1]
        yield wall, int(cursor.split(b";")[1].removeprefix(b"i="), 16)
