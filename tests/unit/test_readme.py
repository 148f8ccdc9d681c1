"""The map of the code in README.md: what it names is there; and it has all of the core."""

import re

import pytest

from tests.lab.paths import TOP

PACKAGE = TOP / "sendrecv"
PAGE = (TOP / "README.md").read_text(encoding="utf-8")
FOLDERS = ("core/", "sender/", "receiver/", "proof/", "admin/", "tests/")
WHOLE = ("", "core/")
"""Of these folders of the package, each module is in the map."""
NAMES_OTHERS = "proof/"
"""What it says of this folder names modules outside, too."""


def rows(page: str) -> dict[str, str]:
    """Of the map: what each row is about, a folder or a module, and what the row says of it."""
    code = page.partition("\n## The code\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (`.+?`) \| (.+) \|$", code, re.MULTILINE)
    return {name: text for names, text in found for name in quoted(names)}


def quoted(text: str) -> list[str]:
    """Words in the way of code that may be names of modules or folders."""
    return re.findall(r"`([\w-]+/?)`", text)


def exists(name: str, folder: str) -> bool:
    """Whether there is a module, or with a slash a folder, in that one of the package or here."""
    ways = (PACKAGE / folder, TOP / folder)
    if name.endswith("/"):
        return any((way / name).is_dir() for way in ways)
    return any(
        (way / f"{name}.py").is_file() or (way / name / "__init__.py").is_file() for way in ways
    )


def problems(page: str) -> list[str]:
    """What the map names and is not there, and what it leaves out."""
    table = rows(page)
    about = {"": [*table], **{name: quoted(table[name]) for name in FOLDERS}}
    found = [
        f"{folder}{name} is not there"
        for folder, names in about.items()
        for name in names
        if not exists(name, folder) and not (folder == NAMES_OTHERS and exists(name, ""))
    ]
    for folder in WHOLE:
        modules = {file.stem for file in (PACKAGE / folder).glob("*.py")} - {"__init__"}
        found += [f"{folder}{name} is left out" for name in sorted(modules - {*about[folder]})]
    return found


def test_what_the_map_names_is_there() -> None:
    assert {*FOLDERS, "cockpit/", "systemd", "systemd/", "cli"} <= rows(PAGE).keys()
    assert {"facts", "checks/", "takeovers"} <= {*quoted(rows(PAGE)["admin/"])}
    assert problems(PAGE) == []


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("`follow` reads", "`live` reads", "admin/live is not there"),
        ("`judge/` judges", "`judges/` judges", "proof/judges/ is not there"),
        ("| `backoff` |", "| `back_off` |", "back_off is not there"),
        ("`lease` (", "lease (", "core/lease is left out"),
        ("| `descriptors` |", "| descriptors |", "descriptors is left out"),
        ("`frames`", "`backoff`", "core/backoff is not there"),
        ("`peers/` the", "`peer/` the", "tests/peer/ is not there"),
    ],
)
def test_what_is_planted_is_found(right: str, wrong: str, problem: str) -> None:
    assert right in PAGE
    assert problem in problems(PAGE.replace(right, wrong))
