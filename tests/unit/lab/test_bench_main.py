"""What `make bench` is asked for: sections by name, and what it does when one of them fails."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.bench.__main__ import HOSTS, SECTIONS, main
from tests.bench.figures import Figure
from tests.bench.hosts.scene import MIXED
from tests.lab import nspawn
from tests.lab.machine import MachineError


def asked_for(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    return main()


@pytest.fixture(name="planted", autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Mapping[str, str], int]]:
    """In place of the sections of hosts: one that fails, and one that says how it was called."""
    called: list[tuple[str, Mapping[str, str], int]] = []

    def works(releases: Mapping[str, str], kills: int) -> list[Figure]:
        assert nspawn.SYNCS, "a sync is part of what is measured"
        called.append(("hosts.works", releases, kills))
        return [Figure("hosts.works", "a thing", "s", (1.0,), 2.0)]

    def fails(releases: Mapping[str, str], kills: int) -> list[Figure]:
        called.append(("hosts.fails", releases, kills))
        raise MachineError("planted")

    for name in list(HOSTS):
        monkeypatch.delitem(HOSTS, name)
    monkeypatch.setitem(HOSTS, "hosts.fails", fails)
    monkeypatch.setitem(HOSTS, "hosts.works", works)
    return called


def test_hosts_stands_for_all_of_its_sections_and_one_that_fails_loses_no_other(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    planted: list[tuple[str, Mapping[str, str], int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["mixed", "--only", "hosts", "--output", str(tmp_path)]
    assert asked_for(monkeypatch, *arguments) == 1
    assert planted == [("hosts.fails", MIXED, 20), ("hosts.works", MIXED, 20)]
    said = capsys.readouterr()
    assert "MachineError: planted" in said.err and "a thing" in said.out
    written = json.loads((tmp_path / "bench-mixed.json").read_text())
    assert [figure["name"] for figure in written["figures"]] == ["a thing"]


def test_a_section_alone_on_one_release(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    planted: list[tuple[str, Mapping[str, str], int]],
) -> None:
    arguments = ["bookworm", "--only", "hosts.works", "--kills", "3", "--output", str(tmp_path)]
    assert asked_for(monkeypatch, *arguments) == 0
    assert planted == [("hosts.works", dict.fromkeys(MIXED, "bookworm"), 3)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mixed"], "only several hosts can be mixed"),
        (["mixed", "--only", "hosts,takeover"], "only several hosts can be mixed"),
        (["--only", "host"], "no section host, there are takeover, "),
    ],
)
def test_what_cannot_be_measured_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    with pytest.raises(SystemExit):
        asked_for(monkeypatch, *arguments)
    assert said in capsys.readouterr().err
    assert "takeover" in SECTIONS
