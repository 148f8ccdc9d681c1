"""Which test is of which module: tests/unit has the folders of sendrecv/, and the names in them."""

import ast
import functools
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from tests.judges.imports import modules
from tests.lab.paths import TOP

LAB = "lab"
"""In tests/unit: the tests of what is in tests/ itself, which mirror no module."""
FROM = re.compile(r"\bfrom ((?:sendrecv|tests)[.\w]*) import (?:\(([^)]*)\)|([^\n;]+))")
DOTTED = re.compile(r"\b(?:sendrecv|tests)(?:\.\w+)+")
PATH = re.compile(r"\b\w+(?:/\w+)+(?=\.py\b)")


def with_logic(package: Path) -> list[str]:
    """The modules in which something can go wrong: a function of theirs does something."""
    return [name for name, tree in modules(package).items() if _does_something(tree)]


def _does_something(tree: ast.Module) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = (node.body for node in ast.walk(tree) if isinstance(node, kinds))
    return any(not _is_empty(statement) for body in bodies for statement in body)


def _is_empty(statement: ast.stmt) -> bool:
    """A docstring, `...` or `pass`, as a Protocol has them."""
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant or isinstance(statement, ast.Pass)


def files_of(unit: Path) -> list[str]:
    """The test files there that have to stand for a module."""
    found = sorted(path.relative_to(unit) for path in unit.rglob("test_*.py"))
    return [path.as_posix() for path in found if path.parts[0] != LAB]


def module_of(test: str, known: Container[str]) -> str:
    """The module that this file stands for, by its name: test_MODULE.py, or test_MODULE_STORY.py if
    a module has several; "" for none.
    """
    *folder, name = test.removesuffix(".py").split("/")
    words = name.split("_")[1:]
    names = (".".join([*folder, "_".join(words[:end])]) for end in range(len(words), 0, -1))
    return next((name for name in names if name in known), "")


def named(file: Path) -> set[str]:
    """What of the package this file of tests/ names, by an import or a path, also in the text of a
    program that it runs; or what the modules of tests/ that it imports name.
    """
    found, seen, left = set[str](), set[Path](), [file]
    while left:
        if (path := left.pop()) not in seen:
            seen.add(path)
            names = _names_in(path.read_text(encoding="utf-8"))
            found |= {name.removeprefix("sendrecv.") for name in names}
            helpers = (TOP / f"{name.replace('.', '/')}.py" for name in names)
            left += [helper for helper in helpers if helper.is_file()]
    return found


@functools.lru_cache(1000)
def _names_in(text: str) -> frozenset[str]:
    taken = (
        f"{origin}.{one.split()[0]}"
        for origin, many, few in FROM.findall(text)
        for one in (many or few).split(",")
        if one.strip()
    )
    paths = (path.replace("/", ".") for path in PATH.findall(text))
    return frozenset((*taken, *DOTTED.findall(text), *paths))


def reached(names: Iterable[str], graph: Mapping[str, set[str]]) -> set[str]:
    """Those of these names that are modules, and all that they import, and so on."""
    found, left = set[str](), [*names]
    while left:
        if (name := left.pop()) in graph and name not in found:
            found.add(name)
            left += graph[name]
    return found
