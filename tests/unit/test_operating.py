"""docs/operating.md quotes words that the programs say. test_documents.py has its commands."""

import re

import pytest

from tests.lab.paths import TOP

PAGE = (TOP / "docs/operating.md").read_text(encoding="utf-8")
WORDS = PAGE.split("## What goes wrong")[1].split("## Exit")[0]
ROWS = re.findall(r"^\| `([^`]+)` \|", WORDS, re.M)
SYSTEM = ("No space left on device",)
"""The words of errno, in a message of ours."""


def said() -> str:
    """All text of the programs, with what strings have in them where they are put together."""
    files = [*(TOP / "sendrecv").rglob("*.py"), *(TOP / "systemd").iterdir()]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    joined = re.sub(r'"\s*\n?\s*f?"', "", text)  # strings that follow one another
    return re.sub(r"\{[^{}\n]*\}", "...", joined)


def missing(row: str, text: str) -> list[str]:
    """The parts of a quoted message that no program says."""
    for words in SYSTEM:
        row = row.replace(words, "...")
    parts = (part.strip(" ,:(){}") for part in re.split(r"\.\.\.|\{|\}", row))
    return [part for part in parts if part and part not in text]


@pytest.mark.parametrize("row", ROWS)
def test_a_program_says_that(row: str) -> None:
    assert not missing(row, said())


def test_a_message_that_no_program_says_is_found() -> None:
    assert len(ROWS) > 20
    assert missing("the lease has gone ...", said()) == ["the lease has gone"]
