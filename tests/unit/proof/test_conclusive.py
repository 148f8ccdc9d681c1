"""What `sendrecv proof` says to type, once the beginning of an App is gone from the journal."""

import json
import shlex
from pathlib import Path

import pytest

from sendrecv.proof import prove
from tests.unit.proof.journals import IDS, World, export

TYPE = " is proven from then on: sendrecv proof "


def written(tmp_path: Path, world: World, cut: int) -> Path:
    path = tmp_path / "kept.export"
    path.write_bytes(export(world.entries[cut:]))
    return path


def said(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    """The notes of an INCONCLUSIVE verdict."""
    capsys.readouterr()
    assert prove.main(["--file", str(path), "--json", *more]) == 2
    return list(json.loads(capsys.readouterr().out)["notes"])


def typed(note: str) -> list[str]:
    return shlex.split(note.partition(TYPE)[2])


def vacuumed(takeovers: int = 2) -> tuple[World, int]:
    """One whose first starts are gone, and how many entries that are."""
    world = World().up("main")
    world.take_over("main")
    cut = len(world.entries)
    world.count("main", "failover", 3)
    for _ in range(takeovers):
        world.take_over("main")
    return world, cut


def test_it_names_the_first_start_from_which_all_is_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, *vacuumed())
    (note,) = [one for one in said(path, capsys) if TYPE in one]
    words = typed(note)
    assert words[:3] == ["--file", str(path), "--since"] and words[-1] == "main"
    assert prove.main(words) == 0
    out = capsys.readouterr().out
    assert "1 takeover" in out and "5 counts" not in out, "from the first of them on"


def test_each_app_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One may have been started after the other: no time would do for both."""
    world = World().up("a", "b")
    cut = len(world.entries)
    for app in ("a", "b", "a"):
        world.count(app, world.senders[app].role)
        world.take_over(app)
    notes = [one for one in said(written(tmp_path, world, cut), capsys) if TYPE in one]
    assert [note.split()[0] for note in notes] == ["a", "b"]
    assert all(prove.main(typed(note)) == 0 for note in notes)


def test_without_a_later_start_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = said(written(tmp_path, *vacuumed(takeovers=0)), capsys)
    assert "main: from its next takeover or start on, it can be proven with --since" in notes


def test_what_is_not_proven_is_not_promised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A start whose evidence has a hole is left out; the next one is whole."""
    world, cut = vacuumed(takeovers=3)
    exits = [place for place, one in enumerate(world.entries) if IDS["exited"] in one.values()]
    del world.entries[exits[2]]  # of the first run whose start is there
    (note,) = [one for one in said(written(tmp_path, world, cut), capsys) if TYPE in one]
    assert prove.main(typed(note)) == 0


def test_another_doubt_has_no_such_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World().up("main")
    world.take_over("main")
    world.cannot_tell("main", "failover", 5, 6)
    world.counts["main"] += 2
    world.count("main", "failover")
    path = written(tmp_path, world, 0)
    assert not [one for one in said(path, capsys) if "--since" in one]
