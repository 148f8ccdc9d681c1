"""Who imports whom in the package, read from every file at any depth.

python3 -m tests.judges.imports [PACKAGE]       prints the graph, as docs/architecture.md has it
"""

import ast
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "sendrecv"


def modules(package: Path) -> dict[str, ast.Module]:
    """All modules by their names without the package's own; a package is called as its folder."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = _parsed(file.read_text(encoding="utf-8"))
    return found


@functools.lru_cache(1000)
def _parsed(text: str) -> ast.Module:
    """The tests read many copies of the package, each with one module that is different."""
    return ast.parse(text)


def imported(module: str, tree: ast.AST, is_package: bool) -> Iterator[str]:
    """The full names of all modules, and of what is taken from them, that a module imports."""
    package = ["sendrecv", *module.split(".")] if module else ["sendrecv"]
    if not is_package:
        package.pop()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*start, *filter(None, [node.module])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def ours(package: Path) -> dict[str, set[str]]:
    """For each module, what it imports of the package: modules, or names in __init__.py."""
    all_modules = modules(package)
    graph: dict[str, set[str]] = {}
    for name, tree in all_modules.items():
        is_package = (package / Path(*name.split("."), "__init__.py")).exists()
        targets = graph.setdefault(name, set())
        for full in imported(name, tree, is_package):
            top, *rest = full.split(".")
            if top == "sendrecv":
                while ".".join(rest) not in all_modules and len(rest) > 1:
                    rest.pop()  # a class or a function: the module that has it
                targets.add(".".join(rest))
    return graph


def below(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}.")


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """Each module that imports itself by way of others: what is left once all that imports
    nothing of what is left has been taken away, and so has all that nothing left imports.
    """
    left = {module: targets & graph.keys() - {module} for module, targets in graph.items()}
    while True:
        wanted = set[str]().union(*left.values())
        gone = {module for module, targets in left.items() if not targets or module not in wanted}
        if not gone:
            return sorted(left)
        left = {m: targets - gone for m, targets in left.items() if m not in gone}


def listing(package: Path) -> str:
    """A line for each module: its folder, its name, and the modules that it imports."""
    lines, before = [], ""
    for module, targets in sorted(ours(package).items(), key=lambda item: _place(item[0])):
        folder, name = _place(module)
        if not targets and (package / folder / name / "__init__.py").exists():
            continue  # an empty one
        shown = "" if folder == before else folder
        wanted = ", ".join(target for target in sorted(targets) if target != "__version__")
        lines.append(f"{shown:14}{name:18}{wanted}".rstrip())
        before = folder
    return "\n".join(lines) + "\n"


def _place(module: str) -> tuple[str, str]:
    folder, _, name = module.rpartition(".")
    return (f"{folder.replace('.', '/')}/" if folder else "", name or module)


if __name__ == "__main__":
    print(listing(Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE), end="")
