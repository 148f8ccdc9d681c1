"""`make coverage` fails if a line or a branch of the core was not run, or if there is no core."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import steps
from tests.lab.paths import TOP

CORE = """
def sign(number):
    text = ""
    if number < 0:
        text = "-"
    return text
"""
REST = "def never_called():\n    return 1\n"
BOTH = "assert sign(1) + sign(-1) == '-'"


def statuses(tree: Path, core: str, tested: str) -> list[int]:
    """Of the step's commands, in a tree with that core and that unit test of it."""
    for name, source in {
        "sendrecv/__init__.py": "",
        "sendrecv/rest.py": REST,
        core: CORE,
        "tests/unit/test_core.py": f"from {core[:-3].replace('/', '.')} import sign\n"
        f"from sendrecv import rest\n\ndef test_sign():\n    {tested}\n",
        "tests/simulation/test_rest.py": "def test_nothing():\n    pass\n",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(source, encoding="utf-8")
    shutil.copy(TOP / "pyproject.toml", tree)
    commands = (steps.MEASURED, *steps.COVERAGE_TABLES)
    return [
        subprocess.run(command, shell=True, cwd=tree, check=False).returncode
        for command in commands
    ]


@pytest.mark.parametrize(
    ("core", "tested", "passed"),
    [
        ("sendrecv/core/sign.py", BOTH, [True, True, True]),
        ("sendrecv/core/deeper/still/sign.py", BOTH, [True, True, True]),
        ("sendrecv/core/sign.py", "assert sign(1) == ''", [True, True, False]),  # a line is missing
        ("sendrecv/core/sign.py", "assert sign(-1) == '-'", [True, True, False]),  # a branch
        ("sendrecv/core/deeper/still/sign.py", "assert sign(-1) == '-'", [True, True, False]),
        ("sendrecv/heart/sign.py", BOTH, [True, True, False]),  # no core
        ("sendrecv/core/sign.py", f"{BOTH}; assert False", [False, True, True]),
    ],
)
def test_all_of_the_core_must_be_run(
    tmp_path: Path, core: str, tested: str, passed: list[bool]
) -> None:
    assert [status == 0 for status in statuses(tmp_path, core, tested)] == passed


def test_what_was_not_run_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    statuses(tmp_path, "sendrecv/core/sign.py", "assert sign(-1) == '-'")
    table = capfd.readouterr().out
    assert "sendrecv/rest.py" in table and "4->6" in table


def test_what_a_child_runs_is_measured(tmp_path: Path) -> None:
    """Up to its end, which may be an exception."""
    for name in ("lab/__init__.py", "__init__.py", "lab/children.py"):
        (tmp_path / "tests/lab").mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / "tests" / name, tmp_path / "tests" / name)
    (tmp_path / "sendrecv").mkdir()
    (tmp_path / "sendrecv/cli.py").write_text("def main():\n    1 / 0\n", encoding="utf-8")
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    _, hook = steps.HOOK
    hook = hook.replace(steps.TREE, str(tmp_path))
    code = f"{hook}from sendrecv.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == 1
    combine, table = "coverage combine --quiet", "coverage report --fail-under=100"
    for command in (combine, table):
        subprocess.run([sys.executable, "-m", *command.split()], cwd=tmp_path, check=True)
