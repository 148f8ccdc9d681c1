"""What the tests of both models share: a search to be made, and what a model's text says."""

import ast
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.model.search import MODEL, Verdict, search

TOP = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """rules: the mutations. kinds: of fault, at most `faults` of them; and bounds. n: counts."""

    rules: str
    kinds: str
    faults: int
    n: int = 2
    violation: str = ""
    progress: bool = False
    why: str = ""
    model: Path = MODEL

    def __str__(self) -> str:
        return "+".join(self.rules.split()) or "-".join(self.kinds.split())

    def defines(self) -> dict[str, int]:
        """As spin takes them."""
        pairs = (word.partition("=") for word in f"{self.rules} {self.kinds}".split())
        flags = {name: int(value or "1") for name, _, value in pairs}
        # These would hide what else is wrong, for they are often reached first.
        hidden = {
            "JUDGED": int(self.violation in {"", "stuck"}),
            "RACES": int(self.violation in {"", "raced"}),
        }
        return flags | hidden | {"FAULTS": self.faults, "N": self.n}


def verdict(case: Case, *, optimize: str = "-O0") -> Verdict:
    """Small searches take less time than the compiler's optimizing would: hence -O0."""
    found = _verdict(case, optimize)
    print(f"{case}: {found}")
    return found


@cache
def _verdict(case: Case, optimize: str) -> Verdict:
    defines = case.defines()
    return search(defines, model=case.model, progress=case.progress, optimize=optimize)


def marked(names: Iterable[str], long: Collection[str]) -> list[Any]:
    """Parameters for pytest: those names, of which some take long."""
    return [pytest.param(name, marks=[pytest.mark.long] if name in long else []) for name in names]


def text(model: Path) -> str:
    """The model's file and those that it includes."""
    own = model.read_text(encoding="utf-8")
    included = re.findall(r'^#include "(.*)"$', own, re.M)
    return own + "".join(text(model.with_name(name)) for name in included)


def rules(model: Path) -> set[str]:
    """The names of its mutations."""
    return set(re.findall(r"^#(?:el)?if (\w+)(?: /\*.*)?$", text(model), re.M))


def violations(model: Path) -> set[str]:
    """The names of its promises."""
    return set(re.findall(r"check\((\w+), ", text(model))) - {"name"}


def steps(model: Path) -> list[tuple[str, str]]:
    """The table in its header: files, and names in each."""
    return re.findall(r"^ \* {3}\S.*?  +([\w/]+/[\w.-]+) +([\w., ]+)$", text(model), re.M)


def functions(path: Path) -> set[str]:
    """The functions that a file defines, those of classes as Class.function."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return set(re.findall(r"^(\w+)\(\) \{", source, re.M))
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = (child for child in node.body if isinstance(child, ast.FunctionDef))
            found |= {f"{node.name}.{method.name}" for method in methods}
    return found
