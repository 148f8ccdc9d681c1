"""The picture of a long life, day by day: all that happened is drawn, or counted."""

import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sendrecv.proof import prove
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED
from sendrecv.proof.show.days import ASIDE, FEW, draw, is_long
from sendrecv.proof.show.history import HOUR, History, Remark, Stretch, days, local
from tests.unit.proof.journals import World, export

SVG = "{http://www.w3.org/2000/svg}"
DAY = 24 * HOUR
BEGIN = 20_000 * DAY
"""A midnight of UTC."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def picture(*histories: History, status: str = PROVEN) -> ElementTree.Element:
    return ElementTree.fromstring(draw(status, histories))


def history(*stretches: Stretch, remarks: tuple[Remark, ...] = (), app: str = "x") -> History:
    counts = sum(one.counts for one in stretches)
    takeovers = sum(number for one in stretches for _, number in one.takeovers)
    return History(app, PROVEN, counts, takeovers, stretches, remarks)


def each_day(number: int) -> list[Stretch]:
    starts = [BEGIN + day * DAY for day in range(number)]
    return [Stretch(start, start + DAY, counts=86_400) for start in starts]


def shapes(drawn: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    """Without those of the legend."""
    found = [one for one in drawn.iter() if one.get("class") == kind]
    return found[1:] if kind in LEGEND else found


LEGEND = {"day", "unsure", "bad", "moved", "up", "doubt", "wrong"}


def texts(drawn: ElementTree.Element, tag: str = "text") -> list[str]:
    return [one.text or "" for one in drawn.iter(f"{SVG}{tag}")]


def lines(drawn: ElementTree.Element) -> int:
    """So many takeovers are drawn."""
    return sum(one.get("d", "").count("v") for one in shapes(drawn, "moved"))


def test_each_day_is_a_row() -> None:
    drawn = picture(history(*each_day(365)))
    rows = shapes(drawn, "day")
    assert len(rows) == len({one.get("y") for one in rows}) == 365
    assert {one.get("width") for one in rows} == {"696.0"}
    assert {"October 2024", "September 2025"} <= set(texts(drawn))


@given(st.lists(st.tuples(st.integers(0, 20 * 24 - 1), st.integers(1, 30)), max_size=30))
def test_every_takeover_is_drawn_or_counted(found: list[tuple[int, int]]) -> None:
    hours = tuple((BEGIN // HOUR + hour, times) for hour, times in found)
    drawn = picture(history(*each_day(20), Stretch(BEGIN, BEGIN + 20 * DAY, takeovers=hours)))
    by_hour: dict[int, int] = {}
    for hour, times in hours:
        by_hour[hour] = by_hour.get(hour, 0) + times
    assert lines(drawn) == sum(min(times, ASIDE) for times in by_hour.values())
    written = [title for title in texts(drawn, "title") if "takeover" in title]
    number = sum(int(title.split("; ")[1].split()[0]) for title in written)
    assert number == sum(by_hour.values())


def test_doubts_and_violations_have_a_mark_and_a_text() -> None:
    doubt = Remark(False, BEGIN + 14 * HOUR, BEGIN + 14 * HOUR + 2_000_000, "2 counts <unproven>")
    violation = Remark(True, BEGIN + DAY, BEGIN + DAY, "count 7 was printed twice")
    always = Remark(False, 0, 0, "the journal has a hole")
    drawn = picture(history(*each_day(9), remarks=(doubt, violation, always)))
    (mark,), (ring,) = shapes(drawn, "doubt"), shapes(drawn, "wrong")
    said = ["14:00:02 2 counts <unproven>", "00:00:00 count 7 was printed twice"]
    assert [one.findtext(f"{SVG}title") for one in (mark, ring)] == said
    assert {*said, "the journal has a hole"} <= set(texts(drawn))
    assert float(mark.get("y", 0)) < float(ring.get("y", 0))


def test_texts_for_which_there_is_no_room_are_counted() -> None:
    remarks = tuple(
        Remark(False, BEGIN + n * HOUR, BEGIN + n * HOUR, f"doubt {n}") for n in range(24)
    )
    drawn = picture(history(*each_day(9), remarks=remarks))
    written = [text for text in texts(drawn) if "doubt " in text]
    assert f"and {24 - len(written)} more: point at the rows" in texts(drawn)
    assert 0 < len(written) < 24 and len(shapes(drawn, "doubt")) == 24


def test_all_texts_are_in_the_picture() -> None:
    end = BEGIN + 9 * DAY - 1
    remarks = [
        Remark(False, end, end, f"a doubt at the end, number {number}") for number in range(9)
    ]
    remarks += [Remark(False, 0, 0, f"always, number {number}") for number in range(9)]
    drawn = picture(history(*each_day(9), remarks=tuple(remarks)))
    places = [float(text.get("y", 0)) for text in drawn.iter(f"{SVG}text")]
    assert max(places) < float(drawn.get("height", 0))
    below = [one for one in drawn.iter(f"{SVG}text") if (one.text or "").startswith("always")]
    assert len({one.get("y") for one in below}) == 9


@pytest.mark.parametrize(
    "status, kind", [(PROVEN, "day"), (INCONCLUSIVE, "unsure"), (VIOLATED, "bad")]
)
def test_a_part_has_the_colour_of_its_verdict(status: str, kind: str) -> None:
    part = Stretch(BEGIN + DAY, BEGIN + DAY + HOUR, status)
    rows = 5 if status == PROVEN else 1  # it is in a day that is proven for the rest
    assert len(shapes(picture(history(*each_day(5), part)), kind)) == rows


def test_hours_that_touch_are_one_shape() -> None:
    hours = [Stretch(BEGIN + n * HOUR, BEGIN + (n + 1) * HOUR - 1_000_000) for n in range(24)]
    assert len(shapes(picture(history(*hours)), "day")) == 1


def test_boots_are_marked_in_their_hour() -> None:
    boots = tuple((BEGIN // HOUR + hour, 1) for hour in (3, 30))
    drawn = picture(history(*each_day(5), Stretch(BEGIN, BEGIN + 5 * DAY, boots=boots)))
    assert len(shapes(drawn, "up")) == 2
    assert any("2 boots" in text for text in texts(drawn))


def test_the_row_says_what_was_in_the_day() -> None:
    one = Stretch(BEGIN, BEGIN + DAY, PROVEN, 86_400, ((BEGIN // HOUR, 2),), (), 1_250_000)
    titles = texts(picture(history(one)), "title")
    assert titles == [
        "Friday, 4 October 2024; 2 takeovers; longest silence 1,250 ms; 86,400 counts"
    ]


def test_names_and_texts_are_escaped() -> None:
    remark = Remark(True, BEGIN, BEGIN, "<script>&")
    drawn = picture(history(*each_day(5), remarks=(remark,), app='<b>"&'))
    assert '<b>"&' in texts(drawn) and "00:00:00 <script>&" in texts(drawn)


def test_of_a_very_long_life_the_last_years_are_shown() -> None:
    drawn = picture(history(Stretch(0, 40_000 * DAY)))
    assert len(shapes(drawn, "day")) == 4000


def test_a_picture_of_nothing() -> None:
    assert "0 counts, 0 takeovers" in texts(picture(history(), status=INCONCLUSIVE))
    assert "INCONCLUSIVE" in texts(picture(status=INCONCLUSIVE))


def test_days_are_cut_at_midnight_of_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    march = (
        1_774_652_400_000_000  # Saturday, 28 March 2026, midnight; the clock goes on a day later
    )
    parts = list(days(march, march + 3 * DAY))
    assert [last - first for first, last in parts] == [DAY, 23 * HOUR, DAY, HOUR]
    assert all(local(first).hour == 0 for first, _ in parts)


# What the command draws


def drawn_by_the_command(world: World, folder: Path) -> ElementTree.Element:
    journal, svg = folder / "entries", folder / "picture.svg"
    journal.write_bytes(export(world.entries))
    prove.main(["--file", str(journal), "--svg", str(svg)])
    return ElementTree.parse(svg).getroot()


def long_life(number: int) -> World:
    world = World().up("x")
    for _ in range(number):
        world.wait(86_400)
        world.count("x", world.senders["x"].role)
        world.take_over("x")
    return world


@pytest.mark.parametrize("number", [FEW - 1, FEW + 2])
def test_only_a_long_life_is_drawn_by_days(number: int, tmp_path: Path) -> None:
    drawn = drawn_by_the_command(long_life(number), tmp_path)
    rows = shapes(drawn, "day")
    assert len(rows) == (number + 1 if number > FEW else 0)
    if rows:
        assert lines(drawn) == number


def test_a_violation_of_a_long_life_has_its_mark(tmp_path: Path) -> None:
    world = long_life(9)
    world.print("x", world.senders["x"].role, 3)
    drawn = drawn_by_the_command(world, tmp_path)
    assert len(shapes(drawn, "wrong")) == 1
    assert any("count 3 was printed twice" in text for text in texts(drawn))


def test_several_apps_stand_one_below_the_other() -> None:
    several = [history(*each_day(40), app=app) for app in ("x", "y")]
    assert is_long(several)
    drawn = picture(*several)
    assert len(shapes(drawn, "day")) == 80
    assert len({one.get("y") for one in shapes(drawn, "day")}) == 80
