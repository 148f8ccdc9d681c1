"""How far the journal was read: a mark, and what is missing after it."""

import pytest

from sendrecv.proof.read.after import lost, moved, news
from sendrecv.proof.read.holes import Header
from sendrecv.proof.read.mark import ReadMark, later, place

SERIES, OTHER, BOOT = "5" * 32, "6" * 32, "b" * 32


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
