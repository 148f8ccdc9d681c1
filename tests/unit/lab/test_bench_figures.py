import re

import pytest

from tests.bench.figures import Figure, number, percentile, silences, table
from tests.bench.floor import around_script
from tests.bench.pairs import lateness
from tests.bench.plot import WIDTH, svg
from tests.bench.probe import Line

UNIT = """\
[Unit]
Wants=receiver.socket
After=sendrecv@%i.target
Conflicts=sender-failover@%i.service

[Service]
Type=notify
ExecStart=/usr/bin/sendrecv send %i main
WatchdogSec=1.3s
PrivateTmp=yes
"""


def figure(values: tuple[float, ...], **more: object) -> Figure:
    return Figure("section", "name", "s", values, **more)  # type: ignore[arg-type]  # any


def test_percentile_is_the_nearest_rank() -> None:
    assert percentile(range(1, 101), 99) == 99
    assert percentile([3.0], 99) == 3.0


def test_no_samples_are_no_figure() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("values", "judged", "met"),
    [
        ((1.0, 1.0, 9.0), "median", True),
        ((1.0, 1.0, 9.0), "worst", False),
        ((1.0, 1.2, 1.3), "median", False),
    ],
)
def test_a_figure_is_judged_by_the_value_that_was_asked(
    values: tuple[float, ...], judged: str, met: bool
) -> None:
    assert figure(values, asked=1.1, judged=judged).met() is met


def test_of_a_rate_more_is_better() -> None:
    rate = Figure("section", "name", "/s", (50.0, 40.0, 60.0), asked=45.0)
    assert rate.met() is True
    assert rate.worst == 40.0


def test_a_figure_too_far_from_its_floor_is_missed() -> None:
    assert figure((2.0,), asked=3.0, floor=1.0, at_most_ratio=1.8).met() is False


def test_of_a_share_more_is_better() -> None:
    share = Figure("section", "stays", "%", (94.0,), asked=95.0)
    assert share.met() is False
    assert Figure("section", "stays", "%", (95.0,), asked=95.0).met() is True


def test_a_figure_over_its_floor_shows_the_ratio() -> None:
    assert figure((3.0,)).over(2.0).ratio == 1.5


def test_silences_are_the_longest_gap_around_each_fault() -> None:
    times = [0.0, 1.0, 2.0, 3.5, 4.5, 5.5, 9.0]
    assert silences(times, [2.2, 5.0]) == [1.5, 3.5]


def test_a_silence_without_an_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="no line around"):
        silences([0.0, 1.0], [1.5])


def test_lateness_is_told_from_the_apps_own_beat() -> None:
    lines = [Line(at, "a", "main", 1) for at in (10.9, 11.9, 12.93)]
    assert lateness(lines) == pytest.approx([0, 0, 30])


def test_the_floor_has_the_wiring_and_nothing_else() -> None:
    text = around_script(UNIT, "floor", boxed=False)
    assert "Conflicts=floor-failover@%i.service" in text
    assert "After=floor@%i.target" in text
    for gone in ("sendrecv", "receiver.socket", "WatchdogSec", "PrivateTmp"):
        assert gone not in text
    assert "PrivateTmp=yes" in around_script(UNIT, "boxed", boxed=True)


def test_the_table_and_the_plot_show_what_is_missed() -> None:
    rows = [figure((1.0, 1.3), asked=1.1, judged="worst", silence=True)]
    assert "MISSED" in table(rows)
    picture = svg(rows, "a day")
    assert picture.count("<circle") == 2
    assert 'class="limit"' in picture


def test_what_was_asked_is_inside_the_plot() -> None:
    picture = svg([figure((1.0,), asked=9.0, silence=True)], "a day")
    limit = re.search(r'class="limit" x1="([0-9.]+)"', picture)
    assert limit and float(limit[1]) < WIDTH


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (54267.3, "54,267"), (1.0049, "1.00"), (0.0123, "0.012")]
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text
