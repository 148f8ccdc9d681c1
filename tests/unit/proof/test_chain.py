"""The chain of audits: what is on the disk, and what is noticed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sendrecv.proof.chain.append import AUDITS, DETAILED, Addition, append
from sendrecv.proof.chain.lines import digest
from sendrecv.proof.chain.store import Chain, ChainError
from sendrecv.proof.chain.witness import LAST, NUMBER, Witness, fault, witness_of
from tests.unit.proof.chains import BEGIN, DAY, HOUR, MACHINE, chain_of, line, news, quickly, read


def fault_of(directory: Path) -> str:
    with pytest.raises(ChainError) as error:
        Chain.read(directory, MACHINE)
    return str(error.value)


# What is written is read.


def test_there_is_none(tmp_path: Path) -> None:
    assert Chain.read(tmp_path, MACHINE) is None


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    chain_of(tmp_path, 3, ("x", "y"))
    chain = read(tmp_path)
    assert [(one.get("app"), one["n"]) for one in chain.lines()] == [
        *(("x", 0), ("y", 0), (None, 0), ("x", 1), ("y", 1), (None, 1)),
        *(("x", 2), ("y", 2), (None, 2)),
    ]
    assert [one["n"] for one in chain.lines("y")] == [0, 1, 2]
    assert (chain.state(), chain.memory(), chain.cursor()) == (
        {"number": 2},
        {"n": 2},
        news(2).cursor,
    )
    assert (chain.head.number, chain.head.machine) == (3, MACHINE)


def test_the_state_is_there_once(tmp_path: Path) -> None:
    """So the chain does not grow with it."""
    chain_of(tmp_path, 5)
    assert sorted(os.listdir(tmp_path)) == ["audits-2024-10-04", "head", "state-5"]


def test_everybody_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        chain_of(tmp_path, 1)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_a_person_can_check_it(tmp_path: Path) -> None:
    """With less and sha256sum: each line has the hash of the one before."""
    chain_of(tmp_path, 2)
    lines = (tmp_path / "audits-2024-10-04").read_bytes().splitlines(keepends=True)
    assert [json.loads(one)["before"] for one in lines[1:]] == [digest(one) for one in lines[:-1]]


# Lines of days older than a month are merged.


def test_old_days_are_merged(tmp_path: Path) -> None:
    chain_of(tmp_path, (DETAILED + 3) * 24)
    chain = read(tmp_path)
    days = [one for one in chain.lines("x") if "audits" in one]
    assert len(days) == 2 and len(chain.head.sizes) == DETAILED + 1
    first = days[0]
    assert (first["counts"], first["first"], first["last"]) == (24 * 3600, 0, 24 * 3600 - 1)
    assert (first["from"], first["at"], first["audits"]) == (BEGIN - HOUR, BEGIN + 23 * HOUR, 24)
    assert (first["takeovers"], first["epochs"], first["runs"]) == ({"takeover": 24}, [0, 24], 24)
    assert first["evidence"] == line("x", 23)["evidence"]  # a running hash: it is that of the day
    numbers = [one["n"] for one in chain.lines("x")]
    assert numbers == [23, 47, *range(48, (DETAILED + 3) * 24)]


def test_more_frequent_audits_are_merged_sooner(tmp_path: Path) -> None:
    chain = Chain.begun(tmp_path, MACHINE)
    with quickly():
        for number in range(AUDITS * 3):
            chain = append(chain, news(number, at=BEGIN + number * HOUR // 12))
    chain = read(tmp_path)
    assert sum(chain.head.counts.values()) <= AUDITS + 2 * 12 * 24


def test_what_was_violated_in_doubt_and_acknowledged_stays(tmp_path: Path) -> None:
    chain = Chain.begun(tmp_path, MACHINE)
    doubt = {"text": "a power cut", "from": BEGIN, "to": BEGIN + 5}
    witness = {"check": "each count once", "text": "twice", "cursors": ["s=a;i=7"]}
    chain = append(chain, news(0, verdict="INCONCLUSIVE", doubts=[doubt]))
    chain = append(chain, news(1, verdict="VIOLATED", violations=1, witnesses=[witness]))
    said = {"at": BEGIN + HOUR, "n": 2, "acknowledged": "by hand", "apps": ["x"]}
    chain = append(chain, Addition([said], BEGIN + HOUR, "s=a;i=2", {}, {}))
    with quickly():
        for number in range(3, (DETAILED + 2) * 24):
            chain = append(chain, news(number))
    day = next(read(tmp_path).lines("x"))
    assert day["audits"] == 23  # one of them was an acknowledgement
    assert (day["verdict"], day["doubts"], day["witnesses"]) == ("VIOLATED", [doubt], [witness])
    (kept,) = (one for one in read(tmp_path).lines() if "acknowledged" in one)
    assert kept["acknowledged"] == "by hand"


def test_a_year_of_an_app_is_less_than_a_megabyte(tmp_path: Path) -> None:
    """With hourly audits: what there is after a year, and what each further year adds."""
    chain_of(tmp_path, (DETAILED + 30) * 24)
    days = (tmp_path / "days").stat().st_size
    detailed = sum(path.stat().st_size for path in tmp_path.glob("audits-*"))
    assert detailed + 335 * days / 29 < 1_000_000
    assert 365 * days / 29 < 500_000


def test_a_clock_that_goes_back(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, 30)
    chain = append(chain, news(30, at=BEGIN - 5 * DAY))
    assert [one["n"] for one in read(tmp_path).lines("x")] == [*range(31)]
    assert len(chain.head.sizes) == 2


# What is noticed.


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


# A chain that was put back from a backup is whole. The journal has a witness.


def test_put_back_from_a_backup(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    chain = chain_of(old, 3)
    shutil.copytree(old, new)
    newer = append(chain, news(3))
    witness = Witness(newer.head.number, newer.head.last, BEGIN)
    assert fault(newer, witness) == ""
    copy = read(new)
    assert "the chain is an old copy" in fault(copy, witness)
    forked = append(append(copy, news(3, verdict="INCONCLUSIVE")), news(4))
    assert "is not the one" in fault(forked, witness)
    assert fault(forked, Witness(5, forked.head.last, BEGIN)) == ""
    assert "was removed" in fault(None, witness)
    assert fault(None, None) == ""


def test_a_witness_that_a_power_cut_took(tmp_path: Path) -> None:
    """The journal is older than the chain, and that is no fault of it."""
    chain = chain_of(tmp_path, 2)
    older = Witness(chain.head.number, chain.head.last, BEGIN)
    assert fault(append(chain, news(2)), older) == ""


def test_a_witness_is_an_entry_with_its_fields() -> None:
    entry = f"\n__REALTIME_TIMESTAMP=5\n{NUMBER}=12\n{LAST}={'f' * 64}\n".encode()
    assert witness_of(entry) == (12, "f" * 64, 5)
    assert witness_of(entry.replace(b"=12", b"=-12")) is None
    assert witness_of(None) is None
