"""The sum that `make test` ends with is honest: nothing that went wrong, or never ran, is lost."""

import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from tests import steps
from tests.lab import roots
from tests.lab.waiting import HANG
from tests.steps import FAILED, Outcome

PASSES = "def test_passes():\n    pass\n"
FAILS = "def test_fails():\n    assert False\n"
SKIPS = "import pytest\n\ndef test_skips():\n    pytest.skip('why')\n"
ERRS = "import pytest\n\n@pytest.fixture\ndef bad():\n    1 / 0\n\ndef test_errs(bad):\n    pass\n"


def outcome(directory: Path, source: str) -> Outcome:
    """Of a real run of pytest over that one file."""
    (directory / "test_planted.py").write_text(source, encoding="utf-8")
    junit = directory / "junit.xml"
    command = [sys.executable, "-m", "pytest", "--rootdir=.", f"--junit-xml={junit}", "."]
    done = subprocess.run(command, cwd=directory, capture_output=True, check=False)
    return steps.of_pytest(done.returncode, junit)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (PASSES, Outcome(passed=1)),
        (PASSES + FAILS, Outcome(passed=1, failed=1)),
        (PASSES + SKIPS, Outcome(passed=1, skipped=1)),
        (PASSES + ERRS, Outcome(passed=1, failed=1)),
        (SKIPS, Outcome(skipped=1)),
        ("", FAILED),  # nothing collected
        ("this is no python", FAILED),
        ("import os\n\ndef test_dies():\n    os._exit(0)\n", FAILED),
    ],
)
def test_pytest_outcomes(tmp_path: Path, source: str, expected: Outcome) -> None:
    assert outcome(tmp_path, source) == expected


def test_failures_are_named_with_their_message(tmp_path: Path) -> None:
    outcomes = {
        "unit": outcome(tmp_path, PASSES + FAILS + ERRS),
        "lint": steps.of_command(4, "flake8 ."),
        "lost": FAILED,
        "long": Outcome(failed=1, failures=(f"a::b: begin\n{'x ' * 5000}\nend",)),
        "types": Outcome(passed=1),
    }
    *lines, long = steps.failures(outcomes).splitlines()
    assert long.startswith("FAILED long: a::b: begin x x") and long.endswith(" x x end")
    assert len(long) < steps.SHOWN + 30
    assert lines == [
        "FAILED unit: test_planted::test_fails: assert False",
        "FAILED unit: test_planted::test_errs: failed on setup with"
        ' "ZeroDivisionError: division by zero"',
        "FAILED lint: flake8 .: status 4",
        "FAILED lost: see its log",
    ]


def test_an_exit_status_outweighs_a_good_report(tmp_path: Path) -> None:
    outcome(tmp_path, PASSES)
    assert steps.of_pytest(3, tmp_path / "junit.xml").failed == 1


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda log: Outcome(passed=2), Outcome(passed=2)),
        (lambda log: Outcome(), FAILED),
        (lambda log: Outcome(skipped=3), FAILED),
        (lambda log: 1 // 0, FAILED),
    ],
)
def test_a_step_that_breaks_or_runs_nothing_has_failed(
    step: steps.Step, expected: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "LOGS", tmp_path)
    assert steps.run("planted", step) == expected


def test_a_failure_shows_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "LOGS", tmp_path)
    steps.run("planted", lambda log: steps.of_command(log.write("what went wrong\n")))
    shown = capsys.readouterr().out
    assert "what went wrong" in shown and f"log: {tmp_path}/planted.log" in shown


def test_nothing_else_runs_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "LOGS", tmp_path)
    planted: dict[str, steps.Step] = {
        "deb": lambda log: FAILED,
        "lint": lambda log: Outcome(passed=1),
        "lintian-trixie": lambda log: Outcome(passed=1),
    }
    monkeypatch.setattr(steps, "STEPS", planted)
    assert steps.run_all([*planted][::-1]) == {"deb": FAILED, "lint": Outcome(passed=1)}


def test_what_needs_the_package_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "LOGS", tmp_path)
    monkeypatch.setattr(steps, "_make_roots", lambda release: None)
    built = threading.Event()

    def build(_log: IO[str]) -> Outcome:
        time.sleep(0.2)
        built.set()
        return Outcome(passed=1)

    needs_it = [f"{kind}-trixie-1" for kind in steps.NEED_THE_DEB]
    planted: dict[str, steps.Step] = {"deb": build}
    planted |= dict.fromkeys(needs_it, lambda log: Outcome(int(built.is_set()), 0))
    monkeypatch.setattr(steps, "STEPS", planted)
    outcomes = steps.run_all([*planted][::-1])
    assert set(outcomes) == set(planted) and not any(it.failed for it in outcomes.values())


def test_both_sorts_of_steps_run_at_once_and_so_many_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many as may run at once, in two batches, each of which waits for all of its own."""
    monkeypatch.setattr(steps, "LOGS", tmp_path)
    sorts = {"hosts": steps.BOOTED_AT_ONCE, "unit": steps.COMPUTING_AT_ONCE}
    batch = threading.Barrier(sum(sorts.values()))
    running: dict[str, set[str]] = {sort: set() for sort in sorts}

    def met(sort: str, name: str, _log: IO[str]) -> Outcome:
        running[sort].add(name)
        batch.wait(HANG)
        seen = len(running[sort])
        batch.wait(HANG)
        running[sort].remove(name)
        return Outcome(int(seen == sorts[sort]), int(seen != sorts[sort]))

    planted = {
        f"{sort}-{number}": partial(met, sort, f"{sort}-{number}")
        for sort, at_once in sorts.items()
        for number in range(2 * at_once)
    }
    monkeypatch.setattr(steps, "STEPS", planted)
    assert set(steps.run_all([*planted]).values()) == {Outcome(passed=1)}


def test_the_table_has_each_step_with_its_seconds_and_tests() -> None:
    outcomes = {"lint": Outcome(passed=7, seconds=70.4), "unit": Outcome(passed=1, failed=2)}
    assert [line.split() for line in steps.table(outcomes, 71.0).splitlines()] == [
        ["lint", "70", "s", "7", "passed,", "0", "failed"],
        ["unit", "0", "s", "1", "passed,", "2", "failed"],
        ["all", "71", "s", "8", "passed,", "2", "failed"],
    ]


def test_what_only_computes_is_there() -> None:
    """pytest says nothing of an --ignore= that names no file."""
    assert steps.COMPUTES
    for path in steps.COMPUTES:
        assert (Path(__file__).parents[1] / path).exists(), path


def test_what_runs_on_one_release_alone_is_there_and_is_left_to_make_long_on_the_other() -> None:
    names = [name for names in (*steps.PARTS, *steps.ON_ONE.values()) for name in names]
    for name in names:
        assert (Path(__file__).parents[2] / f"system/test_{name}.py").is_file(), name
    on_one = [name for names in steps.ON_ONE.values() for name in names]
    assert len(set(on_one)) == len(on_one)
    assert set(steps.ON_ONE) == set(roots.RELEASES)
    left_out = [path for release in roots.RELEASES for path in steps._on_others(release)]
    assert sorted(left_out) == sorted(f"tests/system/test_{name}.py" for name in on_one)
