"""How fast counts come, as the receiver reports it."""

from sendrecv.receiver.pace import WINDOW, Durations, Pace, Paces


def paced(*times: float, number: int = 1) -> Pace:
    pace = Pace()
    for now in times:
        pace.counted(number, now)
    return pace


def test_nothing_is_known_before_the_third_count() -> None:
    assert (paced().beat(), paced().rate(5), paced().last) == (None, 0.0, None)
    assert (paced(3).beat(), paced(3).last, paced(3).total) == (None, 3, 1)
    assert paced(3, 4).beat() is None and paced(3, 4, 5).beat() == 1


def test_the_beat_of_a_steady_app() -> None:
    assert paced(0, 1, 2, 3).beat() == 1
    assert paced(0, 0.5, 1, number=5).beat() == 0.1
    assert paced(0, 3600, 7200).beat() == 3600


def test_what_came_first_may_have_waited_and_says_nothing_of_the_beat() -> None:
    pace = paced(0, number=500)
    for now in (0.2, 1.2, 2.2):
        pace.counted(1, now)
    assert pace.beat() == 1


def test_what_was_long_ago_is_forgotten() -> None:
    slow, fast = range(10), (10 + number / 10 for number in range(300))
    beat = paced(*slow, *fast).beat()
    assert beat is not None and abs(beat - 0.1) < 0.001


def test_the_rate_falls_when_nothing_comes() -> None:
    pace = paced(*range(100))
    assert abs(pace.rate(99) - 1) < 0.01
    assert pace.rate(99 + WINDOW) < 0.6 and pace.rate(10_000) < 0.01


def test_the_paces_of_apps_that_gave_way_are_forgotten() -> None:
    paces = Paces(most=2)
    for name in ("a", "b", "c"):
        paces.counted(name, 1, 0, known={"b", name})
    assert paces.of("a") is None and paces.of("b") and paces.of("c")
    assert paces.all.total == 3


def test_durations_are_a_histogram() -> None:
    durations = Durations((0.5, 1.0))
    for seconds in (0.25, 0.5, 0.75, 3):
        durations.took(seconds)
    assert durations.report() == {"count": 4, "seconds": 4.5, "within": {"0.5": 2, "1": 3}}
