"""What a trouble may take: a machine that spins in it is found, a slow one is not."""

from dataclasses import replace

from tests.chaos.endure import PROCESSES_A_LOOK, Work

QUIET = Work(
    60.0, cpu=0.7, wakeups=1600, processes=100, starts={}, said=("a line",) * 60, worst_minute=60
)
LOOP = Work(3.0, cpu=3.0, wakeups=80, processes=5, starts={}, said=(), worst_minute=3)
CALM = Work(
    60.0, cpu=2.4, wakeups=1500, processes=700, starts={"sender@x": 1}, said=(), worst_minute=4
)


def wrong(work: Work, quiet: Work = QUIET, loop: Work = LOOP) -> list[str]:
    return [text.partition(":")[0] for text in work.too_much(quiet, loop, rest=60.0)]


def test_a_calm_trouble() -> None:
    assert wrong(CALM) == []


def test_whoever_spins_is_found() -> None:
    assert wrong(replace(CALM, cpu=60.0)) == ["seconds of CPU"]
    assert wrong(replace(CALM, wakeups=6000)) == ["wake-ups"]
    assert wrong(replace(CALM, processes=100 * PROCESSES_A_LOOK)) == ["processes"]
    assert wrong(replace(CALM, starts={"sender@x": 8})) == ["starts"]
    assert wrong(replace(CALM, worst_minute=10)) == ["lines in a minute"]


def test_a_slow_machine_takes_more_cpu_for_all_of_it() -> None:
    slow_quiet, slow_loop = replace(QUIET, cpu=5 * QUIET.cpu), replace(LOOP, cpu=1.0)
    assert wrong(replace(CALM, cpu=5 * CALM.cpu), slow_quiet, slow_loop) == []
    assert wrong(replace(CALM, cpu=20.0), slow_quiet, slow_loop) == ["seconds of CPU"]
