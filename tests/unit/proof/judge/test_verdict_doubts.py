"""The verdict where evidence is missing: INCONCLUSIVE, and what is missing is named."""

import pytest

from sendrecv.proof.judge import findings as f
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED
from sendrecv.proof.statements import Missing
from tests.unit.proof.journals import Fields, World, without
from tests.unit.proof.judging import found, judge, outcome

STOPPED = "d93fb3c9c24d451a97cea615ce59c00b"


def place(world: World, text: str) -> int:
    return next(n for n, entry in enumerate(world.entries) if text in entry["MESSAGE"])


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("sender@x.service: exited", f.ONE),
        ("sender@x.service: failed", f.ONE),
        ("sender@x.service: starting", f.ONE),
        ("sender-failover@x.service: starting", f.ONE),
        ('session {"appID": "x", "nodeID": "main"', f.EPOCHS),
        ('session {"appID": "x", "nodeID": "failover"', f.EPOCHS),
    ],
)
def test_a_removed_entry_is_missed(text: str, check: str) -> None:
    world = World().up("x")
    world.take_over("x")
    verdict = judge(without(world.entries, place(world, text)))
    assert outcome(verdict).get(check) == INCONCLUSIVE
    assert VIOLATED not in outcome(verdict).values()


def test_a_removed_count_is_a_gap() -> None:
    world = World().up("x")
    verdict = judge(without(world.entries, place(world, '"count": 1,')))
    assert outcome(verdict) == {f.NO_GAP: VIOLATED}


def test_no_evidence_is_no_proof() -> None:
    assert judge([]).status == INCONCLUSIVE


def test_a_name_that_no_app_has_is_no_proof() -> None:
    verdict = judge(World().up("x"), "nobody")
    assert (verdict.status, verdict.apps, verdict.unknown) == (INCONCLUSIVE, (), ("nobody",))
    verdict = judge(World().up("x"), "nobody", "x")
    assert (verdict.status, verdict.unknown) == (INCONCLUSIVE, ("nobody",))
    assert [app.status for app in verdict.apps] == [PROVEN]


def test_counts_without_runs_are_no_proof() -> None:
    world = World().up("x")
    lines = [entry for entry in world.entries if entry.get("_PID") != "1"]
    assert outcome(judge(lines)) == {f.ONE: INCONCLUSIVE, f.OWN: INCONCLUSIVE}


def test_runs_without_counts_are_no_proof() -> None:
    world = World()
    world.start_receiver()
    world.start("x", "main")
    missing = {f.ONCE, f.IN_ORDER, f.NO_GAP, f.OWN, f.NEWER, f.EPOCHS}
    assert outcome(judge(world)) == dict.fromkeys(missing, INCONCLUSIVE)


def test_an_app_that_was_not_asked_for_does_not_matter() -> None:
    world = World().up("x", "y")
    world.print("x", "main", 0)
    assert judge(world).status == VIOLATED
    assert judge(world, "y").status == PROVEN
    assert [app.app for app in judge(world, "y").apps] == ["y"]


def test_the_journal_begins_in_the_middle() -> None:
    world = World().up("x")
    world.count("x", times=5)
    later = world.entries[place(world, '"count": 4,') :]
    assert outcome(judge(later)) == {
        **dict.fromkeys([f.ONE, f.EPOCHS, f.WHOLE], INCONCLUSIVE)
    }, "no run, no session, no beginning"
    world.take_over("x")
    later = world.entries[place(world, '"count": 4,') :]
    assert outcome(judge(later)) == {f.WHOLE: INCONCLUSIVE}
    assert judge(later, scoped=True).status == PROVEN


def test_what_journald_dropped_is_missed() -> None:
    world = World().up("x")
    world.write(
        {
            "_TRANSPORT": "driver",
            "MESSAGE_ID": "a596d6fe7bfa4994828e72309e95d61e",
            "OBJECT_SYSTEMD_UNIT": "receiver.service",
            "N_DROPPED": "3",
            "MESSAGE": "Suppressed",
        }
    )
    assert outcome(judge(world)) == {f.WHOLE: INCONCLUSIVE}
    world.counts["x"] += 3
    world.count("x")
    assert outcome(judge(world)) == {f.WHOLE: INCONCLUSIVE, f.NO_GAP: INCONCLUSIVE}
    assert "dropped 3 entries of receiver.service" in found(judge(world))


def test_journald_that_was_started_again_is_noted() -> None:
    started = {"_TRANSPORT": "driver", "MESSAGE_ID": "f77379a8490b408bbe5f6940505a777b"}
    world = World()
    world.write({**started, "MESSAGE": "Journal started"})
    world.up("x")
    assert not judge(world).notes
    world.write({**started, "MESSAGE_ID": STOPPED, "MESSAGE": "Journal stopped"})
    world.write({**started, "MESSAGE": "Journal started"})
    world.count("x")
    verdict = judge(world)
    assert verdict.status == PROVEN
    assert [note.split(":")[0] for note in verdict.notes] == ["journald was started again"]
    world.counts["x"] += 1  # nothing of the receiver's is lost then
    world.count("x")
    assert outcome(judge(world)) == {f.NO_GAP: VIOLATED}


def test_a_journald_that_was_killed_excuses_a_gap_there_and_nowhere_else() -> None:
    started = {"_TRANSPORT": "driver", "MESSAGE_ID": "f77379a8490b408bbe5f6940505a777b"}
    world = World()
    world.write({**started, "MESSAGE": "Journal started"})
    world.up("x")
    world.write({**started, "MESSAGE": "Journal started"})
    world.counts["x"] += 1
    world.count("x")
    assert outcome(judge(world)) == {f.NO_GAP: INCONCLUSIVE}
    assert "journald was killed" in found(judge(world))
    world.counts["x"] += 1
    world.count("x")
    assert outcome(judge(world)) == {f.NO_GAP: VIOLATED}


def test_a_hole_in_the_journal_excuses_a_gap_there_and_nowhere_else() -> None:
    world = World().up("x")
    world.counts["x"] += 3
    world.count("x")
    until = int(world.entries[-1]["__REALTIME_TIMESTAMP"]) - 1000
    hole = (Missing("entries 7 to 9 are missing", until),)
    assert outcome(judge(world, missing=hole)) == dict.fromkeys((f.NO_GAP, f.WHOLE), INCONCLUSIVE)
    world.counts["x"] += 1
    world.count("x")
    assert outcome(judge(world, missing=hole))[f.NO_GAP] == VIOLATED


def test_lines_that_were_not_read_are_no_violation_but_those_that_were_may_be_one() -> None:
    not_read = (Missing("rotated while it was read", somewhere=True),)
    world = World().up("x")
    world.counts["x"] += 3
    world.count("x")
    assert outcome(judge(world)) == {f.NO_GAP: VIOLATED}
    found_then = outcome(judge(world, missing=not_read))
    assert found_then == dict.fromkeys((f.NO_GAP, f.WHOLE), INCONCLUSIVE)
    world.print("x", "main", 1)
    assert outcome(judge(world, missing=not_read))[f.ONCE] == VIOLATED


def test_a_part_that_is_not_there_from_its_beginning_is_a_doubt() -> None:
    world = World().up("x")
    world.count("x", times=5)
    world.take_over("x")
    later = world.entries[place(world, '"count": 4,') :]
    assert judge(later, scoped=True).status == PROVEN
    verdict = judge(later, scoped=True, unreached="the journal begins later")
    assert outcome(verdict) == {f.WHOLE: INCONCLUSIVE}
    assert "the journal begins later" in found(verdict)


def test_what_the_power_took_is_missed_though_it_is_printed_again() -> None:
    world = World().up("x")
    world.boot(clean=False)
    world.start_receiver([("x", "main", 3)])
    world.counts["x"] += 1
    world.admit(world.start("x", "main"))
    world.count("x")
    assert outcome(judge(world)) == {f.WHOLE: INCONCLUSIVE}
    assert "count 3 was lost as the machine went down" in found(judge(world))


def test_a_count_that_the_power_took_is_a_doubt() -> None:
    world = World().up("x")
    world.boot(clean=False)
    world.start_receiver()
    world.counts["x"] += 1
    world.admit(world.start("x", "main"))
    world.count("x")
    assert outcome(judge(world)) == {f.NO_GAP: INCONCLUSIVE}


def test_a_count_that_a_shutdown_took_is_a_violation() -> None:
    world = World().up("x")
    world.boot(clean=True)
    world.start_receiver()
    world.counts["x"] += 1
    world.admit(world.start("x", "main"))
    world.count("x")
    assert outcome(judge(world)) == {f.NO_GAP: VIOLATED}


def test_a_receiver_that_knows_no_count_does_not_show_that_there_was_none() -> None:
    """Its ledger was lost, the journal vacuumed; the sender's record goes on."""
    world = World()
    world.start_receiver()
    world.admit(world.start("x", "main"))
    assert '"last": null' in world.entries[-1]["MESSAGE"]
    world.counts["x"] = 742
    world.count("x", times=3)
    assert outcome(judge(world)) == {f.WHOLE: INCONCLUSIVE}
    assert "its counts before 742 are not in this journal" in found(judge(world))


def unproven_world(first: int, last: int) -> World:
    """Counts 0 to 2 are printed; the next receiver cannot tell whether `first` to `last` were."""
    world = World().up("x")
    world.start_receiver()
    world.cannot_tell("x", "main", first, last)
    world.counts["x"] = last + 1
    return world


def test_counts_of_which_the_receiver_cannot_tell_are_a_doubt() -> None:
    world = unproven_world(3, 5)
    for _ in range(2):  # at the journal's end, and with a count after them
        assert outcome(judge(world)) == {f.NO_GAP: INCONCLUSIVE}
        assert "counts 3 to 5 are not in the journal: the receiver could not" in found(judge(world))
        world.count("x")


def test_counts_of_which_the_receiver_cannot_tell_and_the_journal_can_are_none() -> None:
    world = unproven_world(1, 2)
    world.count("x")
    assert judge(world).status == PROVEN
    world = unproven_world(2, 5)
    world.count("x")
    assert "counts 3 to 5 are" in found(judge(world))
    world = unproven_world(3, 3)
    world.counts["x"] = 3
    world.count("x")
    assert judge(world).status == PROVEN


@pytest.mark.parametrize("more", [(2, 0), (0, 2)])
def test_no_other_count_is_excused_by_what_the_receiver_cannot_tell(more: tuple[int, int]) -> None:
    before, after = more
    world = unproven_world(3 + before, 5)
    world.counts["x"] += after
    world.count("x")
    assert outcome(judge(world)) == {f.NO_GAP: VIOLATED}
    missing = "counts 3 to 4" if before else "counts 6 to 7"
    assert f"{missing} are not in the journal;" in f"{found(judge(world))};"
    world.print("x", "main", 4)
    assert outcome(judge(world))[f.IN_ORDER] == VIOLATED


def test_what_the_receiver_cannot_tell_is_said_once_and_only_of_its_app() -> None:
    world = World().up("x", "y")
    for _ in range(3):
        world.start_receiver()
        world.cannot_tell("x", "main", 3, 4)
        world.cannot_tell("x", "failover", 5, 6)
    verdict = judge(world)
    assert [(app.app, app.status) for app in verdict.apps] == [("x", INCONCLUSIVE), ("y", PROVEN)]
    assert found(verdict).count("could not tell") == 2


def test_nothing_but_what_the_receiver_cannot_tell() -> None:
    world = World()
    world.start_receiver()
    world.cannot_tell("x", "main", 0, 7)
    verdict = judge(world)
    assert verdict.status == INCONCLUSIVE
    assert "counts 0 to 7 are not in the journal: the receiver could not" in found(verdict)
    world.counts["x"] = 8
    world.admit(world.start("x", "main"))
    world.count("x")
    assert outcome(judge(world, scoped=True)) == {f.NO_GAP: INCONCLUSIVE}
    assert "counts 0 to 7 are not in the journal: the receiver could not" in found(judge(world))


@pytest.mark.parametrize(
    "said",
    [
        '{"appID": "x", "nodeID": "main", "first": 5, "last": 4}',
        '{"appID": "x", "nodeID": "main", "first": -1, "last": 4}',
        '{"appID": "x", "nodeID": "main", "first": "3", "last": 4}',
        '{"appID": "x", "nodeID": 7, "first": 3, "last": 4}',
        '{"appID": "x", "nodeID": "main", "first": 3}',
        "[3, 4]",
        "{",
        "",
    ],
)
def test_what_is_no_such_line_excuses_nothing(said: str) -> None:
    world = World().up("x")
    world.receive(f"unproven {said}", 5)
    world.counts["x"] += 1
    world.count("x")
    assert outcome(judge(world)) == {f.NO_GAP: VIOLATED}


def test_nobody_but_the_receiver_can_say_that_it_cannot_tell() -> None:
    world = World().up("x")
    entry = world.cannot_tell("x", "main", 3, 3)
    entry["_SYSTEMD_UNIT"] = "sender@x.service"
    world.counts["x"] += 1
    world.count("x")
    assert outcome(judge(world)) == {f.NO_GAP: VIOLATED}


def test_a_run_that_the_power_took_from_the_journal_is_missed() -> None:
    world = World().up("x")
    world.boot(clean=False)
    world.start_receiver([("x", "failover", 3)])
    world.counts["x"] += 1
    world.admit(world.start("x", "main"))
    world.count("x")
    assert set(outcome(judge(world)).values()) == {INCONCLUSIVE}
    assert f.OWN in outcome(judge(world))


@pytest.mark.parametrize(("clean", "expected"), [(False, INCONCLUSIVE), (True, VIOLATED)])
def test_of_two_takeovers_that_the_power_took_the_older_node_may_have_counted_again(
    clean: bool, expected: str
) -> None:
    """main 0 to 2, failover from 3; main again from 5, which nothing but the outbox knows."""
    world = World().up("x")
    world.take_over("x")
    count = world.counts["x"]
    world.boot(clean=clean)
    world.start_receiver([("x", "failover", count), ("x", "main", count + 1)])
    world.counts["x"] += 2
    world.admit(world.start("x", "main"))
    world.count("x")
    assert outcome(judge(world))[f.NEWER] == expected


def test_lines_printed_again_are_not_of_the_run_that_starts_meanwhile() -> None:
    """The journal was lost, and not the receiver's outbox."""
    world = World()
    sender = world.start("x", "main")
    world.start_receiver([("x", "main", 0), ("x", "main", 1)])
    world.counts["x"] = 2
    world.admit(sender)
    world.count("x", times=2)
    assert outcome(judge(world)) == {f.OWN: INCONCLUSIVE, f.EPOCHS: INCONCLUSIVE}
    counted = [life.session.counts for life in judge(world).apps[0].lives if life.session]
    assert counted == [2, 2]


def test_a_run_that_pid_1_does_not_know() -> None:
    world = World().up("x")
    sender = world.start("x", "failover")
    del world.entries[-2:]
    world.exit(world.senders["x"])
    del world.entries[-3:]
    world.admit(sender)
    world.count("x", "failover")
    assert f.OWN in outcome(judge(world))


def test_mixed_boots_are_no_proof() -> None:
    world = World().up("x")
    first = list(world.entries)
    world.boot(clean=True)
    world.start_receiver()
    world.admit(world.start("x", "main"))
    world.count("x")
    mixed = [*first[:-1], *world.entries[len(first) :], first[-1]]
    assert judge(mixed).status != PROVEN


HOURS = 3_600_000_000


def two_boots(clock: int, numbering: str, *, again: int = 0, epoch: int = 2) -> list[list[Fields]]:
    """A power cut, before which the wall clock was set forward.

    again: so many counts are printed in both boots. epoch: of the second boot's run.
    """
    world = World().up("x")
    world.clock = clock
    world.count("x", times=3)
    first = len(world.entries)
    world.boot(clean=False)
    world.clock, world.numbering = 0, numbering
    world.start_receiver()
    world.counts["x"] -= again
    world.epochs["x"] = epoch - 1
    world.admit(world.start("x", "main"))
    world.count("x", times=3)
    return [world.entries[:first], world.entries[first:]]


def test_boots_whose_order_only_the_clock_tells_are_no_violation() -> None:
    """Before systemd 254, journald's numbering begins anew after a power cut."""
    first, second = two_boots(5 * HOURS, "6" * 32)
    verdict = judge([*second, *first])
    assert outcome(verdict) == dict.fromkeys((f.IN_ORDER, f.EPOCHS, f.WHOLE), INCONCLUSIVE)
    assert "known by the wall clock only" in found(verdict)


@pytest.mark.parametrize(
    ("clock", "numbering", "status"),
    [
        (0, "5" * 32, VIOLATED),
        (5 * HOURS, "5" * 32, VIOLATED),
        (0, "6" * 32, INCONCLUSIVE),
        (5 * HOURS, "6" * 32, INCONCLUSIVE),
    ],
)
def test_an_epoch_that_does_not_grow_over_a_boot(clock: int, numbering: str, status: str) -> None:
    first, second = two_boots(clock, numbering, epoch=1)
    assert outcome(judge([*first, *second])) == {f.EPOCHS: status}


def test_a_count_of_two_boots_came_twice_whichever_was_first() -> None:
    first, second = two_boots(5 * HOURS, "6" * 32, again=1)
    for entries in ([*first, *second], [*second, *first]):
        assert outcome(judge(entries))[f.ONCE] == VIOLATED
