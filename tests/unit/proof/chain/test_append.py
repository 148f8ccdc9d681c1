"""The chain of audits: what is on the disk after each audit, and what of it is merged."""

import json
import os
from pathlib import Path

from sendrecv.proof.chain.append import AUDITS, DETAILED, Addition, append
from sendrecv.proof.chain.lines import digest
from sendrecv.proof.chain.store import Chain
from tests.unit.proof.chain.chains import (
    BEGIN,
    DAY,
    HOUR,
    MACHINE,
    chain_of,
    line,
    news,
    quickly,
    read,
)


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
