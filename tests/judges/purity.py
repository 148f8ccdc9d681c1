"""What the modules that only compute may use: no I/O, no clock, and no way round that rule.

A list of what is forbidden would never be whole, for every module of Python brings others along:
json has codecs, and codecs.open() is open(). So here is what is allowed: modules, of these the
names that are used, and Python's own names. Of a module of ours, only what it defines may be taken,
not what it has imported. A module is no value: nobody may keep it in a variable, or hand it on.
"""

import ast
import builtins
import re
from collections.abc import Collection, Iterator, Mapping

from tests.judges.imports import below, defined, nodes, origin_of

# By module. Not here, among others: socket, asyncio, time, os, logging, sys, importlib.
ALLOWED: Mapping[str, frozenset[str]] = {
    module: frozenset(names.split())
    for module, names in {
        "__future__": "annotations",
        "collections": "deque",
        "collections.abc": "Callable Collection Container Iterable Iterator Mapping Sequence",
        "dataclasses": "MISSING Field dataclass field fields is_dataclass replace",
        "enum": "Enum",
        "functools": "cache",
        "hashlib": "sha256",
        "json": "dumps loads",
        "re": "compile",
        "struct": "unpack_from",
        "types": "UnionType",
        "typing": "Any ClassVar NamedTuple Self Union dataclass_transform get_args get_origin"
        " get_type_hints",
        "zlib": "crc32",
    }.items()
}
# Of the module builtins; and all exceptions. Not here, among others: open, print, input, exec,
# eval, compile, __import__, globals, vars; getattr and setattr, which reach what has any name.
BUILTINS = frozenset(
    "abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod"
    " enumerate filter float format frozenset hasattr hash hex id int isinstance issubclass iter"
    " len list map max memoryview min next object oct ord pow property range repr reversed round"
    " set slice sorted staticmethod str sum super tuple type zip False None True Ellipsis"
    " NotImplemented __debug__".split()
)
# Where more is allowed: fields, whose names are known when it runs.
BESIDES: Mapping[str, frozenset[str]] = {
    "core.values": frozenset({"getattr"}),
    "proof.judge.state": frozenset({"getattr", "setattr"}),
}
# Of the names that Python gives a meaning. Not here, among others: __globals__, __builtins__,
# __subclasses__, __loader__.
SPECIAL = frozenset(
    "__all__ __annotations__ __bases__ __delattr__ __dict__ __init__ __match_args__ __name__"
    " __new__ __setattr__".split()
)
_FRAMES = frozenset(
    "f_back f_builtins f_globals f_locals ag_frame cr_frame gi_frame tb_frame".split()
)
_SPECIAL = re.compile(r"__\w+__")
_TREES = Mapping[str, ast.Module]


def impurities(trees: _TREES, folders: Collection[str]) -> list[str]:
    """What the modules in these folders use that is not allowed. trees: of all modules."""
    return [
        f"{module} {wrong}"
        for module in trees
        if any(below(module, folder) for folder in folders)
        for wrong in _wrong(module, trees)
    ]


def _wrong(module: str, trees: _TREES) -> Iterator[str]:
    tree = trees[module]
    is_package = any(name.startswith(f"{module}.") for name in trees)
    known: dict[str, str] = {}  # modules, by their names in this one
    for name, full, origin in _taken(module, tree, is_package):
        if wrong := _not_allowed(full, origin, trees):
            yield f"imports {wrong}"
        elif _is_known(full, trees):
            known[name] = full
    yield from _wrongly_used(tree, known, trees)
    yield from (f"uses {name}" for name in _own_names(tree) - BESIDES.get(module, frozenset()))


def _taken(module: str, tree: ast.Module, is_package: bool) -> Iterator[tuple[str, str, str]]:
    """Each import: what it is called here, its full name, and the module that has it, if it is
    taken from one.
    """
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield alias.asname or "", alias.name, ""
                yield from [] if alias.asname else [(top, top, "")]
        elif isinstance(node, ast.ImportFrom):
            origin = origin_of(module, node, is_package)
            for alias in node.names:
                yield alias.asname or alias.name, f"{origin}.{alias.name}", origin


def _not_allowed(full: str, origin: str, trees: _TREES) -> str:
    """What of that import is not: the name, or the first package or module of it."""
    if _is_known(full, trees):
        return ""
    parts = (origin or full).split(".")
    ways = (".".join(parts[: end + 1]) for end in range(len(parts)))
    if unknown := next((way for way in ways if not _is_known(way, trees)), ""):
        return unknown
    return "" if full.rpartition(".")[2] in _names(origin, trees) else full


def _is_known(name: str, trees: _TREES) -> bool:
    """Whether that is a module that may be imported. (Of ours, see the rules of imports.)"""
    return name in ALLOWED or name == "sendrecv" or name.removeprefix("sendrecv.") in trees


def _names(module: str, trees: _TREES) -> frozenset[str]:
    """What may be taken from that module."""
    if module in ALLOWED:
        return ALLOWED[module]
    return defined(trees[module.removeprefix("sendrecv").removeprefix(".")])


def _wrongly_used(tree: ast.Module, known: Mapping[str, str], trees: _TREES) -> Iterator[str]:
    """Each module that is a value, or of which something is used that may not be."""

    def module_of(node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            return known.get(node.id, "")
        if isinstance(node, ast.Attribute) and (module := module_of(node.value)):
            full = f"{module}.{node.attr}"
            return full if _is_known(full, trees) else ""
        return ""

    attributes = [node for node in nodes(tree) if isinstance(node, ast.Attribute)]
    for node in attributes:
        module = module_of(node.value)
        if module and not module_of(node) and node.attr not in _names(module, trees):
            yield f"uses {module}.{node.attr}"
    owners = {node.value for node in attributes}
    values = (node for node in nodes(tree) if node not in owners)
    yield from (f"uses {module} itself" for node in values if (module := module_of(node)))


def _own_names(tree: ast.Module) -> frozenset[str]:
    """What is used of Python's own names, and is not allowed."""
    return frozenset(name for node in nodes(tree) for name in _said(node) if _is_wrong(name, node))


def _said(node: ast.AST) -> list[str]:
    """Names, as names, attributes, in patterns and as texts."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str() as name):
            return [name]
        case ast.MatchClass():
            return node.kwd_attrs
    return []


def _is_wrong(name: str, node: ast.AST) -> bool:
    if _SPECIAL.fullmatch(name):
        return name not in SPECIAL | BUILTINS
    if not isinstance(node, ast.Name):
        return name in _FRAMES and not isinstance(node, ast.Constant)
    found = getattr(builtins, name, None)
    is_error = isinstance(found, type) and issubclass(found, BaseException)
    return hasattr(builtins, name) and name not in BUILTINS and not is_error
