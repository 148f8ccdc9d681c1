"""The chain of audits as it is read: whatever is edited, taken away or put in is noticed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sendrecv.proof.chain.append import DETAILED
from sendrecv.proof.chain.store import Chain, ChainError
from tests.unit.proof.chain.chains import MACHINE, chain_of, read


def fault_of(directory: Path) -> str:
    with pytest.raises(ChainError) as error:
        Chain.read(directory, MACHINE)
    return str(error.value)


@pytest.fixture(name="long_chain", scope="module")
def fixture_long_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain with merged days, and files of some more."""
    directory = tmp_path_factory.mktemp("chain")
    chain_of(directory, (DETAILED + 3) * 24, ("x", "y"))
    return directory


@pytest.fixture(name="directory")
def fixture_directory(tmp_path: Path, long_chain: Path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(long_chain, tmp_path / "chain"))


def _edit(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def _with_verdict(lines: list[bytes]) -> list[bytes]:
    assert b'"verdict":"PROVEN"' in lines[1]
    return [lines[0], lines[1].replace(b"PROVEN", b"proven"), *lines[2:]]


def _without_one(lines: list[bytes]) -> list[bytes]:
    return [*lines[:1], *lines[2:]]


def _without_last(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def _in_other_order(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def _repeated(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], *lines[1:]]


@pytest.mark.parametrize(
    "change", [_with_verdict, _without_one, _without_last, _in_other_order, _repeated]
)
@pytest.mark.parametrize("which", ["days", "oldest", "newest"])
def test_edited_lines(directory: Path, which: str, change: Any) -> None:
    names = sorted(path.name for path in directory.glob("audits-*"))
    name = {"days": "days", "oldest": names[0], "newest": names[-1]}[which]
    _edit(directory / name, change)
    assert name in fault_of(directory) or "the last lines" in fault_of(directory)


@pytest.mark.parametrize("name", ["days", "audits-2024-10-20", "state-816"])
def test_a_file_is_missing(directory: Path, name: str) -> None:
    (directory / name).unlink()
    assert fault_of(directory) == f"{directory / name} is missing: it was removed"


def test_the_state_was_edited(directory: Path) -> None:
    path = directory / "state-816"
    path.write_bytes(path.read_bytes().replace(b"815", b"816"))
    assert "state-816 does not go with the last line" in fault_of(directory)


@pytest.mark.parametrize(
    "change",
    [
        {"last": "0" * 64},
        {"begin": "0" * 64},
        {"last_day": "0" * 64},
        {"state_hash": "0" * 64},
        {"machine": "b" * 32},
        {"days": 0},
        {"sizes": {}},
        {"sizes": {"audits-2024-10-04": "5"}},
        {"sizes": ["audits-2024-10-04"]},
        {"number": 1},
        {"number": -1},
        {"cursor": "--output=json"},
        {"alarm": [5]},
        {"more": 1},
        {"format": 2},
    ],
)
def test_the_head_was_edited(directory: Path, change: dict[str, Any]) -> None:
    path = directory / "head"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert fault_of(directory)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 100_000, "\xff"])
def test_the_head_is_none(directory: Path, text: str) -> None:
    (directory / "head").write_text(text, encoding="latin-1")
    assert "head was altered" in fault_of(directory)


def test_a_chain_of_another_machine(directory: Path) -> None:
    with pytest.raises(ChainError, match="another machine"):
        Chain.read(directory, "b" * 32)
    assert Chain.read(directory)


def test_one_day_of_another_chain(directory: Path, tmp_path: Path) -> None:
    """Each file is whole in itself."""
    (tmp_path / "other").mkdir()
    chain_of(tmp_path / "other", (DETAILED + 3) * 24, ("x", "z"))
    for path in directory.iterdir():
        kept = path.read_bytes()
        shutil.copyfile(tmp_path / "other" / path.name, path)
        assert path.name.startswith("state") or fault_of(directory)
        path.write_bytes(kept)
    read(directory)
