"""Which files are damaged, of those that `journalctl --verify` says are."""

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
