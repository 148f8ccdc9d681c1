"""Each command that README, docs/, manual pages, catalog and program show is one that there is."""

import re
from pathlib import Path

import pytest

from sendrecv import cli
from tests.judges import commands, documents
from tests.lab.paths import TOP

PAGES = documents.pages()
MAN = TOP / "debian/man"
FOREIGN = {"--check", "--cursor", "--kill-whom", "--now", "--signal", "--unbuffered"}
"""Options of other programs that manual pages name."""
CODE = "\n".join(file.read_text(encoding="utf-8") for file in (TOP / "sendrecv").rglob("*.py"))
SETTINGS = {*re.findall(r"SENDRECV_\w+", (TOP / "sendrecv/config.py").read_text(encoding="utf-8"))}
OF_TESTS = {"SENDRECV_DEB"}


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(TOP)) for page in PAGES])
def test_the_commands_of(page: Path) -> None:
    assert not documents.problems(page, read(page))


def test_the_commands_of_the_usage() -> None:
    shown = [words for line in cli.USAGE.splitlines() for words in documents.lines(line)]
    assert len(shown) == 4
    assert not [wrong for words in shown if (wrong := documents.problem(words))]


def test_they_are_found() -> None:
    found = {
        page.name: [
            words for one in documents.shown(page, read(page)) for words in documents.lines(one)
        ]
        for page in PAGES
    }
    assert sum(map(len, found.values())) > 150
    assert ["systemctl", "stop", "sendrecv@X.target"] in found["sender@.service.8"]
    assert ["journalctl", "SENDRECV_APP=main"] in found["sendrecv-history.1"]
    assert ["sendrecv", "move", "main", "b", "--reason", "kernel update"] in found["operating.md"]
    assert ["make", "bench", "PEERS=1"] in found["figures.md"]


# A page, what stands in it, and what is planted in a copy.
PLANTED = [
    ("README.md", "`sendrecv forget main`", "`sendrecv forgot main`"),
    ("README.md", "-xt sendrecv", "-xj sendrecv"),
    ("README.md", "sendrecv@main.target", "sendrecv@main.service"),
    ("README.md", "    systemctl start sender@main", "    systemctl begin sender@main"),
    ("README.md", "make demo", "make dmeo"),
    ("docs/operating.md", "enable --now", "enable --noww"),
    ("docs/operating.md", "main b --reason", "main b --reasn"),
    ("docs/operating.md", "main b --reason", "--reason"),
    ("docs/hosts.md", "--file FILE ...", "--fil FILE ..."),
    ("docs/figures.md", "make bench PEERS=1", "make bench PEER=1"),
    ("docs/proof.md", "[--bundle FILE]", "[--bundel FILE]"),
    ("docs/proof.md", "tests.bench.proof", "tests.bench.prove"),
    ("CONTRIBUTING.md", "tests/unit/core -k", "tests/unit/kernel -k"),
    ("debian/man/sender@.service.8", "systemctl mask", "systemctl veil"),
    ("debian/man/sendrecv-history.1", r"\-\-since yesterday", r"\-\-sicne yesterday"),
    ("systemd/sendrecv.catalog", "sendrecv proof @", "sendrecv prove @"),
    (
        "systemd/sendrecv.catalog",
        "sendrecv@@SENDRECV_INSTANCE@.target",
        "sendrecv@@SENDRECV_INSTANCE@",
    ),
    ("sendrecv/admin/problems.py", '"systemctl unmask', '"systemctl unmaks'),
    ("sendrecv/admin/problems.py", "-u sender-failover@{", "-u sender-fallback@{"),
    ("debian/man/sendrecv-status.1", r"journalctl \-n", r"journalctl \-Q"),
]


@pytest.mark.parametrize(("name", "right", "wrong"), PLANTED)
def test_what_is_planted_is_found(name: str, right: str, wrong: str) -> None:
    text = read(TOP / name)
    assert right in text
    assert documents.problems(TOP / name, text.replace(right, wrong))


# Options and settings in running text


def page_of(command: str) -> Path:
    own = MAN / f"sendrecv-{command}.1"
    if not own.exists():
        return MAN / "sendrecv.1"
    other = re.match(r"\.so man1/(\S+)", read(own))
    return MAN / other[1] if other else own


def named(page: Path) -> set[str]:
    return {*re.findall(r"--[a-z][a-z-]+", documents.plain(read(page)))}


@pytest.mark.parametrize("command", commands.usage())
def test_each_option_is_in_its_manual_page(command: str) -> None:
    options = commands.parser_of(command)._option_string_actions
    missing = {name for name in options if name.startswith("--")} - named(page_of(command))
    assert missing <= {"--help"}, f"{page_of(command).name} lacks {missing}"


@pytest.mark.parametrize("command", commands.usage())
def test_each_command_has_an_example(command: str) -> None:
    page = page_of(command)
    examples = documents.plain(read(page)).partition(".SH EXAMPLES\n")[2].partition("\n.SH")[0]
    assert f"sendrecv {command}" in examples, f"{page.name} has no example of it under EXAMPLES"


@pytest.mark.parametrize("page", sorted(MAN.glob("sendrecv*.1")), ids=lambda page: page.name)
def test_no_manual_page_has_an_option_that_there_is_not(page: Path) -> None:
    known = {
        name for one in commands.usage() for name in commands.parser_of(one)._option_string_actions
    }
    assert not named(page) - known - FOREIGN


def unknown_settings(text: str) -> set[str]:
    return (
        {*re.findall(r"SENDRECV_[A-Z_]+", documents.plain(text))}
        - OF_TESTS
        - {*re.findall(r"SENDRECV_[A-Z_]+", CODE)}
    )


def test_settings_and_fields_are_called_as_in_the_code() -> None:
    assert not {page.name: wrong for page in PAGES if (wrong := unknown_settings(read(page)))}
    assert unknown_settings("SENDRECV_INTERVAL= and SENDRECV_INTERVALL=") == {"SENDRECV_INTERVALL"}
    missing = {name for name in SETTINGS if name not in read(MAN / "sendrecv.env.5")}
    assert SETTINGS and not missing, f"sendrecv.env(5) lacks {missing}"
