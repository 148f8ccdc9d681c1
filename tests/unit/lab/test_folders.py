"""Each folder of tests says first what it is for, what it runs on, and where its costs stand."""

import ast
import re
from pathlib import Path

import pytest

from tests.lab.paths import TOP

FOLDERS = sorted({file.parent for file in (TOP / "tests").rglob("*.py")})
COST = re.compile(r"(?i)(\d|two|three|four|five|ten|teen) (s|seconds|minutes) of CPU")
TABLE = "CONTRIBUTING.md"
"""What the steps of `make test` take stands there alone."""


def said(folder: Path) -> str:
    """The first lines of its __init__.py."""
    return ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda it: str(it.relative_to(TOP)))
def test_a_folder_says_what_it_is_for(folder: Path) -> None:
    text = said(folder)
    assert len(text) > 60 and text.partition("\n")[0].endswith("."), text
    assert not COST.search(text), f"costs stand in {TABLE}"
    if [*folder.glob("test_*.py")] and "make admin" not in text:
        where = (TABLE, "As all of tests/unit", "the step unit-trixie")
        assert any(words in text for words in where), "what does it take?"


def test_there_are_folders_and_a_cost_is_found() -> None:
    assert len(FOLDERS) > 15
    assert COST.search("each of which takes two minutes of CPU")
    steps = ast.get_docstring(ast.parse((TOP / "tests/steps.py").read_text(encoding="utf-8"))) or ""
    assert TABLE in steps and not re.search(r"\d{2}", steps), "costs stand there alone"
