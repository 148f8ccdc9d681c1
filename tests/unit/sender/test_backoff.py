"""Starts that follow each other are braked; nothing that can happen to the file stops a start."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.sender.backoff import AT_ONCE, LONGEST, Backoff, delay


@pytest.mark.parametrize(
    ("starts", "age", "expected"),
    [
        (1, 0.0, 0.0),
        (AT_ONCE, 500.0, 0.0),
        (AT_ONCE + 1, 0.0, 0.1),
        (AT_ONCE + 1, 3.0, 1.5),
        (AT_ONCE + 1, 2 * LONGEST, LONGEST),
        (10**9, 10.0**9, LONGEST),
    ],
)
def test_delays(starts: int, age: float, expected: float) -> None:
    assert delay(starts, age) == expected


@given(st.integers(0, 10**9), st.floats(-1e9, 1e9))
def test_no_delay_is_negative_or_longer_than_the_longest(starts: int, age: float) -> None:
    assert 0.0 <= delay(starts, age) <= LONGEST


def test_a_streak_of_starts_that_all_fail_at_once_never_spins(tmp_path: Path) -> None:
    path, now, waits = str(tmp_path / "x.starts"), 1000.0, []
    for _ in range(40):
        waits.append(Backoff(path).begin(now))
        now += waits[-1] + 0.05
    assert waits[:AT_ONCE] == [0.0] * AT_ONCE
    assert all(waits[AT_ONCE:]) and waits[AT_ONCE:] == sorted(waits[AT_ONCE:])
    assert waits[-1] == LONGEST
    assert [file.name for file in tmp_path.iterdir()] == ["x.starts"]


def test_a_life_that_worked_ends_the_streak(tmp_path: Path) -> None:
    backoff = Backoff(str(tmp_path / "x.starts"))
    waits = [backoff.begin(5.0) for _ in range(AT_ONCE + 1)]
    assert waits[-1] > 0.0
    backoff.end()
    backoff.end()  # there is no streak any more
    assert backoff.begin(5.0) == 0.0 and not list(tmp_path.glob("*.starts.*"))


@pytest.mark.parametrize(
    "content",
    ["", "\0" * 64, "99", "99 x", "x 1", "99 nan", "99 inf", "99 -1", "99 1e9", "1 2 3", "\xe9 1"],
)
def test_a_file_that_is_no_streak_begins_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.starts"
    path.write_text(content, encoding="utf-8")
    assert Backoff(str(path)).begin(100.0) == 0.0
    assert path.read_text(encoding="utf-8") == "1 100.0\n"


@pytest.mark.parametrize("name", ["", "no/such/directory/x.starts", "."])
def test_a_file_that_cannot_be_written_means_no_delay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    backoff = Backoff(name)
    assert [backoff.begin(1.0) for _ in range(2 * AT_ONCE)] == [0.0] * (2 * AT_ONCE)
    backoff.end()
