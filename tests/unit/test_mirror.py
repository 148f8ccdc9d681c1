"""Each module with logic has a unit test in the same place, or it is said here where it is tested.

sendrecv/FOLDER/MODULE.py is tested by tests/unit/FOLDER/test_MODULE.py. A module with several test
files has test_MODULE_STORY.py. The two tables have the exceptions.
"""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.judges.imports import PACKAGE, ours
from tests.judges.mirror import files_of, module_of, named, reached, with_logic
from tests.lab.paths import TOP

UNIT = TOP / "tests/unit"
GRAPH = ours(PACKAGE)
"""The modules, and what each imports."""


class Elsewhere(NamedTuple):
    """Modules of one folder that have no unit test of their own name, and where they are tested.

    place: a file of tests/, which names the modules. through: what it names in their place, and
    what imports them.
    """

    folder: str
    names: str
    place: str
    why: str
    through: str = ""

    def modules(self) -> list[str]:
        return [f"{self.folder}.{name}".lstrip(".") for name in self.names.split()]


ELSEWHERE = (
    Elsewhere(
        *("", "imports", "unit/sender/test_light_client.py"),
        "what is imported late can be seen in an interpreter of its own only",
        "sender.light_client",
    ),
    Elsewhere("core", "errors lines", "unit/core/test_wire.py", "what peers and people read"),
    Elsewhere(
        *("core", "sender_events", "unit/sender/test_connection.py"),
        "events, and how a reply becomes one of them",
    ),
    Elsewhere(
        *("sender", "etcd_access etcd_connection etcd_messages", "unit/sender/test_etcd.py"),
        "layers of one client of etcd: what an endpoint says goes through all of them",
        "sender.etcd",
    ),
    Elsewhere(
        *("sender", "etcd_lease", "unit/sender/test_store_etcd.py"),
        "how that store deals with its key in etcd",
        "sender.store_etcd",
    ),
    Elsewhere(
        *("sender", "etcd_outage", "unit/sender/test_store_etcd_outage.py"),
        "what that store does while etcd is silent",
        "sender.store_etcd",
    ),
    Elsewhere(
        *("sender", "etcd_pause", "unit/sender/test_store_etcd_paused.py"),
        "what that store does while its App is paused",
        "sender.store_etcd",
    ),
    Elsewhere(
        *("sender", "patched_engineio", "unit/sender/test_patches.py"),
        "copies of the libraries are changed, and a sender is to be served all the same",
    ),
    Elsewhere(
        *("receiver", "patched_aiohttp patched_engineio patched_socketio"),
        "unit/receiver/test_patches.py",
        "copies of the libraries are changed, and every sender is to be served all the same",
    ),
    Elsewhere(
        *("receiver", "access senders", "unit/receiver/test_gateway_listeners.py"),
        "the socket on which a real peer has connected decides",
        "receiver.gateway",
    ),
    Elsewhere("receiver", "report", "unit/receiver/test_answers.py", "the text of an answer"),
    Elsewhere("receiver", "requests", "unit/receiver/test_start.py", "a start reads them"),
    Elsewhere("receiver", "schema", "unit/receiver/test_ledger.py", "tables of the ledger"),
    Elsewhere(
        *("admin", "bus", "system/test_status.py"), "there is no PID 1 to be asked in unit tests"
    ),
    Elsewhere(
        *("admin", "problems receiver units", "unit/admin/test_facts.py"),
        "each reads a part of the facts; what matters is what they say of an App together",
    ),
    Elsewhere(
        *("admin", "ask exchange", "unit/admin/test_ask_port.py"),
        "one question, with whatever may answer at the other end",
    ),
    Elsewhere(
        *("admin", "files halves", "unit/admin/test_move_half.py"), "what a move does with a half"
    ),
    Elsewhere(
        *("admin", "pause_hosts paused", "unit/admin/test_pause.py"),
        "one command, for an App of one host or of several",
    ),
    Elsewhere(
        *("admin.checks", "promises", "unit/admin/checks/test_units.py"),
        "a table; what is made of it is a sentence about a unit",
    ),
    Elsewhere(
        *("admin.metrics", "measured", "unit/admin/metrics/test_exposition.py"),
        "values, which are compared as Prometheus reads them",
    ),
    Elsewhere(
        *("proof", "evidence statements", "unit/proof/judge/test_verdict.py"),
        "from an entry to a statement: each made-up journal goes through them",
    ),
    Elsewhere(
        *("proof", "reading", "unit/proof/test_prove.py"),
        "what the command reads, by its options",
        "proof.prove",
    ),
    Elsewhere(
        *("proof.read", "bundle exports period", "unit/proof/test_prove.py"),
        "files as they are named on the command line",
        "proof.prove",
    ),
    Elsewhere("proof.read", "after", "unit/proof/read/test_mark.py", "what follows a mark"),
    Elsewhere(
        *("proof.read", "journalctl", "unit/proof/read/test_holes.py"),
        "the program itself is run in machines only; here, what is made of its words",
    ),
    Elsewhere(
        *("proof.audit", "command", "system/test_audit.py"),
        "it acts as a user and in directories that an installed package has",
    ),
    Elsewhere(
        *("proof.audit", "entries periods reading", "unit/proof/audit/test_audit.py"),
        "steps of one audit",
    ),
    Elsewhere(
        *("proof.chain", "lines merge", "unit/proof/chain/test_append.py"),
        "what is on the disk after audits",
        "proof.chain.append",
    ),
    Elsewhere(
        *("proof.chain", "head", "unit/proof/chain/test_store.py"),
        "one of the files that are read together",
        "proof.chain.store",
    ),
    Elsewhere(
        *("proof.chain", "evidence pack", "unit/proof/test_life.py"),
        "what goes from the chain into the proof of a whole life",
    ),
    Elsewhere(
        "proof.judge",
        "basis boots claims counts course courses findings gaps lives outcome owners processes runs"
        " sessions timeline",
        "unit/proof/judge/test_verdict.py",
        "parts of one judge: what they find together, in a made-up journal, is the promise",
        "proof.judge.verdict",
    ),
    Elsewhere(
        *("proof.show", "drawing history", "unit/proof/show/test_past.py"),
        "what a picture of the past is made of",
    ),
    Elsewhere(
        *("proof.show", "report", "unit/proof/test_prove.py"),
        "what the command prints",
        "proof.prove",
    ),
    Elsewhere(
        *("proof.show", "svg", "unit/proof/show/test_picture.py"),
        "elements of the picture",
        "proof.show.picture",
    ),
)
OF_NO_MODULE = {
    "core/test_interrupted.py": "both machines, cut after each command",
    "core/test_interrupted_lists.py": "the sender's longer lists of commands, cut after each",
    "receiver/test_patches.py": "a library that has changed: all modules that patch one",
    "sender/test_patches.py": "a library that has changed: all modules that patch one",
    "test_cockpit_page.py": "cockpit/",
    "test_completion.py": "debian/completion/",
    "test_documents.py": "commands in all documents",
    "test_environment.py": "all commands",
    "test_glossary.py": "words in all files",
    "test_imports.py": "who may import whom, and not the module imports",
    "test_mirror.py": "all modules",
    "test_numbers.py": "numbers in all files",
    "test_operating.py": "docs/operating.md",
    "test_readme.py": "README.md",
}
SCRIPTS = {
    "guard": "test_units.py",
    "journal-reader": "test_once.py",
    "masked": "test_orders.py",
    "mount-root": "test_root.py",
    "reload": "test_tokens.py",
    "takeover": "test_pause.py",
    "tls-files": "test_tls.py",
    "token-changed": "test_tokens.py",
    "token-file": "test_tokens.py",
}
"""The programs in systemd/, and which of tests/system has each. None is without systemd."""


def modules_here(unit: Path) -> set[str]:
    """The modules that have a test file."""
    return {module_of(test, GRAPH) for test in files_of(unit) if test not in OF_NO_MODULE}


def modules_elsewhere() -> list[str]:
    return [module for row in ELSEWHERE for module in row.modules()]


def untested(package: Path) -> list[str]:
    """The modules with logic that have no test, neither here nor there."""
    tested = {*modules_here(UNIT), *modules_elsewhere()}
    return [module for module in with_logic(package) if module not in tested]


def stray(unit: Path) -> list[str]:
    """The test files that stand for no module, or for one that they do not use."""
    modules = {test: module_of(test, GRAPH) for test in files_of(unit) if test not in OF_NO_MODULE}
    return [
        f"{test}: {module or 'no module'}"
        for test, module in modules.items()
        if module not in reached(named(unit / test), GRAPH)
    ]


def faults(row: Elsewhere) -> list[str]:
    """What of it is not true."""
    place = TOP / "tests" / row.place
    if not place.is_file():
        return [f"there is no {row.place}"]
    names = named(place)
    found = [row.through] if row.through and row.through not in names else []
    there = reached([row.through], GRAPH) if row.through else names
    found += [module for module in row.modules() if module not in there]
    return [f"{row.place} does not name {name}" for name in found]


def test_each_module_with_logic_has_a_test() -> None:
    assert untested(PACKAGE) == []
    assert len(with_logic(PACKAGE)) > 150


def test_each_test_file_has_a_module_and_uses_it() -> None:
    assert not stray(UNIT)
    assert {*OF_NO_MODULE} <= {*files_of(UNIT)}


@pytest.mark.parametrize("row", ELSEWHERE, ids=lambda row: f"{row.folder} {row.names.split()[0]}")
def test_what_is_tested_elsewhere_is_named_there(row: Elsewhere) -> None:
    assert not faults(row)


def test_no_exception_is_superfluous() -> None:
    """A module that has no logic, or has a test by now."""
    there = modules_elsewhere()
    assert len({*there}) == len(there)
    assert {*there} <= {*with_logic(PACKAGE)} - modules_here(UNIT)


def test_each_program_of_the_units_is_named_in_a_test_of_machines() -> None:
    there = {path.name for path in (TOP / "systemd").iterdir() if os.access(path, os.X_OK)}
    assert there == {*SCRIPTS}
    for script, test in SCRIPTS.items():
        text = (TOP / "tests/system" / test).read_text(encoding="utf-8")
        assert f"systemd/{script}" in text or f"lib/sendrecv/{script}" in text, script


# Planted.


@pytest.fixture(name="package")
def fixture_package(tmp_path: Path) -> Path:
    """A copy, to be spoilt."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "sendrecv", ignore=ignored))


@pytest.mark.parametrize("name", ["new", "core.new", "proof.judge.deep.er.new"])
@pytest.mark.parametrize(
    ("source", "is_logic"),
    [
        ("def f():\n    return 1\n", True),
        ("class C:\n    async def f(self):\n        '''Why.'''\n        await g()\n", True),
        ("class C:\n    def f(self):\n        '''Why.'''\n\n    def g(self): ...\n", False),
        ("LIMIT = 5\n", False),
    ],
)
def test_a_planted_module_without_a_test_is_found(
    package: Path, name: str, source: str, is_logic: bool
) -> None:
    file = package / f"{name.replace('.', '/')}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")
    assert untested(package) == ([name] if is_logic else [])


@pytest.mark.parametrize(
    ("test", "text", "module"),
    [
        ("core/test_record.py", "from sendrecv.core import record\n", ""),
        ("core/test_record_of_old.py", "from sendrecv.core.record import Record\n", ""),
        ("sender/test_main.py", 'RUN = "from sendrecv.cli import main; main()"\n', ""),
        ("receiver/test_gateway.py", "from tests.lab.reception import Reception\n", ""),
        ("lab/test_anything.py", "", ""),
        ("test_record.py", "from sendrecv.core import record\n", "no module"),
        ("proof/test_counts.py", "from sendrecv.proof.judge import counts\n", "no module"),
        ("core/test_story.py", "from sendrecv.core import record\n", "no module"),
        ("core/test_record.py", "from sendrecv.core import wire\n", "core.record"),
    ],
)
def test_a_planted_test_file_is_taken_for_what_it_is(
    tmp_path: Path, test: str, text: str, module: str
) -> None:
    file = tmp_path / test
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    assert stray(tmp_path) == ([f"{test}: {module}"] if module else [])


@pytest.mark.parametrize(
    ("place", "through", "missing"),
    [
        ("unit/core/test_keyring.py", "", []),
        ("unit/core/test_wire.py", "", ["core.keyring"]),
        ("unit/core/test_wire.py", "core.wire", ["core.keyring"]),
        ("unit/receiver/test_ledger.py", "receiver.secrets", ["receiver.secrets"]),
        ("unit/receiver/test_renewal.py", "receiver.secrets", []),
    ],
)
def test_a_planted_exception_that_is_not_true_is_found(
    place: str, through: str, missing: list[str]
) -> None:
    row = Elsewhere("core", "keyring", place, "planted", through)
    assert faults(row) == [f"{place} does not name {name}" for name in missing]


def test_a_place_that_is_not_there_is_found() -> None:
    row = Elsewhere("core", "keyring", "unit/core/test_none.py", "planted")
    assert faults(row) == ["there is no unit/core/test_none.py"]
