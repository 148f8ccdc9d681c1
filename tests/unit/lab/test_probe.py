"""The probe beside the senders: which kills of a watchdog it excuses, and which not."""

import pytest

from tests.judges.checker import Entry
from tests.lab.probe import BEAT, SENT, Beats

LIMIT = 1.3


def beats(*late: tuple[float, float]) -> Beats:
    """From 100 to 110 s, all in time but for those that took from the one time to the other."""
    number = round(10 / BEAT)
    times = [100 + BEAT * beat for beat in range(number + 1)]
    within = [any(begin < time < end for begin, end in late) for time in times]
    return Beats([time for time, is_gone in zip(times, within, strict=True) if not is_gone])


def killed(at: float, read_after: float = 0.0) -> Entry:
    """As journald has it, which may read it later."""
    sent = 1_900_000_000_000_000 + int(at * 1e6)
    read = int(read_after * 1e6)
    return {
        "__MONOTONIC_TIMESTAMP": str(int(at * 1e6) + read),
        "__REALTIME_TIMESTAMP": str(sent + read),
        SENT: str(sent),
    }


@pytest.mark.parametrize(
    ("late", "is_excused"),
    [
        ([], False),
        ([(104.0, 104.3)], True),
        ([(104.0, 104.15)], False),  # a ping may be so late
        ([(104.0, 104.2), (104.5, 104.7)], True),
        ([(103.0, 103.5)], False),  # it was there in time after that
        ([(105.1, 105.9)], False),  # and this came too late
        ([(104.9, 106.0)], True),
    ],
)
def test_what_excuses_a_kill(late: list[tuple[float, float]], is_excused: bool) -> None:
    assert beats(*late).excuse(killed(105.0), LIMIT) is is_excused
    assert beats(*late).excuse(killed(105.0, read_after=3.0), LIMIT) is is_excused


def test_a_short_limit_is_met_by_a_short_standstill() -> None:
    assert beats((104.6, 104.8)).excuse(killed(105.0), 0.85)
    assert not beats((104.6, 104.8)).excuse(killed(105.0), LIMIT)


def test_the_number_of_beats() -> None:
    assert len(beats()) == round(10 / BEAT) and len(beats((101.0, 104.0))) < len(beats())
