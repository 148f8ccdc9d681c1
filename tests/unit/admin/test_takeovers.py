"""The reader of takeovers: entries of journalctl go in, values come out, and no forgery."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from sendrecv.admin import takeovers
from sendrecv.admin.takeovers import Takeover, events_of
from sendrecv.core.takeover import BEGUN, TAKEOVER
from sendrecv.errors import CredentialError, StoreUnusable, UsageError
from tests.unit.admin.journals import ENTRY, EVENT, asked, does


def read(**changes: object) -> list[Takeover]:
    entry = {name: value for name, value in (ENTRY | changes).items() if value is not None}
    return list(events_of([json.dumps(entry)]))


def test_an_entry() -> None:
    assert read() == [EVENT] and not EVENT.is_start


def test_what_is_not_known() -> None:
    (event,) = read(SENDRECV_SILENCE_USEC=None, SENDRECV_COUNT=None, SENDRECV_FROM=None)
    assert (event.silence, event.count, event.from_node, event.is_start) == (None, None, "", True)


@pytest.mark.parametrize(
    ("before", "from_host", "to_host", "is_start"),
    [
        ("failover", "", "", True),
        ("a-failover", "", "a", False),
        ("failover", "b", "a", False),
        ("failover", "a", "a", True),
        ("failover", "", "a", True),
    ],
)
def test_what_is_a_start(before: str, from_host: str, to_host: str, is_start: bool) -> None:
    hosts = {"SENDRECV_FROM_HOST": from_host, "SENDRECV_TO_HOST": to_host}
    (event,) = read(SENDRECV_FROM=before, **hosts)
    assert event.is_start is is_start


@pytest.mark.parametrize(
    "unit",
    [None, "", "user@1000.service", "receiver.service", "sender@one.service.evil", "x-sender@a.b"],
)
def test_what_no_sender_has_written_is_not_believed(unit: str | None) -> None:
    """Anybody can write the other fields; SENDRECV_INSTANCE= is not even read."""
    assert not read(_SYSTEMD_UNIT=unit, SENDRECV_INSTANCE="one")


@pytest.mark.parametrize("value", [["2", "3"], "", "two", "-1", "9" * 20, None, "2\n"])
def test_what_is_no_epoch_is_no_takeover(value: object) -> None:
    assert not read(SENDRECV_EPOCH=value)


def test_text_that_is_not_one_line_is_escaped_or_left_out() -> None:
    (event,) = read(
        SENDRECV_WHY_TEXT="\x1b[2Jgone", SENDRECV_REASON=[27, 91], SENDRECV_TO="x" * 999
    )
    assert event.why == r"'\x1b[2Jgone'" and event.reason == "" and len(event.to_node) <= 60


def test_what_is_no_entry_is_passed_over() -> None:
    assert list(events_of(["-- No entries --", "", json.dumps(ENTRY)])) == [EVENT]


# journalctl, in the place of which a script stands.


def test_all_are_asked_for(journal: Path) -> None:
    assert takeovers.takeovers() == [EVENT]
    assert {f"MESSAGE_ID={TAKEOVER}", f"MESSAGE_ID={BEGUN}", "--output=json"} <= asked(journal)
    assert not [word for word in asked(journal) if word.startswith(("_SYSTEMD", "--since"))]


def test_some_are_asked_for(journal: Path) -> None:
    takeovers.events(["one", "two"], "-1h", newest=7)
    units = {f"_SYSTEMD_UNIT=sender{half}@{name}.service" for half in ("", "-failover")
             for name in ("one", "two")}  # fmt: skip
    assert units | {"--since=-1h", "--lines=7"} <= asked(journal)


def test_a_start_is_no_takeover(journal: Path) -> None:
    does(journal, f"cat << 'END'\n{json.dumps(ENTRY | {'SENDRECV_FROM': 'failover'})}\nEND")
    assert not takeovers.takeovers() and len(takeovers.events()) == 1


@pytest.mark.parametrize(
    ("said", "status", "error", "words"),
    [
        (
            "No journal files were opened due to insufficient permissions.",
            1,
            CredentialError,
            "adm",
        ),
        ("Failed to parse timestamp: soon", 1, UsageError, "--since: not a time"),
        ("Failed to open files: Bad message", 1, StoreUnusable, "journalctl: Failed to open files"),
        ("", 1, StoreUnusable, "journalctl: failed"),
    ],
)
def test_why_there_is_no_answer(
    journal: Path, said: str, status: int, error: type[Exception], words: str
) -> None:
    does(journal, f"echo '{said}' >&2; exit {status}")
    with pytest.raises(error, match=words):
        takeovers.events()


@pytest.mark.usefixtures("journal")
def test_a_user_who_may_read_only_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process that is not root."""
    with tempfile.TemporaryDirectory() as name:
        monkeypatch.setattr(takeovers, "DIRECTORIES", (name,))
        files = Path(name)
        files.chmod(0o755)
        for readable in ("user-1000.journal", "system@1.journal"):
            (files / readable).touch(0o644)
        (files / "system@2.journal").symlink_to("renamed")
        assert takeovers.events() == [EVENT]
        (files / "system.journal").touch(0o600)
        (files / "system.journal").chmod(0)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            with pytest.raises(CredentialError, match="it is shown to root and to members of the"):
                takeovers.events()
        finally:
            if is_root:
                os.seteuid(0)


def test_without_a_journal_there_are_none(journal: Path) -> None:
    does(journal, "echo 'No journal files were found.' >&2; exit 1")
    assert not takeovers.events()


def test_without_journalctl(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.unlink()
    monkeypatch.setenv("PATH", str(journal.parent))
    with pytest.raises(StoreUnusable, match="journalctl: No such file"):
        takeovers.events()


def test_a_journal_that_is_rotated_meanwhile_is_read_again(journal: Path, tmp_path: Path) -> None:
    """The first time, the only file was left out."""
    archived = tmp_path / "journal/system@1.journal"
    entry = json.dumps(ENTRY)
    does(journal, f"[ -e {archived} ] || {{ : > {archived}; exit 0; }}\ncat << 'END'\n{entry}\nEND")
    assert takeovers.events() == [EVENT]


def test_it_ends_although_the_journal_is_rotated_all_the_time(
    journal: Path, tmp_path: Path
) -> None:
    does(journal, f"mktemp -p {tmp_path / 'journal'} > /dev/null")
    assert not takeovers.events()
    assert len(list((tmp_path / "journal").iterdir())) == takeovers.TRIES


def test_journalctl_is_there() -> None:
    """The words that are looked for are its own, in the C locale."""
    done = subprocess.run(
        ["journalctl", "--since=no time"], capture_output=True, check=False, env={"LC_ALL": "C"}
    )
    assert b"Failed to parse timestamp" in done.stderr
