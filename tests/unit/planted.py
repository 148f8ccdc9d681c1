"""Copies of the libraries, with something in them renamed: what a new version may bring."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parents[2]


class Change(NamedTuple):
    """What is different in copies of libraries. files: glob patterns, below all packages.

    renames: regular expressions and what takes the place of all that they match.
    """

    files: str
    renames: Mapping[str, str]


def renamed(old: str, new: str = "", files: str = "*/**/*.py") -> Change:
    """That name, everywhere: the library itself still works."""
    return Change(files, {rf"(?<!\w){re.escape(old)}(?!\w)": new or f"{old}_renamed"})


def plant(directory: Path, packages: Sequence[str], change: Change) -> None:
    """Puts copies of these packages, with that change, into the directory."""
    for package in packages:
        spec = importlib.util.find_spec(package)
        assert spec and spec.origin
        # With what is compiled, and its time: only what is changed is compiled again.
        shutil.copytree(Path(spec.origin).parent, directory / package)
    changed = sum(_change(file, change.renames) for file in directory.glob(change.files))
    assert changed, "there was nothing to change"


def _change(file: Path, renames: Mapping[str, str]) -> bool:
    before = after = file.read_text(encoding="utf-8")
    for old, new in renames.items():
        after = re.sub(old, new, after, flags=re.MULTILINE)
    if after != before:
        file.write_text(after, encoding="utf-8")
    return after != before


def run(script: str, *arguments: str, libraries: Path) -> subprocess.CompletedProcess[str]:
    """The script's end, in an interpreter that finds these libraries before any other."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(libraries), str(TOP)])},
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
