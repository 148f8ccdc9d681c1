"""Takeovers are counted once each, whatever the journal forgets and however often it is read."""

import json
import os
from pathlib import Path

import pytest

from sendrecv.admin import takeovers
from sendrecv.admin.metrics import tally
from sendrecv.admin.metrics.table import SILENCES
from sendrecv.admin.metrics.tally import OfApp, Tally
from sendrecv.errors import CredentialError
from tests.unit.admin.journals import ENTRY, EVENT, asked, does

CURSOR = ENTRY["__CURSOR"]


def says(journal: Path, *entries: dict[str, object]) -> None:
    lines = "\n".join(json.dumps(entry) for entry in entries)
    does(journal, f"cat << 'END'\n{lines}\nEND")


def entry(number: int, **changes: object) -> dict[str, object]:
    return {**ENTRY, "__CURSOR": f"s=1;i={number}", **changes}


@pytest.fixture(name="own")
def fixture_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemd gives the services."""
    directory = tmp_path / "state"
    directory.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(directory))
    return directory


def signals(found: Tally, app: str = "one") -> int:
    return found.apps.get(app, OfApp()).takeovers.get("signal", 0)


def test_the_first_reading_takes_all_that_the_journal_has(journal: Path, own: Path) -> None:
    says(journal, entry(1), entry(2), entry(3, _SYSTEMD_UNIT="sender@two.service"))
    found = tally.current()
    assert (signals(found), signals(found, "two"), found.cursor) == (2, 1, "s=1;i=3")
    assert not any(argument.startswith("--cursor") for argument in asked(journal))
    assert tally.kept(own) == found


def test_the_next_one_takes_what_is_new(journal: Path, own: Path) -> None:
    """journalctl --cursor= begins with that entry, if it still is there."""
    says(journal, entry(1), entry(2))
    assert signals(tally.current()) == 2
    says(journal, entry(2))
    assert signals(tally.current()) == 2
    assert "--cursor=s=1;i=2" in asked(journal)
    says(journal, entry(2), entry(5))
    assert signals(tally.current()) == 3
    says(journal, entry(9))  # that of the cursor, and others, have been removed
    assert signals(tally.current()) == 4
    does(journal, "exit 0")
    assert (signals(tally.current()), tally.kept(own).cursor) == (4, "s=1;i=9")


def test_what_no_sender_has_written_is_passed_over_once(journal: Path, own: Path) -> None:
    says(journal, entry(1), entry(2, _SYSTEMD_UNIT="user@1000.service"))
    found = tally.current()
    assert (signals(found), found.cursor) == (1, "s=1;i=2") and tally.kept(own) == found


def test_a_run_by_hand_counts_on_from_what_is_kept_and_keeps_nothing(
    journal: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(journal, entry(1))
    before = tally.current()
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setattr(tally, "STATE", own)
    says(journal, entry(1), entry(2))
    assert signals(tally.current()) == 2
    assert tally.kept(own) == before


def test_it_cannot_be_read(journal: Path, own: Path) -> None:
    says(journal, entry(1))
    before = tally.current()
    does(journal, "echo No journal files were opened due to insufficient permissions. >&2; exit 1")
    with pytest.raises(CredentialError):
        tally.current()
    assert tally.kept(own) == before


def test_a_full_disk_takes_no_number_away(
    journal: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(journal, entry(1))
    before = tally.current()
    says(journal, entry(1), entry(2))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        assert signals(tally.current()) == 2 == signals(tally.current())
    assert tally.kept(own) == before
    assert sorted(file.name for file in own.iterdir()) == ["lock", tally.FILE]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"schema": 2, "cursor": "", "bounds": [], "apps": {}}',
        json.dumps({"schema": 1, "cursor": "", "bounds": [1], "apps": {}}),
        json.dumps({"schema": 1, "cursor": 3, "bounds": SILENCES, "apps": {}}),
        json.dumps({"schema": 1, "cursor": "", "bounds": SILENCES, "apps": []}),
        json.dumps({"schema": 1, "cursor": "", "bounds": SILENCES, "apps": {"x": 1}}),
        json.dumps({"schema": 1, "cursor": "", "bounds": SILENCES, "apps": {"x": {}}}),
    ],
)
def test_a_damaged_file_is_begun_anew(
    journal: Path, own: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (own / tally.FILE).write_text(text, encoding="utf-8")
    says(journal, entry(1))
    assert signals(tally.current()) == 1
    assert "damaged, counting what the journal has" in capsys.readouterr().err
    assert signals(tally.kept(own)) == 1


def test_starts_are_no_takeovers() -> None:
    start = EVENT.__class__(**{**EVENT.__dict__, "from_node": "failover", "code": "again"})
    app = tally.counted(Tally(), [start]).apps["one"]
    assert (app.starts, app.takeovers, sum(app.silences)) == ({"again": 1}, {}, 0)


def test_a_silence_that_is_not_known_is_in_no_bucket() -> None:
    unknown = EVENT.__class__(**{**EVENT.__dict__, "silence": None})
    app = tally.counted(Tally(), [unknown]).apps["one"]
    assert (app.takeovers, sum(app.silences)) == ({"signal": 1}, 0)


def test_a_bound_is_in_its_bucket_and_what_is_longer_in_none() -> None:
    for silence, bucket in ((0.5, 0), (0.6, 1), (1.0, 1), (300, 9), (301, 10)):
        event = EVENT.__class__(**{**EVENT.__dict__, "silence": silence})
        app = tally.counted(Tally(), [event]).apps["one"]
        assert app.silences.index(1) == bucket


def test_names_that_a_sender_makes_up_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tally, "MAX_APPS", 2)
    codes = [EVENT.__class__(**{**EVENT.__dict__, "code": f"x{n}"}) for n in range(9)]
    apps = [EVENT.__class__(**{**EVENT.__dict__, "instance": f"x{n}"}) for n in range(9)]
    found = tally.counted(Tally(), [*codes, *apps])
    assert found.apps["one"].takeovers == {"other": 9} and len(found.apps) == 2


def test_a_reading_is_bounded(journal: Path) -> None:
    takeovers.news("")
    assert f"--lines={takeovers.MOST}" in asked(journal)
