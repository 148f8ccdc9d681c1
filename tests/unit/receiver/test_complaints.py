"""What the receiver says about its peers does not fill the journal, whatever they do."""

import pytest

from sendrecv.receiver import complaints
from sendrecv.receiver.complaints import BURST, MINUTE, REPEATS, WINDOW, Complaints


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


def test_many_different_ones_are_limited_too(
    clock: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    complain = Complaints("0" * 64)
    for number in range(BURST + 5):
        complain(f"{number}")
    assert len(capfd.readouterr().err.splitlines()) == BURST
    clock[0] += WINDOW
    complain("again")
    assert capfd.readouterr().err == "again, ignoring\n"
