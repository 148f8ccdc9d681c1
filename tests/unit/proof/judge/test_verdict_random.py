"""Journals without number: any sequence of what may happen is PROVEN; with one thing planted in it
the verdict is the right one, wherever it is planted."""

from collections.abc import Callable

import hypothesis.strategies as st
from hypothesis import assume, example, given

from sendrecv.proof.judge import findings as f
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED
from tests.unit.proof.journals import OTHER, Fields, World, without
from tests.unit.proof.judging import found, judge, outcome

APPS = ("x", "y")
Act = Callable[[World, str], None]

# What may happen. Each leaves every App with one sender that counts.


def counts(world: World, app: str) -> None:
    world.count(app, world.senders[app].role, 3)


def is_killed(world: World, app: str) -> None:
    world.take_over(app, "signal")


def hangs(world: World, app: str) -> None:
    world.take_over(app, "watchdog")


def is_stopped(world: World, app: str) -> None:
    world.take_over(app, "success")


def is_restarted(world: World, app: str) -> None:
    world.take_over(app, "success", world.senders[app].role)


def fails_twice(world: World, app: str) -> None:
    world.exit(world.senders[app])
    role = OTHER[world.senders[app].role]
    for _ in range(2):
        world.exit(world.start(app, role, ready=False), "exit-code")
        role = OTHER[role]
    world.admit(world.start(app, role))
    world.count(app, role)


def starts_before_the_receiver_is_back(world: World, app: str) -> None:
    """The receiver is killed between recording and printing, then main is, too."""
    before = world.senders[app]
    world.exit(before)
    after = world.start(app, OTHER[before.role])
    world.wait(20)
    world.start_receiver([(app, before.role, world.counts[app])])
    world.counts[app] += 1
    world.admit(after)
    world.count(app, after.role)


def was_late(world: World, app: str) -> None:
    """The last count is printed after the exit of its sender."""
    before = world.senders[app]
    world.exit(before)
    world.print(app, before.role, world.counts[app])
    world.counts[app] += 1
    after = world.start(app, OTHER[before.role])
    world.admit(after)
    world.count(app, after.role)


def sees_the_receiver_restart(world: World, app: str) -> None:
    world.start_receiver()
    world.count(app, world.senders[app].role)


def pauses(world: World, app: str) -> None:
    world.stop_pair(app)
    world.wait(1000)
    world.admit(world.start(app, "main"))
    world.count(app)


def _boots(world: World, *, clean: bool) -> None:
    apps = list(world.senders)
    world.boot(clean=clean)
    world.start_receiver()
    for app in apps:
        world.admit(world.start(app, "main"))
        world.count(app)


def is_shut_down(world: World, _: str) -> None:
    _boots(world, clean=True)


def loses_power(world: World, _: str) -> None:
    _boots(world, clean=False)


HARMLESS: list[Act] = [
    counts,
    is_killed,
    hangs,
    is_stopped,
    is_restarted,
    fails_twice,
    starts_before_the_receiver_is_back,
    was_late,
    sees_the_receiver_restart,
    pauses,
    is_shut_down,
    loses_power,
]

histories = st.lists(st.tuples(st.sampled_from(HARMLESS), st.sampled_from(APPS)), max_size=12)


def live(history: list[tuple[Act, str]], world: World) -> None:
    for act, app in history:
        act(world, app)


@given(histories)
def test_what_may_happen_is_proven(history: list[tuple[Act, str]]) -> None:
    world = World().up(*APPS)
    live(history, world)
    verdict = judge(world)
    assert (outcome(verdict), found(verdict), verdict.status) == ({}, "", PROVEN)


# What may not.


def overlaps(world: World, app: str) -> None:
    before = world.senders[app]
    after = world.start(app, OTHER[before.role])
    world.exit(before)
    world.admit(after)
    world.count(app, after.role)


def repeats(world: World, app: str) -> None:
    world.print(app, world.senders[app].role, world.counts[app] - 1)


def repeats_the_first(world: World, app: str) -> None:
    world.print(app, world.senders[app].role, 0)


def skips(world: World, app: str) -> None:
    counts(world, app)
    world.counts[app] += 1
    counts(world, app)


def swaps(world: World, app: str) -> None:
    role, number = world.senders[app].role, world.counts[app]
    world.print(app, role, number + 1)
    world.print(app, role, number)
    world.counts[app] += 2


def lets_the_older_in(world: World, app: str) -> None:
    is_killed(world, app)
    before = OTHER[world.senders[app].role]
    world.print(app, before, world.counts[app])
    world.counts[app] += 1


def goes_on_without_a_process(world: World, app: str) -> None:
    world.exit(world.senders[app])
    world.wait(100)
    counts(world, app)
    world.admit(world.start(app, "main"))
    counts(world, app)


def falls_back_an_epoch(world: World, app: str) -> None:
    is_killed(world, app)
    world.epochs[app] -= 1
    is_killed(world, app)


PLANTED: list[tuple[Act, str]] = [
    (overlaps, f.ONE),
    (repeats, f.ONCE),
    (repeats_the_first, f.ONCE),
    (skips, f.NO_GAP),
    (swaps, f.IN_ORDER),
    (lets_the_older_in, f.NEWER),
    (goes_on_without_a_process, f.OWN),
    (falls_back_an_epoch, f.EPOCHS),
]


@given(histories, st.sampled_from(PLANTED), histories, st.sampled_from(APPS))
def test_what_may_not_is_found(
    before: list[tuple[Act, str]],
    planted: tuple[Act, str],
    after: list[tuple[Act, str]],
    app: str,
) -> None:
    world = World().up(*APPS)
    live(before, world)
    act, check = planted
    act(world, app)
    live(after, world)
    verdict = judge(world)
    statuses = {one.app: one.status for one in verdict.apps}
    assert statuses == {**dict.fromkeys(APPS, PROVEN), app: VIOLATED}, found(verdict)
    assert outcome(verdict)[check] == VIOLATED, found(verdict)


# What leaves evidence missing.


def loses_lines_with_the_power(world: World, _: str) -> None:
    """Each App's last line; the receiver prints it again."""
    last = [(name, one.role, world.counts[name]) for name, one in world.senders.items()]
    apps = list(world.senders)
    world.boot(clean=False)
    world.start_receiver(last)
    for name in apps:
        world.counts[name] += 1
        world.admit(world.start(name, "main"))
        world.count(name)


def loses_counts_with_the_power(world: World, app: str) -> None:
    world.counts[app] += 2
    loses_power(world, app)


def is_rate_limited(world: World, app: str) -> None:
    dropped = {"OBJECT_SYSTEMD_UNIT": "receiver.service", "N_DROPPED": "2", "MESSAGE": "Suppressed"}
    message_id = {"MESSAGE_ID": "a596d6fe7bfa4994828e72309e95d61e", "_TRANSPORT": "driver"}
    world.write({**message_id, **dropped})
    world.counts[app] += 2
    counts(world, app)


DOUBTFUL: list[Act] = [
    loses_lines_with_the_power,
    loses_counts_with_the_power,
    is_rate_limited,
]


@given(histories, st.sampled_from(DOUBTFUL), histories, st.sampled_from(APPS))
def test_what_is_missing_is_a_doubt(
    before: list[tuple[Act, str]], doubtful: Act, after: list[tuple[Act, str]], app: str
) -> None:
    world = World().up(*APPS)
    live(before, world)
    doubtful(world, app)
    live(after, world)
    verdict = judge(world)
    assert verdict.status == INCONCLUSIVE, found(verdict)


def rests_on(world: World, place: int) -> bool:
    """Whether the proof cannot do without that entry.

    It can do without the first count (an App may begin with any), without the last ones, without
    the end of what was running to its boot's end, and without what it does not look at.
    """
    entry = world.entries[place]
    message = entry["MESSAGE"]
    if message.startswith("{"):
        app = message.split('"appID": ')[1].split(",")[0]
        of_app = [n for n, one in enumerate(world.entries) if _is_count(one["MESSAGE"], app)]
        return of_app[0] < place < of_app[-1]
    if message.startswith("session "):
        run = message.split('"run": ')[1][1:33]
        return _counted_after(world, place, run)
    kind = message.rsplit(" ", 1)[1]
    if not entry.get("UNIT", "").startswith("sender"):
        return False
    if kind == "starting":
        return True
    if kind in {"exited", "failed", "succeeded"}:
        return _started_after(world, place)
    return False


def _is_count(message: str, quoted: str) -> bool:
    return message.startswith("{") and f'"appID": {quoted},' in message


def _counted_after(world: World, place: int, run: str) -> bool:
    """Whether that session's run counted."""
    app = world.entries[place]["MESSAGE"].split('"appID": "')[1][0]
    for entry in world.entries[place + 1 :]:
        if entry["MESSAGE"].startswith("session ") and f'"appID": "{app}"' in entry["MESSAGE"]:
            return run in entry["MESSAGE"]
        if f'"appID": "{app}"' in entry["MESSAGE"]:
            return True
    return False


def _started_after(world: World, place: int) -> bool:
    """Whether another sender of the App was started in the same boot."""
    entry = world.entries[place]
    instance = entry["UNIT"].split("@")[1]
    return any(
        one["MESSAGE"].endswith(f"@{instance}: starting") and one["_BOOT_ID"] == entry["_BOOT_ID"]
        for one in world.entries[place + 1 :]
    )


@given(histories, st.data())
def test_a_journal_without_one_of_its_entries_is_not_proven(
    history: list[tuple[Act, str]], data: st.DataObject
) -> None:
    world = World().up(*APPS)
    live(history, world)
    needed = [place for place in range(len(world.entries)) if rests_on(world, place)]
    assume(needed)
    place = data.draw(st.sampled_from(needed))
    removed: Fields = world.entries[place]
    verdict = judge(without(world.entries, place))
    assert verdict.status in (INCONCLUSIVE, VIOLATED), removed


@given(histories, st.integers(min_value=0))
@example([], 0)
def test_a_journal_cut_off_at_its_beginning_is_no_violation(
    history: list[tuple[Act, str]], cut: int
) -> None:
    world = World().up(*APPS)
    live(history, world)
    kept = world.entries[cut % len(world.entries) :]
    verdict = judge(kept)
    assert verdict.status in (INCONCLUSIVE, PROVEN), found(verdict)
    if cut % len(world.entries) > 20:
        assert verdict.status == INCONCLUSIVE
