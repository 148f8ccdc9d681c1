"""What a person sees of a long step: a line with its seconds, and the log's end when it fails."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import paths, progress


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that does not exist yet, as .build/log/ in a fresh checkout."""
    directory = tmp_path / "build" / "log"
    monkeypatch.setattr(paths, "LOGS", directory)
    return directory


def command(source: str) -> None:
    """A step that runs that Python program, with its output in the log."""
    with progress.step("building it", "planted") as log:
        subprocess.run([sys.executable, "-c", source], stdout=log, stderr=log, check=True)


def test_a_step_is_one_line_with_its_seconds(logs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command("print('a great deal')")
    assert re.fullmatch(r"building it \.\.\. \d+ s\n", capfd.readouterr().err)
    assert (logs / "planted.log").read_text(encoding="utf-8") == "a great deal\n"


def test_the_line_is_there_while_the_step_runs(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.step("building it", "planted"):
        assert capfd.readouterr().err == "building it ... "


def test_a_failure_shows_the_end_of_its_log_and_names_it(
    logs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command("import sys; [print(f'line {n}.') for n in range(100)]; sys.exit(3)")
    shown = capfd.readouterr().err
    assert ended.value.code == 1
    assert re.match(r"building it \.\.\. FAILED after \d+ s\n", shown)
    assert "    line 99.\n" in shown
    assert f"    Command '{sys.executable}' returned non-zero exit status 3.\n" in shown
    assert shown.endswith(f"\nlog: {logs}/planted.log\n")
    assert "line 79." not in shown and "line 0." in (logs / "planted.log").read_text()


def test_a_failing_command_ends_the_process_with_status_1(logs: Path) -> None:
    program = (
        "from pathlib import Path; from tests.lab import paths, progress;"
        f"paths.LOGS = Path({str(logs)!r});"
        "context = progress.step('building it', 'planted'); context.__enter__().write('why');"
        "context.__exit__(OSError, OSError('planted'), None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=paths.TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.endswith(f"OSError: planted\nlog: {logs}/planted.log\n")


def test_an_error_that_no_command_explains_is_shown_with_its_place(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(progress.StepFailed), progress.step("building it", "planted"):
        raise ValueError("planted")
    shown = capfd.readouterr().err
    assert "test_progress.py" in shown and "ValueError: planted" in shown


def test_output_that_is_not_utf_8_is_shown_all_the_same(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(progress.StepFailed):
        command("import os, sys; os.write(1, b'na\\xefve'); sys.exit(1)")
    assert "na\N{REPLACEMENT CHARACTER}ve" in capfd.readouterr().err


def test_ctrl_c_ends_the_line_and_stays_what_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), progress.step("building it", "planted"):
        raise KeyboardInterrupt
    assert re.fullmatch(r"building it \.\.\. stopped after \d+ s\n", capfd.readouterr().err)


def test_steps_at_the_same_time_and_other_lines_do_not_mix(
    capfd: pytest.CaptureFixture[str],
) -> None:
    first, second = progress.step("first", "first"), progress.step("second", "second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    progress.say("a result")
    second.__exit__(None, None, None)
    shown = capfd.readouterr()
    assert shown.out == "a result\n"
    lines = [re.sub(r"\d+ s$", "N s", line) for line in shown.err.splitlines()]
    assert lines == ["first ... ", "second ... ", "first ... N s", "second ... N s"]


def test_a_line_of_another_kind_does_not_stand_behind_one_that_waits(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with progress.step("first", "first"):
        progress.say("a result")
        assert capfd.readouterr() == ("a result\n", "first ... \n")
    assert re.fullmatch(r"first \.\.\. \d+ s\n", capfd.readouterr().err)
