"""The architecture, as rules of who may import whom; docs/architecture.md shows the graph.

Every file of the package is read, at any depth of folders: each import, in whatever corner of the
file. What the core imports is also watched while it is imported, however the import is spelt.
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.judges.imports import PACKAGE, below, circles, listing, modules, ours, untold
from tests.judges.purity import ALLOWED, impurities

# What the modules of a folder, or one module, may import of the package. A name stands for all
# that is below it. The longest name that fits decides.
RULES: Mapping[str, tuple[str, ...]] = {
    "": (),  # __init__.py, and whatever is not named below
    "core": ("core",),
    "errors": (),
    "imports": (),
    "patching": ("core", "imports", "systemd"),
    "commandline": ("errors",),
    "config": ("core", "errors"),
    "settings_file": ("config", "core"),
    "backoff": ("systemd",),
    "systemd": ("core", "errors"),
    "descriptors": ("errors",),
    "sender": ("sender", "core", "errors", "imports", "patching", "systemd", "config", "backoff")
    + ("settings_file",),
    "receiver": ("receiver", "core", "errors", "imports", "patching", "systemd", "config")
    + ("backoff", "descriptors", "settings_file"),
    # The proof shares no code with those whom it judges: only exit statuses with their classes of
    # failures, and how a command line is parsed. What judges uses neither.
    "proof": ("proof", "errors", "commandline"),
    "proof.statements": (),
    "proof.evidence": ("proof.statements",),
    "proof.read": ("proof.read", "proof.evidence", "proof.statements", "errors"),
    "proof.judge": ("proof.judge", "proof.statements"),
    "proof.chain": ("proof.chain", "proof.evidence", "proof.statements"),
    "proof.show": ("proof.show", "proof.judge", "proof.statements"),
    "admin": ("admin", "core", "errors", "commandline", "systemd", "config", "settings_file"),
    # With the senders' own client: what it is told is what they are told.
    "admin.checks.etcd": ("admin", "core", "errors", "config", "sender"),
    "admin.pause_hosts": ("admin", "core", "errors", "config", "sender"),
    "admin.metrics": ("admin", "core", "errors", "commandline", "systemd", "config", "__version__")
    + ("descriptors",),
    "cli": ("core", "errors", "imports", "patching", "systemd", "commandline", "sender")
    + ("receiver", "proof", "admin", "backoff", "__version__"),
}

# Where something is imported whose name the file does not say, or code is run that is in no file:
# the function, and why. All that these are given by our own modules is a text, and so in the graph.
UNTOLD: Mapping[str, str] = {
    "imports.imported": "it is what imports by a name",
    "imports.Deferred.__getattr__": "its own name: a module of Python that is imported after all",
    "patching.module": "the first one that there is: versions of a library name it differently",
    "sender.light_client._run_after_all": "the library's own package, of which a part is needed",
    "sender.light_http._copy": "a copy of http.client, whose package is never run",
}

# See tests/judges/purity.py.
COMPUTES_ONLY = ("core", "proof.statements", "proof.evidence", "proof.judge", "errors")

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


def rule_of(module: str) -> str:
    return max((name for name in RULES if name == "" or below(module, name)), key=len)


def forbidden(graph: Mapping[str, set[str]]) -> list[str]:
    """Each import that the rules do not allow."""
    return [
        f"{module} imports {target}"
        for module, targets in graph.items()
        for target in sorted(targets)
        if not any(below(target, allowed) for allowed in RULES[rule_of(module)])
    ]


def places_of_untold(trees: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """Each function that imports what it does not name, and what in it does so."""
    found: dict[str, list[str]] = {}
    for module, tree in trees.items():
        for place, what in untold(tree):
            found.setdefault(f"{module}.{place}".rstrip("."), []).append(what)
    return found


def impurities_when_run(package: Path) -> list[str]:
    """The imports that happen when the core is loaded from there."""
    core = [module for module in modules(package) if below(module, "core")]
    arguments = [str(package.parent), " ".join(core), " ".join({"sendrecv", *ALLOWED})]
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


def plant(package: Path, file: str, source: str) -> None:
    """Adds that source to a file, which is made if it is not there, with its folders."""
    path = package / file
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as text:
        text.write(f"\n{source}\n")


def with_more(module: str, source: str) -> Mapping[str, ast.Module]:
    """All modules, and that source at the end of one, which may be a new one."""
    trees = modules(PACKAGE)
    before = trees[module].body if module in trees else []
    more = ast.parse(source).body
    return {**trees, module: ast.Module([*before, *more], [])}


def test_every_folder_has_a_rule_and_something_in_it() -> None:
    names = list(modules(PACKAGE))
    for rule in filter(None, RULES):
        assert any(below(name, rule) for name in names), rule
    assert [name for name in names if rule_of(name) == "" and name] == []
    assert len([name for name in names if below(name, "core")]) > 8


def test_nothing_imports_what_it_must_not() -> None:
    assert forbidden(ours(PACKAGE)) == []


def test_what_is_imported_is_named_but_for_a_few_places() -> None:
    assert places_of_untold(modules(PACKAGE)).keys() == UNTOLD.keys()


def test_the_graph_in_the_documents_is_that_of_the_code() -> None:
    """`python3 -m tests.judges.imports` prints it anew."""
    page = (PACKAGE.parent / "docs/architecture.md").read_text(encoding="utf-8")
    assert f"```\n{listing(PACKAGE)}```\n" in page


def test_there_are_no_circles() -> None:
    assert circles(ours(PACKAGE)) == []


def test_what_computes_does_nothing_else() -> None:
    assert impurities(modules(PACKAGE), COMPUTES_ONLY) == []


def test_the_core_is_pure_when_run() -> None:
    assert impurities_when_run(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "source", "violation"),
    [
        ("core/record.py", "from sendrecv import systemd", "core.record imports systemd"),
        ("core/record.py", "from sendrecv.errors import LockLost", "core.record imports errors"),
        ("core/deep/er/new.py", "from sendrecv.errors import A", "core.deep.er.new imports errors"),
        ("core/record.py", "from .. import config", "core.record imports config"),
        ("core/deep/new.py", "from ...sender import main", "core.deep.new imports sender.main"),
        ("sender/main.py", "import sendrecv.receiver.main", "sender.main imports receiver.main"),
        ("sender/main.py", "from sendrecv.proof import prove", "sender.main imports proof.prove"),
        ("receiver/a/b.py", "from sendrecv import sender", "receiver.a.b imports sender"),
        ("receiver/main.py", "from sendrecv import cli", "receiver.main imports cli"),
        ("proof/read/export.py", "from sendrecv import core", "proof.read.export imports core"),
        ("proof/prove.py", "def late():\n    import sendrecv.config", "proof.prove imports config"),
        (
            "proof/judge/spans.py",
            "import sendrecv.proof.read",
            "proof.judge.spans imports proof.read",
        ),
        ("admin/status.py", "from sendrecv.proof import prove", "admin.status imports proof.prove"),
        ("errors.py", "from sendrecv.core import wire", "errors imports core.wire"),
        # By a name
        (
            "proof/prove.py",
            "import importlib\nimportlib.import_module('sendrecv.core.wire')",
            "proof.prove imports core.wire",
        ),
        (
            "proof/prove.py",
            "def f():\n    from importlib import import_module\n    import_module('sendrecv.cli')",
            "proof.prove imports cli",
        ),
        (
            "proof/read/export.py",
            "core = __import__('sendrecv.core.record').core",
            "proof.read.export imports core.record",
        ),
        ("proof/read/export.py", "ours = __import__('sendrecv')", "proof.read.export imports "),
        (
            "receiver/main.py",
            "from sendrecv.imports import imported\nimported('sendrecv.sender.store')",
            "receiver.main imports sender.store",
        ),
        (
            "receiver/main.py",
            "from sendrecv import imports\nlambda: imports.imported('sendrecv.sender.store')",
            "receiver.main imports sender.store",
        ),
        (
            "receiver/light_server.py",
            "_LATER = {'tell': ['sendrecv.sender.story']}",
            "receiver.light_server imports sender.story",
        ),
        (
            "admin/status.py",
            "import sys\nsys.modules['sendrecv.proof.prove']",
            "admin.status imports proof.prove",
        ),
    ],
)
def test_a_planted_import_is_forbidden(
    planted: Path, file: str, source: str, violation: str
) -> None:
    plant(planted, file, source)
    assert violation in forbidden(ours(planted))


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import importlib\nimportlib.import_module('sendrecv.' + 'core.wire')", "import_module"),
        ("import importlib\nimportlib.import_module('.wire', 'sendrecv.core')", "import_module"),
        ("from importlib import import_module as load", "import_module as load"),
        ("import importlib\nload = importlib.import_module", "import_module"),
        ("import importlib\ngetattr(importlib, 'import_module')", "import_module"),
        ("__import__('sendrecv', fromlist=['core'])", "__import__"),
        ("__import__('core', globals(), locals(), (), 2)", "__import__"),
        ("load = __import__", "__import__"),
        ("from sendrecv.imports import imported\n[*map(imported, ['time'])]", "imported"),
        ("from sendrecv.imports import imported\nlambda name: imported(name)", "imported"),
        ("from sendrecv.imports import imported as get", "imported as get"),
        ("from sendrecv import imports\nimports.imported(f'sendrecv.{0}')", "imported"),
        ("import runpy", "runpy"),
        ("from runpy import run_path", "runpy"),
        ("import builtins", "builtins"),
        ("from builtins import open", "builtins"),
        ("__builtins__['__import__']('sendrecv.core')", "__builtins__"),
        ("exec('from sendrecv import core')", "exec"),
        ("eval(compile('1', '', 'eval'))", "compile"),
        ("__spec__.loader.exec_module(0)", "exec_module"),
    ],
)
def test_a_planted_import_of_what_is_not_named_is_seen(source: str, what: str) -> None:
    lines = "\n".join(f"        {line}" for line in source.splitlines())
    spoilt = with_more("admin.status", f"class Deep:\n    def er(self):\n{lines}")
    assert what in places_of_untold(spoilt)["admin.status.Deep.er"]


@pytest.mark.parametrize(
    ("file", "source", "closed"),
    [
        ("core/values.py", "from sendrecv.core import sender", {"core.values", "core.sender"}),
        ("core/a/b.py", "from sendrecv.core.a import c\n", set[str]()),
        ("sender/store.py", "def f():\n    from sendrecv.sender import main", {"sender.store"}),
    ],
)
def test_a_planted_circle_is_seen(planted: Path, file: str, source: str, closed: set[str]) -> None:
    plant(planted, file, source)
    assert closed <= set(circles(ours(planted))) and bool(closed) == bool(circles(ours(planted)))


@pytest.mark.parametrize(
    ("source", "violation"),
    [
        ("import time", "imports time"),
        ("import json, socket as s", "imports socket"),
        ("import asyncio.events", "imports asyncio"),
        ("from os import path", "imports os"),
        ("def late():\n    import logging", "imports logging"),
        ("from importlib import import_module", "imports importlib"),
        ("clock = __import__('time')", "uses __import__"),
        ("def read():\n    return open('/dev/null')", "uses open"),
        ("__builtins__['open']('/dev/null')", "uses __builtins__"),
        ("import builtins\nbuiltins.open", "imports builtins"),
        ("from io import open", "imports io"),
        ("import json\njson.codecs.open('/dev/null')", "uses json.codecs"),
        ("import json as j\nj.codecs.open('/dev/null')", "uses json.codecs"),
        ("from json import codecs", "imports json.codecs"),
        ("from json import *", "imports json.*"),
        ("import json.tool", "imports json.tool"),
        ("import json\nkept = [json]", "uses json itself"),
        ("import json\nvars(json)", "uses vars"),
        ("import json\njson.__dict__", "uses json.__dict__"),
        ("import collections.abc\ncollections._sys", "uses collections._sys"),
        ("from functools import partial", "imports functools.partial"),
        ("from sendrecv.core.record import json", "imports sendrecv.core.record.json"),
        ("from sendrecv.core import record\nrecord.json", "uses sendrecv.core.record.json"),
        (
            "import sendrecv.core.record\nsendrecv.core.record.zlib",
            "uses sendrecv.core.record.zlib",
        ),
        ("import sendrecv.core.record as r\nr.zlib.sys", "uses sendrecv.core.record.zlib"),
        ("from sendrecv.core import record\nkept = record", "uses sendrecv.core.record itself"),
        ("from sendrecv.core.wire import *", "imports sendrecv.core.wire.*"),
        ("def f(): ...\nf.__globals__", "uses __globals__"),
        ("from json import loads\nloads.__globals__['codecs']", "uses __globals__"),
        ("def f(): ...\nmatch f:\n    case object(__globals__=g):\n        g", "uses __globals__"),
        ("().__class__.__base__.__subclasses__()", "uses __subclasses__"),
        ("(each for each in ()).gi_frame.f_builtins", "uses f_builtins"),
        ("__loader__.get_data('/dev/null')", "uses __loader__"),
        ("getattr(__spec__, 'loader')", "uses getattr"),
        ("globals()['__builtins__']", "uses globals"),
        ("eval('1')", "uses eval"),
        ("exec('')", "uses exec"),
        ("compile('', '', 'exec')", "uses compile"),
        ("breakpoint()", "uses breakpoint"),
        ("print()", "uses print"),
    ],
)
@pytest.mark.parametrize("module", ["core.record", "core.deep.er.new", "proof.judge.spans"])
def test_a_planted_impurity_is_read(module: str, source: str, violation: str) -> None:
    spoilt = with_more(module, source)
    assert f"{module} {violation}" in impurities(spoilt, COMPUTES_ONLY)


@pytest.mark.parametrize("file", ["core/record.py", "core/deep/er/new.py"])
@pytest.mark.parametrize("source", ["import time", "__builtins__['ex' + 'ec']('import time')"])
def test_a_planted_impurity_is_seen_when_run(planted: Path, file: str, source: str) -> None:
    plant(planted, file, source)
    module = file.removesuffix(".py").replace("/", ".")
    assert f"sendrecv.{module} imports time" in impurities_when_run(planted)
