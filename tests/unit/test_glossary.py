"""One word for one thing: what docs/glossary.md says is not used is in no file of the project, and
each class has a name of its own.
"""

import ast
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.judges.imports import PACKAGE, defined, modules

TOP = Path(__file__).resolve().parents[2]
GLOSSARY = TOP / "docs/glossary.md"
SAYS_THEM = {"docs/glossary.md", "tests/unit/test_glossary.py"}
# What has happened stays as it was said; and the names of others are theirs.
NOT_OURS = {
    "debian/changelog",
    "tests/bench/hosts/keepalived.py",
    "tests/bench/js/package-lock.json",
}
MADE = {".git", ".build", ".hypothesis", "__pycache__"}
"""Folders of what is not the project's source."""
NOT_THE_SENDERS = "the commands import nothing of the senders"
NOT_THE_JUDGED = "the proof shares no code with those whom it judges"
# Classes with one name that are one thing, seen from sides that do not know of each other. For each
# name: the modules that have it, and why none of them takes it from another one.
ONE_THING: Mapping[str, tuple[set[str], str]] = {
    "App": (
        {"core.reach", "admin.facts"},
        "what a sender is told of its own App, and what an administrator sees of any",
    ),
    "Clock": (
        {"sender.ports", "receiver.start"},
        "a clock that the tests replace: each loop names the methods that it calls",
    ),
    "Half": ({"sender.story", "admin.units"}, NOT_THE_SENDERS),
    "Pause": (
        {"core.lease", "admin.paused"},
        "a person's wish: as etcd has it, and as commands show it, wherever it is kept",
    ),
    "Ports": (
        {"sender.loop", "receiver.loop"},
        "what a loop needs from outside: neither of the two programs imports the other",
    ),
    "Receiver": (
        {"receiver.loop", "admin.receiver", "proof.judge.runs"},
        f"the receiver itself, its answers, and its unit: {NOT_THE_JUDGED}",
    ),
    "Row": (
        {"core.receiver_events", "admin.receiver"},
        "what the receiver has of an App: in its ledger, and in an answer, which may be malformed",
    ),
    "Takeover": ({"admin.takeovers", "proof.judge.processes"}, NOT_THE_JUDGED),
    "Unproven": ({"core.receiver_events", "proof.statements"}, NOT_THE_JUDGED),
}


def terms(page: str) -> list[tuple[str, str]]:
    """The words of the glossary, each with the places in the code that it names."""
    tables = page.split("## Words that are not used")[0]
    return re.findall(r"^\| ([^|]+) \| [^|]+\. \|([^|]*)\|$", tables, re.MULTILINE)


def unused(page: str) -> list[str]:
    """The words that are not used."""
    section = page.split("## Words that are not used")[1]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    return [word.strip() for row in rows[1:] for word in row.split(",")]


def files() -> Iterator[tuple[str, str]]:
    """Path and text of each file of the project; what is no text has none."""
    for name in _names():
        if name not in SAYS_THEM | NOT_OURS:
            yield name, (TOP / name).read_text(encoding="utf-8", errors="ignore")


def _names() -> list[str]:
    if (TOP / ".git").exists():
        command = ["git", "-c", f"safe.directory={TOP}", "ls-files", "-zco", "--exclude-standard"]
        listed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
        return [name for name in listed.stdout.split("\0") if name and (TOP / name).is_file()]
    paths = (path for path in TOP.rglob("*") if path.is_file())
    relative = (path.relative_to(TOP) for path in paths)
    return [str(path) for path in relative if not MADE & set(path.parts)]


def found(words: list[str], text: str) -> set[str]:
    """Those of `words` that stand in the text, whole, across the ends of lines too."""
    spaced = [r"[\s#*_]+".join(map(re.escape, word.split())) for word in words]
    pattern = re.compile(rf"(?<![a-z0-9])({'|'.join(spaced)})(?![a-z0-9])", re.IGNORECASE)
    return {" ".join(re.split(r"[\s#*_]+", match[1])).lower() for match in pattern.finditer(text)}


def names_of_types(tree: ast.Module) -> Iterator[str]:
    """The classes, wherever they are, and the other names of types that a module has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        for name in (target.id for target in targets if isinstance(target, ast.Name)):
            if re.match(r"_?[A-Z]\w*[a-z]", name):
                yield name


def shared(package: Path) -> dict[str, list[str]]:
    """The modules of each name that more than one class or type has."""
    found = defaultdict(list)
    for module, tree in modules(package).items():
        for name in names_of_types(tree):
            found[name].append(module)
    return {name: sorted(places) for name, places in found.items() if len(places) > 1}


def test_no_file_has_them() -> None:
    words = unused(GLOSSARY.read_text(encoding="utf-8"))
    texts = dict(files())
    assert len(texts) > 150 and {"README.md", "systemd/guard", "sendrecv/cli.py"} <= texts.keys()
    has: Mapping[str, set[str]] = {
        name: words_of for name, text in texts.items() if (words_of := found(words, text))
    }
    assert has == {}


def test_the_page_is_read() -> None:
    page = GLOSSARY.read_text(encoding="utf-8")
    words = unused(page)
    assert len(words) > 10 and {"friend", "stranger", "let in", "seat"} <= set(words)
    known = dict(terms(page))
    assert len(known) > 40 and {"App", "epoch", "ledger", "lease", "streak", "verdict"} <= set(
        known
    )
    assert not set(known) & set(words)


def places(page: str) -> list[tuple[str, ...]]:
    """Where things are: paths, each with the names of what is defined there, if any; or ""."""
    return [
        place
        for _, cell in terms(page)
        for place in re.findall(r"`([^`]+)`(?:: `([^`]+)`(?:, `([^`]+)`)?)?", cell)
    ]


def misplaced(page: str) -> list[str]:
    """Each place that is not there, or does not define what it is named for."""
    found = []
    for path, *names in places(page):
        there = TOP / path if (TOP / path).exists() else TOP / "sendrecv" / path
        named = {name.removesuffix("()") for name in names if name}
        if not there.exists():
            found.append(path)
        elif named:
            here = defined(ast.parse(there.read_text(encoding="utf-8")))
            found += [f"{path}: {name}" for name in sorted(named - here)]
    return found


def test_the_places_that_it_names_are_there() -> None:
    page = GLOSSARY.read_text(encoding="utf-8")
    assert len(places(page)) > 40 and len([place for place in places(page) if place[1]]) > 20
    assert misplaced(page) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("`receiver/access.py`: `Access`", "`receiver/admission.py`: `Access`"),
        ("`core/wire.py`: `payloads()`", "`core/sender.py`: `payloads()`"),
        ("`: `Admit`, `Refuse`", "`: `Admit`, `Refusal`"),
        ("`core/wire.py`: `MAX_BATCH`", "`core/wires.py`: `MAX_BATCH`"),
    ],
)
def test_a_planted_place_is_seen(right: str, wrong: str) -> None:
    page = GLOSSARY.read_text(encoding="utf-8")
    assert right in page
    assert misplaced(page.replace(right, wrong)) != []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a friend.", {"friend"}),
        ("Friends, and a befriended", set()),
        ("class Seat(Enum):", {"seat"}),
        ("the_seat_1 = seats", {"seat"}),
        ("it is let\n    # in by", {"let in"}),
        ("def test_it_is_let_in():", {"let in"}),
        ("let it in, outlet in", set()),
    ],
)
def test_a_planted_word_is_seen(text: str, words: set[str]) -> None:
    assert found(["friend", "seat", "let in"], text) == words


def test_each_class_has_a_name_of_its_own() -> None:
    assert shared(PACKAGE) == {name: sorted(places) for name, (places, _) in ONE_THING.items()}
    assert all(len(reason) > 20 for _, reason in ONE_THING.values())


@pytest.mark.parametrize(
    ("file", "source", "name", "places"),
    [
        ("core/record.py", "class Ledger:\n    pass", "Ledger", ["core.record", "receiver.ledger"]),
        (
            "sender/quick.py",
            "class Row:\n    pass",
            "Row",
            ["admin.receiver", "core.receiver_events", "sender.quick"],
        ),
        (
            "admin/checks/unseen.py",
            "if True:\n    class Claim:\n        pass",
            "Claim",
            ["admin.checks.unseen", "core.wire"],
        ),
        ("proof/life.py", "Session = str", "Session", ["proof.judge.sessions", "proof.life"]),
        ("core/wire.py", "class Claim:\n    pass", "Claim", ["core.wire", "core.wire"]),
    ],
)
def test_a_planted_second_class_is_seen(
    tmp_path: Path, file: str, source: str, name: str, places: list[str]
) -> None:
    copy = tmp_path / "sendrecv"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / file).open("a", encoding="utf-8") as text:
        text.write(f"\n{source}\n")
    assert shared(copy)[name] == places
    assert shared(copy).keys() - {name} == shared(PACKAGE).keys() - {name}
