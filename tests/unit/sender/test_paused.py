"""The start of a half while its App is paused: a failure starts nothing, a person does."""

from pathlib import Path
from typing import cast

import pytest

from sendrecv.core.errors import WARNING
from sendrecv.sender import paused, story
from sendrecv.systemd import Notifier

RUN, OTHER = "1" * 32, "2" * 32
FAILOVER = story.Half("x", "failover")


class Told:
    """What it is told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def log(self, severity: int, text: str) -> None:
        assert severity == WARNING
        self.told.append(text)

    def status(self, text: str) -> None:
        self.told.append(f"STATUS={text}")

    def ready(self) -> None:
        self.told.append("READY=1")

    def stopping(self) -> None:
        self.told.append("STOPPING=1")


def by_person() -> bool:
    return paused.is_by_person("x", "failover")


@pytest.fixture(name="directory", autouse=True)
def fixture_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(story, "STARTED_BY_END", str(tmp_path))
    monkeypatch.setattr(paused, "STARTED_BY_END", str(tmp_path))
    monkeypatch.setattr(paused, "GUARD", str(tmp_path))
    return tmp_path


def ended(monkeypatch: pytest.MonkeyPatch, result: str, run: str = RUN) -> None:
    """How the last run of main has ended, as systemd tells at each start."""
    monkeypatch.setenv("MONITOR_INVOCATION_ID", run)
    monkeypatch.setenv("MONITOR_SERVICE_RESULT", result)
    monkeypatch.setenv("MONITOR_EXIT_STATUS", "KILL")


def is_held() -> tuple[bool, list[str]]:
    notifier = Told()
    return paused.is_held("x", "failover", cast(Notifier, notifier)), notifier.told


@pytest.mark.parametrize("result", ["signal", "watchdog", "exit-code", "timeout", "oom-kill"])
def test_a_failure_starts_nothing(monkeypatch: pytest.MonkeyPatch, result: str) -> None:
    ended(monkeypatch, result)
    held, told = is_held()
    assert held
    assert told[0].startswith("not taking over, for App x is paused: sender@x.service ")
    assert told[0].endswith("; to go on: sendrecv resume x")
    # An end before READY=1 would be a failure, which would start main.
    assert told[1:] == ["STATUS=paused, not taking over", "READY=1", "STOPPING=1"]


def test_a_person_who_starts_it_after_that_means_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended(monkeypatch, "signal")
    assert is_held()[0]
    held, told = is_held()
    assert not held and "App x is paused: nothing takes over when" in told[0]
    ended(monkeypatch, "signal", OTHER)
    assert is_held()[0], "a later failure"


def test_after_an_orderly_end_it_was_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd/takeover starts nothing while an App is paused."""
    ended(monkeypatch, "success")
    assert not is_held()[0]


def test_at_boot_nothing_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MONITOR_INVOCATION_ID", "MONITOR_SERVICE_RESULT"):
        monkeypatch.delenv(name, raising=False)
    assert not is_held()[0]


def test_a_failure_before_the_pause_is_an_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ended(monkeypatch, "signal")
    story.write_word(FAILOVER.seen, RUN)  # as it does once it counts
    assert not is_held()[0]


def test_a_half_that_is_killed_as_a_person_moves_the_app(
    monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    ended(monkeypatch, "timeout")
    note = directory / f"{FAILOVER.unit}.moved"
    note.write_text(f"{RUN}\njoe\n\n", encoding="utf-8")
    assert not is_held()[0]
    note.write_text(f"{OTHER}\njoe\n\n", encoding="utf-8")
    assert is_held()[0]


# Of an App on several hosts.


def test_who_has_started_a_half(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    assert by_person(), "a boot"
    ended(monkeypatch, "signal")
    assert not by_person() and by_person(), "by the failure; then by a person"
    ended(monkeypatch, "success", OTHER)
    assert by_person(), "by systemctl start, which has stopped the other half"
    (directory / FAILOVER.unit).write_text(f"{OTHER}\n", encoding="ascii")  # systemd/takeover
    assert not by_person() and by_person()
    (directory / f"{FAILOVER.unit}.itself").write_text("12345\n", encoding="ascii")  # the guard
    assert not by_person() and by_person()
    (directory / FAILOVER.unit).write_text(f"{RUN}\n", encoding="ascii")
    (directory / f"{FAILOVER.unit}.itself").write_text("67890\n", encoding="ascii")
    assert not by_person() and by_person(), "what is old is known at once"
