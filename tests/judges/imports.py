"""Who imports whom in the package, read from every file at any depth.

An import is a statement, a call of what imports by a name, or any text that is the whole name of a
module of ours, such as one in a table of what is imported later. What imports a module of which the
file does not say the name is not followed: untold() lists it.

python3 -m tests.judges.imports [PACKAGE]       prints the graph, as docs/architecture.md has it
"""

import ast
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "sendrecv"
BY_NAME = frozenset({"imported", "import_module", "__import__"})
"""What imports the module whose name it is given; `imported` is the package's own."""
# What runs code that is in no file of ours, or a module by its loader.
_RUNS = frozenset({"exec", "eval", "compile", "__builtins__"})
_LOADS = frozenset(
    "exec_module load_module run_module run_path module_from_spec spec_from_file_location".split()
)


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


@functools.lru_cache(1000)
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """All of them, in no order that matters."""
    return tuple(ast.walk(tree))


def imported(module: str, tree: ast.AST, is_package: bool) -> Iterator[str]:
    """The full names of all modules, and of what is taken from them, that a module imports."""
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = origin_of(module, node, is_package)
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and (name := _named(node)):
            yield name


def origin_of(module: str, node: ast.ImportFrom, is_package: bool) -> str:
    """The full name of the module from which that takes something."""
    package = ["sendrecv", *module.split(".")] if module else ["sendrecv"]
    if not is_package:
        package.pop()
    start = package[: len(package) + 1 - node.level] if node.level else []
    return ".".join([*start, *filter(None, [node.module])])


def _named(call: ast.Call) -> str:
    """The module that this imports by its name, and by nothing else; "" if it is no such call."""
    if _last(call.func) not in BY_NAME or len(call.args) != 1 or call.keywords:
        return ""
    name = getattr(call.args[0], "value", None)
    return name if isinstance(name, str) and not name.startswith(".") else ""


def _last(node: ast.AST) -> str:
    """The name, or the last one of a chain of attributes."""
    return str(getattr(node, "id", None) or getattr(node, "attr", None) or "")


@functools.lru_cache(1000)
def untold(tree: ast.Module) -> tuple[tuple[str, str], ...]:
    """Where a module imports, or runs, what it does not name: the function, and what does it."""
    told = {node.func for node in nodes(tree) if isinstance(node, ast.Call) and _named(node)}
    placed = ((place, node) for place, node in _placed(tree, "") if node not in told)
    return tuple((place, what) for place, node in placed if (what := _importer(node)))


def _placed(tree: ast.AST, place: str) -> Iterator[tuple[str, ast.AST]]:
    """Each node, with the names of the classes and functions that it is in."""
    for node in ast.iter_child_nodes(tree):
        yield place, node
        inner = place
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = f"{place}.{node.name}".lstrip(".")
        yield from _placed(node, inner)


def _importer(node: ast.AST) -> str:
    """What imports or runs something, by whatever name it is called from here on."""
    match node:
        case ast.Name(id=name) if name in BY_NAME | _LOADS | _RUNS:
            return name
        case ast.Attribute(attr=name) if name in BY_NAME | _LOADS:
            return name
        case ast.alias(name=name, asname=str()) if name in BY_NAME:
            return f"{name} as {node.asname}"
        case ast.alias(name="builtins" | "runpy" as name):
            return name
        case ast.ImportFrom(module="builtins" | "runpy" as name):
            return str(name)
        case ast.Constant(value=str() as name) if name in BY_NAME - {"imported"} | _LOADS:
            return name
    return ""


def defined(tree: ast.Module) -> frozenset[str]:
    """The names that a module gives to what is its own, and not those that it imports."""
    found = set()
    left: list[ast.AST] = [*tree.body]
    while left:
        match left.pop():
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.AsyncFunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case node:
                left += ast.iter_child_nodes(node)
    return frozenset(found)


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
        targets |= all_modules.keys() & set(_texts_of_ours(tree))
    return graph


def _texts_of_ours(tree: ast.AST) -> Iterator[str]:
    """What follows "sendrecv." in texts: perhaps a module."""
    for node in nodes(tree):
        match node:
            case ast.Constant(value=str() as text) if text.startswith("sendrecv."):
                yield text.removeprefix("sendrecv.")


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
