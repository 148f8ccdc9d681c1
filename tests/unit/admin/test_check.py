"""`sendrecv check`: its exit status, its table, its JSON, and the manual page of these."""

import re
from collections.abc import Iterator

import pytest

from sendrecv.admin import check
from sendrecv.admin.checks.settings import AppSettings
from sendrecv.admin.checks.unseen import Unseen
from sendrecv.admin.problems import Problem
from sendrecv.admin.schema import checked
from sendrecv.config import SenderConfig
from sendrecv.errors import DONE, ERRORS, EXIT_STATUSES, UNKNOWN, WARNINGS
from tests.lab.paths import TOP
from tests.unit.admin.test_schema import FACTS, keys, section

# pylint: disable=protected-access

PAGE = (TOP / "debian/man/sendrecv-check.1").read_text(encoding="utf-8").replace("\\-", "-")
ERROR = Problem("x", "setting", "it is wrong", ("do this",), True, "it stops")
WARNING = Problem("", "disk", "it is small", ("do that",), False, "it will stop")
CODE = re.compile(r'\b_?[pP]roblem\(\s*[^,()]*,?\s*"([a-z-]+)",')


def codes() -> Iterator[str]:
    """Those that status does not have."""
    for path in (TOP / "sendrecv/admin/checks").glob("*.py"):
        found = CODE.findall(path.read_text(encoding="utf-8"))
        yield from (code for code in found if code != "systemd")


def undocumented(page: str) -> set[str]:
    words = set(re.findall(r"[A-Za-z-]+", section("JSON", page)))
    said = checked(FACTS, FACTS.apps, [ERROR], [Unseen("x")], ["y"], ERRORS)
    return {*codes(), *keys(said)} - words


def test_each_code_and_each_key_is_in_the_manual_page() -> None:
    assert len({*codes()}) > 40
    assert undocumented(PAGE) == set()
    assert undocumented(PAGE.replace("etcd-full", "")) == {"etcd-full"}


def test_no_code_is_in_the_manual_page_that_there_is_not() -> None:
    listed = section("JSON", PAGE).split("there are\n")[1].split("\n.TP")[0]
    assert set(re.findall(r"[a-z][a-z-]+", listed.replace(".BR", "").replace(".B ", " "))) - {
        "and"
    } == {*codes()}


def test_the_exit_statuses_are_those_of_the_table() -> None:
    numbers = [
        int(number) for number in re.findall(r"^\.B (\d+)$", section("EXIT STATUS", PAGE), re.M)
    ]
    assert numbers == [DONE, WARNINGS, ERRORS, UNKNOWN]
    about = {int(status) for status in EXIT_STATUSES if "check" in status.meaning}
    assert about == set(numbers)


@pytest.mark.parametrize(
    ("found", "unknown", "status"),
    [
        ([], [], DONE),
        ([WARNING], [], WARNINGS),
        ([WARNING, ERROR], [], ERRORS),
        ([ERROR], ["y"], UNKNOWN),
    ],
)
def test_the_exit_status(found: list[Problem], unknown: list[str], status: int) -> None:
    assert check._exit_status(found, unknown) == status


def test_errors_come_first_and_each_once() -> None:
    unseen = Unseen("the records")
    wrong, hidden = check._sorted_out([WARNING, unseen, ERROR, WARNING, unseen])
    assert (wrong, hidden) == ([ERROR, WARNING], [unseen])


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    check._show([ERROR, WARNING], [Unseen("the records"), Unseen("a", "others")], ["x"])
    assert capsys.readouterr().out == (
        "! it is wrong\n  So it stops.\n    do this\n\n"
        "- it is small\n  So it will stop.\n    do that\n\n"
        "? Not seen: the records. Who may: root.\n\n"
        "? Not seen: a. Who may: others.\n\n"
        "1 error and 1 warning; 1 App.\n"
    )
    check._show([], [], [])
    assert capsys.readouterr().out.startswith("Nothing is wrong: settings, units, files, disks")


def test_the_rate_of_counts_is_that_of_what_is_meant_to_run() -> None:
    def known(interval: float, meant: bool) -> AppSettings:
        app = FACTS.apps[0].replace(meant=meant)
        return AppSettings(app, SenderConfig("x", "main", interval, "unix:///x"))

    apps = [known(0.5, True), known(2.0, True), known(0.1, False), known(0.0, True)]
    assert check._rate(apps) == 2.5
