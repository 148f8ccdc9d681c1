"""The core computes, and does nothing else: no socket, no clock, no file, no log.

The core is the modules below and whatever of the package they import. It is read (every import, in
whatever corner) and also run (every import that really happens, however it is spelt).
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "sendrecv"
CORE = ("messages", "sender_protocol", "receiver_protocol", "record", "proof.verdict", "errors")

# What computes only. Not here, among others: socket, asyncio, time, os, logging, sys, importlib.
PURE = frozenset(
    "__future__ bisect collections dataclasses enum functools hashlib heapq itertools json math"
    " operator re string types typing zlib".split()
)
IMPURE_BUILTINS = frozenset({"__import__", "eval", "exec", "input", "open", "print"})

SPY = """
import builtins, sys
real, pure = builtins.__import__, set(sys.argv[3].split())
def spy(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if importer.split(".")[0] == "sendrecv" and level == 0 and name.split(".")[0] not in pure:
        print(importer, "imports", name)
    return real(name, globals, locals, fromlist, level)
sys.path.insert(0, sys.argv[1])
builtins.__import__ = spy
for module in sys.argv[2].split():
    real("sendrecv." + module)
"""


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names of all modules, and of what is taken from them, that the source imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, ["sendrecv" if node.level else "", node.module]))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def impure_names(tree: ast.AST) -> Iterator[str]:
    names = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    yield from (name for name in names if name in IMPURE_BUILTINS)


def source_of(package: Path, module: str) -> Path:
    """Of a module that is named without the package's own name."""
    return package.joinpath(*module.split(".")).with_suffix(".py")


def violations(package: Path) -> list[str]:
    """What the core, read from there, has that it must not have; follows it into the package."""
    found: list[str] = []
    to_read, read = list(CORE), set[str]()
    while to_read:
        if (module := to_read.pop()) in read or not source_of(package, module).exists():
            continue
        read.add(module)
        tree = ast.parse(source_of(package, module).read_text(encoding="utf-8"))
        found += [f"{module} uses {name}" for name in impure_names(tree)]
        for top, *rest in (name.split(".") for name in imported(tree)):
            if top == "sendrecv":
                to_read += [".".join(rest[:depth]) for depth in (1, 2) if rest[:depth]]
            elif top not in PURE:
                found.append(f"{module} imports {top}")
    return found


def violations_when_run(package: Path) -> list[str]:
    """The imports that happen when the core is loaded from there."""
    arguments = [str(package.parent), " ".join(CORE), " ".join(PURE | {"sendrecv"})]
    spied = subprocess.run(
        [sys.executable, "-I", "-c", SPY, *arguments], capture_output=True, text=True, check=True
    )
    return spied.stdout.splitlines()


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A copy of the package, to be spoilt."""
    copy = tmp_path / "sendrecv"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_the_core_is_there() -> None:
    assert [name for name in CORE if not source_of(PACKAGE, name).exists()] == []


def ours(file: Path) -> set[str]:
    """What a file of the package imports of the package."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {name for name in imported(tree) if name.startswith("sendrecv.")}


def test_the_proof_shares_no_code_with_those_whom_it_judges() -> None:
    inside = sorted((PACKAGE / "proof").glob("*.py"))
    outside = [file for file in PACKAGE.glob("*.py") if file.name != "cli.py"]
    shared = {name for file in inside for name in ours(file) if ".proof" not in name}
    assert shared == {"sendrecv.commandline.Parser", "sendrecv.errors.UsageError"}
    assert len(inside) > 10
    assert not [name for file in outside for name in ours(file) if ".proof" in name]


def test_the_core_is_pure() -> None:
    assert violations(PACKAGE) == []


def test_the_core_is_pure_when_run() -> None:
    assert violations_when_run(PACKAGE) == []


@pytest.mark.parametrize(
    ("source", "violation"),
    [
        ("import time", "record imports time"),
        ("import json, socket as s", "record imports socket"),
        ("import asyncio.events", "record imports asyncio"),
        ("from os import path", "record imports os"),
        ("def late():\n    import logging", "record imports logging"),
        ("from importlib import import_module", "record imports importlib"),
        ("clock = __import__('time')", "record uses __import__"),
        ("def read():\n    return open('/dev/null')", "record uses open"),
        ("from sendrecv.planted import now", "planted imports time"),
        ("from sendrecv import planted", "planted imports time"),
        ("from . import planted", "planted imports time"),
        ("from .planted import now", "planted imports time"),
    ],
)
def test_a_planted_violation_is_read(planted: Path, source: str, violation: str) -> None:
    (planted / "planted.py").write_text("from time import monotonic as now\n", encoding="utf-8")
    with (planted / "record.py").open("a", encoding="utf-8") as record:
        record.write(f"\n{source}\n")
    assert violation in violations(planted)


@pytest.mark.parametrize("source", ["import time", "__builtins__['ex' + 'ec']('import time')"])
def test_a_planted_violation_is_seen_when_run(planted: Path, source: str) -> None:
    with (planted / "record.py").open("a", encoding="utf-8") as record:
        record.write(f"\n{source}\n")
    assert "sendrecv.record imports time" in violations_when_run(planted)
