"""Starts that follow each other wait; nothing that can happen to the file stops a start."""

import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv import backoff
from sendrecv.backoff import AT_ONCE, LONGEST, Backoff, delay
from tests.lab.reception import silent_notifier


@pytest.mark.parametrize(
    ("starts", "age", "expected"),
    [
        (1, 0.0, 0.0),
        (AT_ONCE, 500.0, 0.0),
        (AT_ONCE + 1, 0.0, 0.1),
        (AT_ONCE + 1, 3.0, 3.0),
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
    streak = Backoff(str(tmp_path / "x.starts"))
    waits = [streak.begin(5.0) for _ in range(AT_ONCE + 1)]
    assert waits[-1] > 0.0
    streak.end()
    streak.end()  # there is no streak any more
    assert streak.begin(5.0) == 0.0 and not list(tmp_path.glob("*.starts.*"))


def waited(minutes: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> float:
    """How long a start waits that follows a streak of so many minutes, in a process of its own."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    began = time.monotonic()
    (tmp_path / "x.starts").write_text(f"99 {began - 60 * minutes}\n", encoding="ascii")
    backoff.wait_if_too_many_starts("x", silent_notifier())
    return time.monotonic() - began


@pytest.mark.parametrize("change", ["setting", "new", "removed", "link", "state"])
def test_a_file_that_changes_ends_a_wait_and_the_streak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    etc, state = tmp_path / "etc", tmp_path / "state"
    etc.mkdir()
    state.mkdir()
    (etc / "x.env").write_text("A=1\n", encoding="ascii")
    (etc / "link").symlink_to("x.env")
    monkeypatch.setattr(backoff, "CONFIGURATION", (str(etc),))
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    changes = iter([CHANGES[change]])

    def sleep(seconds: float) -> None:
        """The first time, it changes meanwhile."""
        if act := next(changes, None):
            act(etc, state)
        else:
            time.sleep(seconds)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
    monkeypatch.setattr(backoff, "time", clock)
    assert waited(10, monkeypatch, tmp_path) < backoff.LONGEST
    assert not (tmp_path / "x.starts").exists()


def _replace_link(etc: Path, _state: Path) -> None:
    (etc / "new").symlink_to("/dev/null")
    (etc / "new").replace(etc / "link")


CHANGES: Mapping[str, Callable[[Path, Path], object]] = {
    "setting": lambda etc, _: (etc / "x.env").write_text("A=2\n", encoding="ascii"),
    "new": lambda etc, _: (etc / "y.env").touch(),
    "removed": lambda etc, _: (etc / "x.env").unlink(),
    "link": _replace_link,
    "state": lambda _, state: state.chmod(0o500),
}


def test_what_a_masked_unit_points_to_is_no_file_that_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is /dev/null, which each sandbox makes anew. A terminal stands for it here."""
    monkeypatch.setattr(backoff, "CONFIGURATION", (str(tmp_path),))
    for descriptor in (terminals := os.openpty()):
        assert os.isatty(descriptor)
    terminal = os.ttyname(terminals[1])
    (tmp_path / "masked.timer").symlink_to(terminal)
    before, changed = backoff._digest(), os.stat(terminal).st_ctime_ns
    time.sleep(0.02)
    os.chmod(terminal, stat.S_IMODE(os.stat(terminal).st_mode))
    assert os.stat(terminal).st_ctime_ns != changed
    assert backoff._digest() == before
    for descriptor in terminals:
        os.close(descriptor)


def test_what_has_changed_before_a_start_ends_the_streak_too(tmp_path: Path) -> None:
    path = str(tmp_path / "x.starts")
    waits = [Backoff(path).begin(1.0, lambda: "one") for _ in range(AT_ONCE + 2)]
    assert waits[: AT_ONCE + 1] == [0.0] * AT_ONCE + [0.1]
    assert Backoff(path).begin(1.0, lambda: "two") == 0.0
    assert Path(path).read_text(encoding="ascii") == "1 1.0 two\n"


def test_the_first_starts_of_a_streak_look_at_no_file(tmp_path: Path) -> None:
    def look() -> str:
        raise AssertionError("a takeover waits for this")

    for _ in range(AT_ONCE - 1):
        Backoff(str(tmp_path / "x.starts")).begin(1.0, look)


def test_a_wait_without_a_change_takes_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    record = state / "other.record"
    record.touch()
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    monkeypatch.setattr(backoff, "LONGEST", 1.2)
    # Another App's record is no change.
    timer = threading.Timer(0.2, record.write_text, ("x",))
    timer.start()
    assert waited(10, monkeypatch, tmp_path) >= 1.2
    assert (tmp_path / "x.starts").exists()


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
    streak = Backoff(name)
    assert [streak.begin(1.0) for _ in range(2 * AT_ONCE)] == [0.0] * (2 * AT_ONCE)
    streak.end()
