"""Which entries are missing in the files of a journal, and which of the files are damaged."""

from dataclasses import replace
from pathlib import Path

import pytest

from sendrecv.proof.read import holes
from sendrecv.proof.read.holes import Header
from sendrecv.proof.read.journal import Source
from sendrecv.proof.read.journalctl import Journalctl

ARCHIVED = Header("/j/system@1.journal", "m" * 32, "s" * 32, 1, 9, 1000, 9000)
WRITTEN = Header("/j/system.journal", "m" * 32, "s" * 32, 10, 19, 10_000, 19_000)
# As systemd 257 and 252 say it.
FAILED = "FAIL: {} (Bad message)\n"
PASSED = "PASS: {}\n"


# Holes


def header(head: int, tail: int, series: str = "s", name: str = "system.journal") -> Header:
    return Header(f"/j/{name}", "m", series, head, tail, head * 10, tail * 10)


@pytest.mark.parametrize(
    ("files", "holes_found"),
    [
        ([header(1, 10), header(11, 20)], []),
        ([header(5, 20), header(8, 15)], []),
        ([header(1, 10), header(12, 20)], ["11 to 11"]),
        ([header(30, 40), header(1, 10)], ["11 to 29"]),
        ([header(1, 10), header(3, 5), header(21, 30), header(31, 34, "t")], ["11 to 20"]),
        ([header(1, 10), header(3, 30, name="user-1000.journal"), header(21, 30)], ["11 to 20"]),
    ],
)
def test_a_file_that_is_gone_shows(files: list[Header], holes_found: list[str]) -> None:
    found = [one.text for one in holes.missing(Source(files=()), files)]
    found = [text for text in found if "cannot be read" not in text]
    assert found == [f"the journal's entries {hole} are missing" for hole in holes_found]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([header(5, 10), header(31, 40, "t")], True),
        ([header(5, 30), header(31, 40, "t")], False),
        ([header(5, 10)], False),
    ],
)
def test_a_numbering_that_begins_in_the_middle_shows(files: list[Header], found: bool) -> None:
    texts = [one.text for one in holes.missing(Source(), files)]
    expected = ["the journal's entries before 31, of another numbering, are missing"]
    assert texts == (expected if found else [])


def jumped(first: int, last: int, head: int) -> Header:
    return Header("/j/system.journal", "m", "s", head, head + 9, first, last)


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [(None, None, 0), (150, None, 1), (250, None, 0), (99, None, 0), (None, 150, 1), (150, 160, 2)],
)
def test_a_clock_that_was_set_back_over_an_end_of_the_period_is_a_doubt(
    since: int | None, until: int | None, found: int
) -> None:
    files = [jumped(10, 200, 1), jumped(100, 300, 11)]
    missing = list(holes.missing(Source(since=since, until=until), files))
    assert len(missing) == found and all(one.somewhere for one in missing)


def test_a_hole_outside_of_what_is_asked_for_does_not_matter() -> None:
    files = [header(1, 10), header(12, 20)]
    text = "the journal's entries 11 to 11 are missing"
    for since, until, found in ((None, None, True), (130, None, False), (None, 90, False)):
        source = Source(since=since, until=until)
        assert (text in [one.text for one in holes.missing(source, files)]) is found


# What `journalctl --verify` says.


@pytest.mark.parametrize(
    ("before", "said", "after", "found"),
    [
        ([ARCHIVED, WRITTEN], PASSED * 2, [ARCHIVED, WRITTEN], []),
        ([ARCHIVED, WRITTEN], FAILED + PASSED, [ARCHIVED, WRITTEN], [ARCHIVED]),
        ([ARCHIVED, WRITTEN], FAILED * 2, [ARCHIVED, WRITTEN], [ARCHIVED, WRITTEN]),
        # It was closed for a moment, and written again while it was verified.
        ([ARCHIVED, WRITTEN], PASSED + FAILED, [ARCHIVED, replace(WRITTEN, closed=False)], []),
        ([ARCHIVED, WRITTEN], PASSED + FAILED, [ARCHIVED, replace(WRITTEN, tail=20)], []),
        ([ARCHIVED, WRITTEN], FAILED * 2, [ARCHIVED, replace(WRITTEN, tail=20)], [ARCHIVED]),
        # It is rotated meanwhile: as good as another file.
        ([WRITTEN], FAILED, [], []),
    ],
)
def test_a_file_that_is_written_meanwhile_only_seems_to_be_damaged(
    monkeypatch: pytest.MonkeyPatch,
    before: list[Header],
    said: str,
    after: list[Header],
    found: list[Header],
) -> None:
    looks = iter([before, after])
    output = said.format(*(header.path for header in before))
    monkeypatch.setattr(holes, "headers", lambda _: next(looks))
    monkeypatch.setattr(Journalctl, "verify", lambda _: output)
    damaged = [missing.text for missing in holes.damaged(Source(directory=Path("/j")))]
    assert damaged == [f"{one.path} is damaged (journalctl --verify)" for one in found]
