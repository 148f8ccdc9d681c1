"""The verdict on made-up journals: right ones are PROVEN, and each planted violation is found."""

import json
from collections.abc import Callable

import pytest

from sendrecv.proof.judge import findings as f
from sendrecv.proof.judge.verdict import INCONCLUSIVE, NOTHING, PROVEN, VIOLATED
from tests.unit.proof.journals import Fields, Sender, World
from tests.unit.proof.judging import found, judge, outcome

# What happens to the package, without a violation.


def stays_up(world: World) -> None:
    world.count("x", times=5)


def takes_over_and_back(world: World) -> None:
    for how in ("signal", "success", "watchdog", "exit-code", "timeout"):
        world.take_over("x", how)


def fails_to_start(world: World) -> None:
    world.exit(world.senders["x"])
    for role in ("failover", "main") * 3:
        world.exit(world.start("x", role, ready=False), "exit-code")
    world.admit(world.start("x", "failover"))
    world.count("x", "failover")


def cannot_be_spawned(world: World) -> None:
    world.exit(world.senders["x"])
    world.pid1("sender-failover@x.service", "d" * 32, "failed", UNIT_RESULT="resources")
    world.admit(world.start("x", "main"))
    world.count("x", "main")


def is_forgotten_and_begins_anew(world: World) -> None:
    world.take_over("x")
    for _ in range(2):
        world.forget("x")
        world.admit(world.start("x", "main"))
        world.count("x", times=3)
        world.take_over("x")


def is_stopped_for_a_while(world: World) -> None:
    world.stop_pair("x")
    world.wait(4000)
    world.admit(world.start("x", "main"))
    world.count("x")


def restarts_main(world: World) -> None:
    world.take_over("x", "success", role="main")


def is_shut_down_and_booted(world: World) -> None:
    world.boot(clean=True)
    world.start_receiver()
    world.admit(world.start("x", "main"))
    world.count("x")


def loses_power(world: World) -> None:
    world.boot(clean=False)
    world.start_receiver()
    world.admit(world.start("x", "main"))
    world.count("x")


def restarts_the_receiver(world: World) -> None:
    world.start_receiver()
    world.count("x", times=2)


def says_again_who_counts(world: World) -> None:
    world.start_receiver()
    world.admit(world.senders["x"])
    world.count("x", times=2)


def prints_what_the_killed_receiver_did_not(world: World) -> None:
    world.exit(world.senders["x"])
    sender = world.start("x", "failover")
    world.wait(30)  # the receiver waits for the journal
    world.start_receiver([("x", "main", 3), ("x", "main", 4)])
    world.counts["x"] += 2
    world.admit(sender)
    world.count("x", "failover")


def prints_a_count_that_was_on_its_way(world: World) -> None:
    world.exit(world.senders["x"])
    world.count("x")
    sender = world.start("x", "failover")
    world.admit(sender)
    world.count("x", "failover")


def prints_a_count_of_the_main_before(world: World) -> None:
    world.exit(world.senders["x"], "success")
    sender = world.start("x", "main")
    world.count("x")
    world.admit(sender)
    world.count("x")


def prints_a_line_cut_in_two(world: World) -> None:
    world.receive('{"count": 3, "app')
    world.count("x")


def has_other_names(world: World) -> None:
    sender = world.start("y", "main", "App:1")
    world.admit(sender, "App:1", "node.a")
    world.count("App:1", "node.a")
    world.exit(sender)
    sender = world.start("y", "failover", "App:1")
    world.admit(sender, "App:1", "node.b")
    world.count("App:1", "node.b")


@pytest.mark.parametrize(
    "happens",
    [
        stays_up,
        takes_over_and_back,
        fails_to_start,
        cannot_be_spawned,
        is_stopped_for_a_while,
        restarts_main,
        is_shut_down_and_booted,
        loses_power,
        restarts_the_receiver,
        says_again_who_counts,
        prints_what_the_killed_receiver_did_not,
        prints_a_count_that_was_on_its_way,
        prints_a_count_of_the_main_before,
        prints_a_line_cut_in_two,
        has_other_names,
    ],
)
def test_what_may_happen_is_proven(happens: Callable[[World], None]) -> None:
    world = World().up("x")
    happens(world)
    verdict = judge(world)
    assert (outcome(verdict), found(verdict)) == ({}, "")
    assert verdict.status == PROVEN


# Planted violations. Each is found by its check, and no other check cries.


def starts_the_failover_beside_main(world: World) -> None:
    main = world.senders["x"]
    world.start("x", "failover")
    world.wait(0.001)
    world.exit(main)


def starts_the_failover_beside_a_process_left_behind(world: World) -> None:
    main = world.senders["x"]
    leftover = {"CODE_FUNC": "unit_log_leftover_process_stop"}
    world.pid1(main.unit, main.run, "failed", UNIT_RESULT="timeout")
    world.pid1(main.unit, main.run, "remains", **leftover)
    world.start("x", "failover")


def prints_a_count_twice(world: World) -> None:
    world.print("x", "main", 2)


def prints_a_count_twice_much_later(world: World) -> None:
    world.count("x", times=500)
    world.print("x", "main", 2)


def skips_a_count(world: World) -> None:
    world.counts["x"] += 1
    world.count("x")


def swaps_two_counts(world: World) -> None:
    world.print("x", "main", 4)
    world.print("x", "main", 3)


def prints_one_below_the_first(world: World) -> None:
    world.counts["z"] = 50
    world.admit(world.start("z", "main"))
    world.count("z")
    world.print("z", "main", 49)


def counts_for_a_node_without_a_run(world: World) -> None:
    world.count("x", "failover")


def counts_long_after_its_exit(world: World) -> None:
    world.exit(world.senders["x"])
    world.wait(60)
    world.count("x")


def is_admitted_long_after_its_exit(world: World) -> None:
    sender = world.start("x", "main")
    world.exit(sender)
    world.wait(60)
    world.admit(sender)


def lets_an_older_run_in(world: World) -> None:
    world.take_over("x")
    world.count("x", "main")


def admits_an_old_epoch(world: World) -> None:
    world.take_over("x")
    world.epochs["x"] = 0
    world.take_over("x")


def admits_an_epoch_twice(world: World) -> None:
    world.epochs["x"] -= 1
    world.take_over("x")


@pytest.mark.parametrize(
    ("violation", "checks"),
    [
        (starts_the_failover_beside_main, {f.ONE, f.ORDER}),
        (starts_the_failover_beside_a_process_left_behind, {f.ONE, f.ORDER}),
        (prints_a_count_twice, {f.ONCE}),
        (prints_a_count_twice_much_later, {f.ONCE}),
        (skips_a_count, {f.NO_GAP}),
        (swaps_two_counts, {f.IN_ORDER}),
        (prints_one_below_the_first, {f.IN_ORDER}),
        (counts_for_a_node_without_a_run, {f.OWN}),
        (counts_long_after_its_exit, {f.OWN}),
        (is_admitted_long_after_its_exit, {f.OWN}),
        (lets_an_older_run_in, {f.NEWER}),
        (admits_an_old_epoch, {f.EPOCHS}),
        (admits_an_epoch_twice, {f.EPOCHS}),
    ],
)
def test_a_violation_is_found(violation: Callable[[World], None], checks: set[str]) -> None:
    world = World().up("x", "other")
    violation(world)
    verdict = judge(world)
    violated = {name for name, status in outcome(verdict).items() if status == VIOLATED}
    assert violated == checks, found(verdict)
    assert verdict.status == VIOLATED


# A holder of the token may name any run in a claim.


def overlapping() -> World:
    world = World().up("x")
    main = world.senders["x"]
    failover = world.start("x", "failover")
    world.exit(main)
    world.admit(failover)
    world.count("x", "failover")
    return world


def session_line(app: str, run: str, epoch: int = 1, last: int | None = None) -> str:
    session = {"appID": app, "nodeID": "failover", "epoch": epoch, "run": run, "last": last}
    return f"session {json.dumps(session)}"


def both(world: World) -> dict[str, dict[str, str]]:
    verdict = judge(world)
    return {
        app.app: {check.name: check.status for check in app.checks if check.status == VIOLATED}
        for app in verdict.apps
    }


@pytest.mark.parametrize("which", [0, 1])
def test_a_run_that_two_apps_claim_stays_in_both_verdicts(which: int) -> None:
    world = overlapping()
    starts = [entry for entry in world.entries if entry["MESSAGE"].endswith("starting")]
    run = [entry["INVOCATION_ID"] for entry in starts if "sender" in entry["UNIT"]][which]
    world.receive(session_line("evil", run), 5)
    verdicts = both(world)
    assert verdicts["x"] == dict.fromkeys([f.ONE, f.ORDER], VIOLATED)
    assert verdicts["evil"] == dict.fromkeys([f.ONE, f.ORDER, f.OWN], VIOLATED)
    assert f"run {run[:8]} of App x was admitted for evil" in found(judge(world))


def claimed_twice(app: str, claimant: str, *, first: bool, tells: str = "") -> World:
    """A run of the instance x, which counts for `app`, and which `claimant` claims: `first`, or
    after the App did. tells: the App that its process names in its own entry.
    """
    world = World()
    world.start_receiver()
    sender = world.start("x", "main", app)
    lines = [session_line(claimant, sender.run), session_line(app, sender.run)]
    for line in lines if first else lines[::-1]:
        world.receive(line, 5)
    if tells:
        world.tell(sender, tells)
    world.count(app, "failover", 3)
    return world


def statuses(world: World, app: str) -> tuple[str, str]:
    """Of an App, and of its check of runs."""
    (one,) = [one for one in judge(world).apps if one.app == app]
    return one.status, next(check.status for check in one.checks if check.name == f.OWN)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("app", "claimant", "tells"),
    [
        ("x", "evil", ""),  # by the name of the instance
        ("x", "evil", "x"),
        ("z", "evil", "z"),  # it has SENDRECV_APP_ID=z
        ("z", "x", "z"),  # and an App has the name of the instance
    ],
)
def test_whose_run_it_is_decides_against_the_other(
    app: str, claimant: str, tells: str, first: bool
) -> None:
    world = claimed_twice(app, claimant, first=first, tells=tells)
    assert statuses(world, app) == (PROVEN, PROVEN)
    assert statuses(world, claimant)[1] == VIOLATED
    assert f"of App {app} was admitted for {claimant}" in found(judge(world))


@pytest.mark.parametrize("first", [True, False])
def test_whose_run_it_is_may_be_in_doubt(first: bool) -> None:
    world = claimed_twice("z", "evil", first=first)
    assert statuses(world, "z")[1] == statuses(world, "evil")[1] == INCONCLUSIVE
    assert "whose it is is not known" in found(judge(world))


def test_who_claims_another_apps_run_is_found_whether_or_not_that_one_claims_it() -> None:
    world = World().up("x")
    sender = world.start("x", "main")
    world.tell(sender, "x")
    world.receive(session_line("evil", sender.run), 5)
    world.exit(sender)
    assert statuses(world, "evil")[1] == VIOLATED
    assert f"run {sender.run[:8]} of App x was admitted for evil" in found(judge(world))


@pytest.mark.parametrize(
    "disguise",
    [
        {"_SYSTEMD_UNIT": "attacker.service"},
        {"_SYSTEMD_UNIT": "user@1000.service", "_SYSTEMD_USER_UNIT": "sender@x.service"},
        {"_TRANSPORT": "syslog"},
        {"_SYSTEMD_INVOCATION_ID": "f" * 32},
    ],
)
def test_only_the_process_itself_says_whose_it_is(disguise: Fields) -> None:
    world = claimed_twice("x", "evil", first=True)
    world.tell(world.senders["x"], "evil", **disguise)
    assert statuses(world, "x") == (PROVEN, PROVEN)
    assert statuses(world, "evil")[1] == VIOLATED


def test_a_run_that_another_app_claims_first_is_not_taken_away() -> None:
    """The failover was killed before the receiver had admitted it."""
    world = World().up("x")
    main = world.senders["x"]
    failover = world.start("x", "failover")
    world.receive(session_line("evil", failover.run), 5)
    world.exit(failover)
    world.exit(main)
    world.admit(world.start("x", "main"))
    world.count("x")
    assert both(world)["x"].keys() >= {f.ONE}


def test_a_run_that_is_claimed_for_two_nodes_is_found() -> None:
    world = World().up("x")
    world.receive(session_line("x", world.senders["x"].run, epoch=9, last=2), 5)
    assert outcome(judge(world)) == {f.OWN: VIOLATED}
    assert "was admitted as main and as failover" in found(judge(world))


def test_an_instance_whose_app_id_was_changed_is_no_violation() -> None:
    world = World().up("x")
    world.exit(world.senders["x"], "success")
    world.admit(world.start("x", "main", "z"), "z")
    world.count("z")
    verdict = judge(world)
    assert (verdict.status, [app.app for app in verdict.apps]) == (PROVEN, ["x", "z"])
    assert [len(app.lives) for app in verdict.apps] == [1, 1]


def test_the_witnesses_are_the_entries() -> None:
    world = World().up("x")
    again = world.print("x", "failover", 1)
    first = next(entry for entry in world.entries if '"count": 1,' in entry["MESSAGE"])
    checks = {check.name: check for check in judge(world).apps[0].checks}
    (finding,) = checks[f.ONCE].findings
    assert finding.text == "count 1 was printed twice, by main and by failover"
    assert [exhibit.ref for exhibit in finding.exhibits] == [first["__CURSOR"], again["__CURSOR"]]


def test_each_overlap_is_told_once_with_both_lives() -> None:
    world = World().up("x")
    starts_the_failover_beside_main(world)
    checks = {check.name: check for check in judge(world).apps[0].checks}
    (finding,) = checks[f.ONE].findings
    assert [exhibit.what.split(" ", 1)[1] for exhibit in finding.exhibits] == [
        "starts",
        "started",
        "process killed, status 9",
        "ended: signal",
    ]


def test_violations_without_number_are_counted() -> None:
    world = World().up("x")
    for _ in range(100):
        world.print("x", "main", 1)
    checks = {check.name: check for check in judge(world).apps[0].checks}
    assert len(checks[f.ONCE].findings) + checks[f.ONCE].more == 100
    assert checks[f.ONCE].more == 80


def test_the_machine_is_trusted_and_nobody_else() -> None:
    """An attacker's lines: of another unit, another user, another PID, another transport."""
    world = World().up("x")
    true = len(world.entries)
    world.print("x", "failover", 2)
    world.start("x", "failover")
    world.start_receiver()
    forged = world.entries[true:]
    disguises: list[Fields] = [
        {"_SYSTEMD_UNIT": "attacker.service"},
        {"_SYSTEMD_UNIT": "user@1000.service", "_SYSTEMD_USER_UNIT": "receiver.service"},
        {"_TRANSPORT": "syslog"},
    ]
    for disguise in disguises:
        lies = [{**entry, "_PID": "4711", "_UID": "1000", **disguise} for entry in forged]
        verdict = judge([*world.entries[:true], *lies])
        assert verdict.status == PROVEN
        assert verdict.entries == true
    lies = [{**entry, "_PID": "4711", "_TRANSPORT": "journal"} for entry in forged]
    assert judge([*world.entries[:true], *lies]).entries == true


def test_a_takeover_has_four_times_on_one_clock() -> None:
    world = World().up("x")
    world.take_over("x")
    (takeover,) = judge(world).apps[0].takeovers
    marks = [takeover.exited, takeover.started, takeover.ready]
    assert all(mark and mark.at.boot == world.boot_id for mark in marks)
    times = [mark.at.mono for mark in marks if mark]
    assert takeover.first_count and takeover.last_count
    times.append(takeover.first_count.at.mono)
    assert times == sorted(times) and takeover.gap == times[3] - times[0]
    assert takeover.silence == takeover.first_count.at.mono - takeover.last_count.at.mono


@pytest.mark.parametrize(
    ("happens", "kind"),
    [
        (takes_over_and_back, "takeover"),
        (is_stopped_for_a_while, "start"),
        (restarts_main, "restart"),
        (loses_power, "boot"),
    ],
)
def test_only_the_other_half_takes_over(happens: Callable[[World], None], kind: str) -> None:
    world = World().up("x")
    happens(world)
    (app,) = judge(world).apps
    assert {takeover.kind for takeover in app.takeovers} == {kind}
    assert app.number_of_takeovers == (len(app.takeovers) if kind == "takeover" else 0)


def test_one_run_has_nothing_to_show_of_two() -> None:
    (app,) = judge(World().up("x")).apps
    nothing = [check.name for check in app.checks if check.status == NOTHING]
    assert (app.status, nothing) == (PROVEN, [f.ORDER, f.NEWER, f.EPOCHS])
    assert all("0 takeovers" not in check.text for check in app.checks)


@pytest.mark.parametrize(
    ("how", "asked", "why"),
    [
        ("success", False, "success"),
        ("success", True, "stopped"),
        ("signal", False, "signal (killed, status 9)"),
        ("timeout", True, "stopped: timeout"),
    ],
)
def test_a_stop_that_somebody_asked_for_is_said_to_be_one(how: str, asked: bool, why: str) -> None:
    world = World().up("x")
    main = world.senders["x"]
    if asked:
        world.pid1(main.unit, main.run, "stopping")
    world.exit(main, how)
    (life,) = judge(world).apps[0].lives
    assert life.run and life.run.why == why


def waits_for_the_lock(world: World) -> Sender:
    """The failover is started beside main, which has the lock; it gives up after a while."""
    main = world.senders["x"]
    failover = world.start("x", "failover", ready=False)
    world.count("x", times=10)
    world.exit(failover, "exit-code", "71")
    world.senders["x"] = main
    world.epochs["x"] -= 1
    return failover


def test_a_process_that_only_waited_for_the_lock_did_not_run_beside_the_other() -> None:
    world = World().up("x")
    waits_for_the_lock(world)
    world.take_over("x")
    verdict = judge(world)
    assert (verdict.status, outcome(verdict)) == (PROVEN, {})
    (app,) = verdict.apps
    assert [life.run.why for life in app.lives if life.run][1] == "only waited for the App's lock"
    assert app.number_of_takeovers == 1


def test_a_process_that_was_stopped_before_it_was_ready_did_not_run_beside_the_other() -> None:
    world = World().up("x")
    main = world.senders["x"]
    failover = world.start("x", "failover", ready=False)
    world.count("x")
    world.exit(failover, "success")
    world.pid1(failover.unit, failover.run, "stopped", JOB_TYPE="stop")
    world.senders["x"] = main
    world.epochs["x"] -= 1
    world.take_over("x")
    assert outcome(judge(world)) == {}


def test_a_process_that_says_so_and_was_admitted_ran_beside_the_other() -> None:
    world = World().up("x")
    failover = waits_for_the_lock(world)
    world.receive(session_line("x", failover.run, 9, 12), 5)
    world.exit(world.senders["x"])
    assert outcome(judge(world))[f.ONE] == VIOLATED


def test_a_process_beside_the_other_that_ended_otherwise_is_an_overlap() -> None:
    world = World().up("x")
    main = world.senders["x"]
    world.exit(world.start("x", "failover", ready=False), "exit-code")
    world.exit(main)
    assert outcome(judge(world))[f.ONE] == VIOLATED
