"""`sendrecv move` on one machine, without systemd. On it: system/test_pause.py."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sendrecv.admin import acts, ask, files, halves, move_half, units
from sendrecv.admin.units import Half, Units, half_of
from sendrecv.core.record import Record
from sendrecv.errors import ConfigError, ReceiverUnavailable, UsageError
from tests.lab.waiting import HANG

RUN, NEW = "a" * 32, "b" * 32
MAIN = half_of("x", "main").replace(state="active", run=RUN, text="connected, epoch 7")
FAILOVER = half_of("x", "failover")
COUNTS = FAILOVER.replace(state="active", run=NEW, text="connected, epoch 8")
RECORD = Record("appX", 7, 41, 41, 0, "c" * 32, "main", RUN)


class Machine:
    """Its systemd, records and receiver: what they are, and what a start makes of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.now: dict[str, Half] = {"main": MAIN, "failover": FAILOVER}
        self.record = RECORD
        self.rows: Mapping[str, Mapping[str, object]] = {}
        self.typed: list[tuple[str, ...]] = []
        self.starts = [{"main": MAIN.replace(state="inactive"), "failover": COUNTS}]
        self.directory = directory
        monkeypatch.setattr(move_half, "NOTES", directory)
        monkeypatch.setattr(acts, "person", lambda: "joe")
        monkeypatch.setattr(halves, "PATIENCE", HANG)
        monkeypatch.setattr(halves, "assert_can_start", self.check)
        monkeypatch.setattr(halves, "systemctl", self._systemctl)
        monkeypatch.setattr(units, "read", self._units)
        monkeypatch.setattr(files, "records", lambda: {"appX": self.record})
        monkeypatch.setattr(ask, "apps", lambda: self.rows)

    def check(self, half: Half) -> None:
        """Replaced where a half cannot start."""
        assert half.role == "failover"

    def _units(self, _masked: object) -> Units:
        return Units({("x", role): half for role, half in self.now.items()})

    def _systemctl(self, *words: str) -> bool:
        self.typed.append(words)
        if words[0] == "start":
            self.now = self.starts.pop(0)
        return words[0] != "start" or any(half.state == "active" for half in self.now.values())


@pytest.fixture(name="machine")
def fixture_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    machine = Machine(monkeypatch, tmp_path)
    machine.rows = {"appX": {"run": NEW, "connectedSince": 1.0}}
    return machine


def test_the_other_half_is_started_and_waited_for(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert move_half.move("x", "", "kernel update") == 0
    assert machine.typed == [("start", FAILOVER.unit)]
    assert capsys.readouterr().out == "App x: failover counts now\n"
    note = machine.directory / f"{FAILOVER.unit}.moved"
    assert note.read_text(encoding="utf-8") == f"{RUN}\njoe\nkernel update\n"


def test_the_half_that_counts_already(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert move_half.move("x", "main", "") == 0 and not machine.typed
    assert capsys.readouterr().out == "App x: main counts already\n"


def test_without_a_receiver_a_count_in_the_record_is_enough(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.rows = {}
    monkeypatch.setattr(halves, "PATIENCE", 0.2)
    machine.starts[0]["failover"] = COUNTS.replace(text="not connected, epoch 8")
    with pytest.raises(ReceiverUnavailable, match="has taken no count within .* says: not conn"):
        move_half.move("x", "failover", "")
    monkeypatch.setattr(halves, "PATIENCE", HANG)
    machine.now = {"main": MAIN, "failover": FAILOVER}
    machine.starts = [{"main": MAIN.replace(state="inactive"), "failover": COUNTS}]
    counts = iter([RECORD, *[RECORD.replace(run=NEW, count=count) for count in (41, 42)]])
    files.records = lambda: {"appX": next(counts)}
    assert move_half.move("x", "failover", "") == 0


def test_a_half_that_cannot_start_stops_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(_half: Half) -> None:
        raise UsageError("it is masked")

    monkeypatch.setattr(halves, "assert_can_start", check)
    with pytest.raises(UsageError, match="it is masked"):
        move_half.move("x", "", "")
    assert not machine.typed and not [*machine.directory.iterdir()]


def test_a_half_that_does_not_start_gives_the_app_back(machine: Machine) -> None:
    """As OnFailure= does; but not while the App is paused."""
    nothing = {"main": MAIN.replace(state="inactive"), "failover": FAILOVER}
    machine.starts = [nothing, {"main": MAIN.replace(run=NEW), "failover": FAILOVER}]
    with pytest.raises(ReceiverUnavailable, match="has not started; App x: main runs: journalctl"):
        move_half.move("x", "", "")
    assert machine.typed == [("start", FAILOVER.unit), ("start", MAIN.unit)]
    assert not [*machine.directory.iterdir()]
    machine.now, machine.typed = {"main": MAIN, "failover": FAILOVER}, []
    machine.starts = [nothing, nothing]
    with pytest.raises(ReceiverUnavailable, match="App x: nothing counts"):
        move_half.move("x", "", "")


def test_an_app_that_does_not_run(machine: Machine) -> None:
    machine.now["main"] = MAIN.replace(state="failed")
    with pytest.raises(UsageError, match="no half of App x runs: systemctl start sender@x"):
        move_half.move("x", "", "")


def test_a_start_limit_is_no_obstacle(machine: Machine) -> None:
    machine.now["failover"] = FAILOVER.replace(state="failed", result="start-limit-hit")
    assert move_half.move("x", "", "") == 0
    assert machine.typed[0] == ("--quiet", "reset-failed", FAILOVER.unit)


class Loaded:
    """A bus on which each unit has those properties."""

    def __init__(self, load: str, standard_input: str) -> None:
        self.values = {"LoadState": load, "StandardInput": standard_input}

    def __call__(self) -> "Loaded":
        return self

    def __enter__(self) -> "Loaded":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def text(self, _unit: str, key: str, _kind: str = "") -> str:
        return self.values[key]


@pytest.mark.parametrize(
    ("half", "load", "settings", "error"),
    [
        (FAILOVER.replace(masked=True), "loaded", "", "is masked: systemctl unmask"),
        (FAILOVER, "bad-setting", "", "cannot be loaded"),
        (FAILOVER, "loaded", "SENDRECV_INTERVAL=x", "failover cannot start: .*INTERVAL"),
        (FAILOVER, "loaded", "SENDRECV_NOSUCH='1'", "failover cannot start: .*NOSUCH"),
        (FAILOVER, "loaded", '# it is right\nSENDRECV_INTERVAL="2"', ""),
        (FAILOVER, "loaded", "SENDRECV_INTERVAL=\\\n2", ""),
    ],
)
def test_what_would_keep_a_half_from_starting(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    half: Half,
    load: str,
    settings: str,
    error: str,
) -> None:
    monkeypatch.setattr(halves, "Bus", Loaded(load, "null"))
    monkeypatch.setattr(files, "SETTINGS", tmp_path)
    (tmp_path / "x.env").write_text(settings + "\n", encoding="utf-8")
    if not error:
        halves.assert_can_start(half)
        return
    with pytest.raises((UsageError, ConfigError), match=error):
        halves.assert_can_start(half)


def test_a_missing_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "Bus", Loaded("loaded", "file:/etc/sendrecv/token"))
    monkeypatch.setattr(halves.os.path, "exists", lambda _: False)
    with pytest.raises(UsageError, match="token is missing"):
        halves.assert_can_start(FAILOVER)
