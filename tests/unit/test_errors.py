"""The exit statuses: one table, to which commands, classes of errors and sendrecv(1) keep."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sendrecv import errors
from sendrecv.admin import check, status
from sendrecv.errors import EXIT_STATUSES, ExitStatus, SendrecvError
from sendrecv.proof import prove
from sendrecv.proof.judge import verdict

TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "debian/man/sendrecv.1"
CLASSES: list[type[SendrecvError]] = [SendrecvError, *SendrecvError.__subclasses__()]


def listed(page: str) -> dict[int, str]:
    """What a manual page has below EXIT STATUS: each number, and its text without the roff."""
    section = page.split(".SH EXIT STATUS\n")[1].split("\n.SH ")[0]
    items = [item.strip().splitlines() for item in section.split(".TP\n")[1:]]
    return {int(head.removeprefix(".B ")): " ".join(map(plain, text)) for head, *text in items}


def plain(line: str) -> str:
    """A line of roff as it is read: a macro of two fonts writes its words together."""
    macro, _, words = line.partition(" ")
    if macro in {".BR", ".IR"}:
        return "".join(words.split())
    assert not line.startswith("."), line
    return line.replace("\\-", "-")


def disagreements(page: str) -> set[tuple[int, str]]:
    """What only one of the two says: the page and the table."""
    table = {(int(status), status.meaning) for status in EXIT_STATUSES}
    return table ^ set(listed(page).items())


def test_the_manual_page_has_the_table() -> None:
    assert disagreements(PAGE.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (".TP\n.B 65\n", ".TP\n.B 66\n"),
        (".TP\n.B 130\nInterrupted by Ctrl\\-C (SIGINT).\n", ""),
        (".TP\n.B 70\n", ".TP\n.B 5\nSomething else.\n.TP\n.B 70\n"),
        ("A setting is wrong.", "A setting is missing."),
    ],
)
def test_a_planted_difference_is_seen(before: str, after: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert before in page and disagreements(page.replace(before, after))


# Whatever else lists exit statuses has none that the table does not have.

PAGES = sorted(
    page
    for page in PAGE.parent.glob("*.[158]")
    if page != PAGE and ".SH EXIT STATUS" in page.read_text(encoding="utf-8")
)
COMMANDS = {
    "status": status.main,
    "check": check.main,
    "proof": prove.main,
}


def not_in_table(text: str) -> set[int]:
    """Numbers that a text calls exit statuses, and that are none."""
    numbers = {int(number) for number in re.findall(r"\b(?<![-.])(\d+)\b(?!\))", text)}
    return numbers - {int(status) for status in EXIT_STATUSES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_page_has_statuses_of_the_table(page: Path) -> None:
    assert len(PAGES) >= 3
    section = page.read_text(encoding="utf-8").split(".SH EXIT STATUS\n")[1].split("\n.SH ")[0]
    assert re.search(r"\d", section) and not_in_table(re.sub(r"\(\d\)", "", section)) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_statuses_of_the_table(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        COMMANDS[command](["--help"])
    _, _, said = capsys.readouterr().out.lower().partition("exit status:")
    assert said and not_in_table(said) == set()
    assert re.findall(r"\d+", said)


def test_the_operators_page_has_statuses_of_the_table() -> None:
    page = (TOP / "docs/operating.md").read_text(encoding="utf-8").split("## Exit statuses\n")[1]
    assert not_in_table(page.replace("sendrecv(1)", "")) == set() and "150" in page


def test_a_planted_status_is_seen() -> None:
    assert not_in_table("0 all well, 5 something else, 150 more") == {5}


def test_each_number_stands_once_in_order() -> None:
    assert list(EXIT_STATUSES) == sorted(set(EXIT_STATUSES))
    assert len(EXIT_STATUSES) >= 15 and all(status.meaning for status in EXIT_STATUSES)


def test_each_class_of_failure_has_an_exit_status_of_its_own() -> None:
    assert len(CLASSES) >= 9 and all(kind.__module__ == errors.__name__ for kind in CLASSES)
    statuses = [kind.exit_status for kind in CLASSES]
    assert len(set(statuses)) == len(statuses)
    assert all(status in EXIT_STATUSES and 64 <= status <= 78 for status in statuses)


def test_the_proof_has_the_tables_numbers() -> None:
    """The judge imports nothing of the package's, so it says them itself."""
    assert verdict.EXIT_STATUS == {
        verdict.PROVEN: errors.DONE,
        verdict.VIOLATED: errors.VIOLATED,
        verdict.INCONCLUSIVE: errors.INCONCLUSIVE,
    }
    for name, number in verdict.EXIT_STATUS.items():
        assert f"{number} {name}" in prove.EPILOG


# Nobody ends with a number that is not in the table; nothing is in the table for nobody.


def package() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((TOP / "sendrecv").rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def bare_numbers(tree: ast.AST) -> list[str]:
    """What ends a process, or says how an error will, with a number as such."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    ends = [call for call in calls if ast.unparse(call.func) in {"sys.exit", "os._exit", "exit"}]
    values = [argument for call in ends for argument in call.args]
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("exit_status"):
            values.append(node.value)
    return [ast.unparse(value) for value in values if isinstance(value, ast.Constant)]


def test_nobody_ends_with_a_bare_number() -> None:
    found = {str(path): numbers for path, tree in package() if (numbers := bare_numbers(tree))}
    assert not found


@pytest.mark.parametrize(
    "source", ["sys.exit(130)", "import os\nos._exit(0)", "class A:\n    exit_status = 70"]
)
def test_a_planted_bare_number_is_seen(source: str) -> None:
    assert bare_numbers(ast.parse(source))


SCRIPTS = ("tls-files", "token-file", "reload", "takeover")


def ends_of(script: str) -> set[int]:
    """The numbers with which a script, of the shell or of Python, says that it ends."""
    found = re.findall(r"\bexit[ (](\d+)", script)
    return set(map(int, found))


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_units_scripts_have_statuses_of_the_table(script: str) -> None:
    ends = ends_of((TOP / "systemd" / script).read_text(encoding="utf-8"))
    assert ends and ends <= {int(status) for status in EXIT_STATUSES}


def test_a_planted_end_is_seen() -> None:
    assert ends_of("*) exit 5 ;;\nsys.exit(6)") == {5, 6}


def test_each_row_is_somebodys() -> None:
    names = {name: it for name, it in vars(errors).items() if isinstance(it, ExitStatus)}
    assert sorted(set(names.values())) == list(EXIT_STATUSES)
    used = {
        alias.name
        for _, tree in package()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "sendrecv.errors"
        for alias in node.names
    }
    ends = {kind.exit_status for kind in CLASSES} | set(verdict.EXIT_STATUS.values())
    assert [name for name, it in names.items() if name not in used and it not in ends] == []


def test_the_hint_follows_the_message() -> None:
    assert str(SendrecvError("what", "do this")) == "what: do this"
    assert str(SendrecvError("what")) == "what"


def test_the_text_of_a_macro() -> None:
    assert plain(".BR proof :") == "proof:"
    assert plain("Ctrl\\-C") == "Ctrl-C"
