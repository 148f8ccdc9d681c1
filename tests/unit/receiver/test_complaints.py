"""What the receiver says about its peers does not fill the journal, whatever they do."""

from collections.abc import Callable, Mapping

import pytest

from sendrecv.core.wire import Claim
from sendrecv.receiver import complaints
from sendrecv.receiver.complaints import BURST, FULL, MINUTE, REPEATS, WINDOW, Complaints


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [100.0]
    monkeypatch.setattr(complaints.time, "monotonic", lambda: now[0])
    return now


def test_one_and_the_same_is_said_a_few_times_a_minute(
    clock: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    complain = Complaints("0" * 64)
    for _ in range(24):  # each 5 s for two minutes, as a sender with a wrong token does
        complain("connection without the right token refused")
        clock[0] += MINUTE / 12
    said = capfd.readouterr().err.splitlines()
    refused = "connection without the right token refused, ignoring"
    suppressed = f"{12 - REPEATS} more complaints about connections without the token, suppressed"
    assert said == [refused] * REPEATS + [suppressed] + [refused] * REPEATS
    assert len(said) / 2 < 10


APPS = 50
OF_EACH: Mapping[str, Callable[[int], str]] = {
    "full": lambda app: FULL,
    "numbers": lambda app: f"epoch {2**60 + app} is too far above the App's last one",
    "tokens": lambda app: f"the token of{app} is not for App {'abcde'[app % 5]}{app}, refused",
    "quoted": lambda app: f"unknown event '{'abcde'[app % 5]}'",
}


@pytest.mark.parametrize("what", OF_EACH)
def test_what_many_apps_meet_is_said_a_few_times_a_minute(
    what: str, clock: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    complain = Complaints("0" * 64)
    for _ in range(12):
        for app in range(APPS):
            complain(OF_EACH[what](app), Claim(f"app{app}", "main", 1, "b" * 32))
            clock[0] += MINUTE / 3 / APPS
    said = capfd.readouterr().err.splitlines()
    summaries = [
        line for line in said if line.endswith("more complaints about senders, suppressed")
    ]
    assert len(said) == 4 * REPEATS + len(summaries) and len(summaries) == 3, said
    assert len(said) / 4 < 10


def test_many_different_ones_are_limited_too(
    clock: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    complain = Complaints("0" * 64)
    for number in range(BURST + 5):
        complain("x" * number)
    assert len(capfd.readouterr().err.splitlines()) == BURST
    clock[0] += WINDOW
    complain("again")
    assert capfd.readouterr().err == "again, ignoring\n"
