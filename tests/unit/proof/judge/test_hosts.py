"""The verdict on Apps of several hosts: joined by epochs and the receiver's order, by no clock."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sendrecv.proof import prove
from sendrecv.proof.judge import findings as f
from sendrecv.proof.judge.hosts import LEASE, RATES
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED, Verdict
from sendrecv.proof.show import picture, report
from sendrecv.proof.statements import Missing
from tests.unit.proof.journals import World, export
from tests.unit.proof.judging import found, judge, outcome
from tests.unit.proof.several import HOURS, Several, interleaved, machine_id

Act = Callable[[Several], None]
DROPPED = {
    **{"MESSAGE_ID": "a596d6fe7bfa4994828e72309e95d61e", "_TRANSPORT": "driver"},
    **{"OBJECT_SYSTEMD_UNIT": "receiver.service", "N_DROPPED": "2", "MESSAGE": "Suppressed"},
}


def other_than(several: Several, *names: str) -> str:
    return next(name for name in several.hosts if name not in names)


# What may happen.


def counts(several: Several) -> None:
    several.count(3)


def loses_its_host(several: Several) -> None:
    lost = several.holder
    several.power_cut(lost)
    several.wait(2)
    several.take(other_than(several, lost))
    several.stand_by(lost)


def loses_the_host_of_a_stand_by(several: Several) -> None:
    lost = other_than(several, several.holder)
    several.power_cut(lost)
    several.count()
    several.stand_by(lost)


def is_killed(several: Several) -> None:
    holder = several.holder
    several.half_ends(holder)
    several.take(holder)


def a_stand_by_is_killed(several: Several) -> None:
    several.half_ends(other_than(several, several.holder), "watchdog")
    several.count()


def loses_the_lease_and_stands_by(several: Several) -> None:
    """Both processes live on, and the one before takes it once more."""
    before = several.holder
    several.take(other_than(several, before))
    several.take(before)


def takes_the_lease_again(several: Several) -> None:
    """The same process, under the next epoch, with nobody between."""
    several.take(several.holder)


def is_stopped_on_its_host(several: Several) -> None:
    host = several.hosts[several.holder]
    before = several.holder
    host.stop_pair(several.app)
    several.take(other_than(several, before))
    several.stand_by(before)


def is_shut_down(several: Several) -> None:
    before = several.holder
    several.hosts[before].boot(clean=True)
    several.take(other_than(several, before))
    several.stand_by(before)


def sees_the_receiver_restart(several: Several) -> None:
    several.receiver.start_receiver()
    several.count()


def prints_what_the_killed_receiver_did_not(several: Several) -> None:
    """Its sender has ended since, long ago."""
    sender, node = several.sender(), several.node(several.sender(), several.holder)
    several.hosts[several.holder].exit(sender)
    several.wait(100)
    number = several.receiver.counts["x"]
    several.receiver.start_receiver([("x", node, number)])
    several.receiver.counts["x"] += 1
    several.stand_by(several.holder)
    several.take(several.holder)


def a_wall_clock_is_set(several: Several) -> None:
    several.hosts[several.holder].clock -= 7 * HOURS
    several.receiver.clock += 2 * HOURS
    several.count()


HARMLESS: list[Act] = [
    counts,
    loses_its_host,
    loses_the_host_of_a_stand_by,
    is_killed,
    a_stand_by_is_killed,
    loses_the_lease_and_stands_by,
    takes_the_lease_again,
    is_stopped_on_its_host,
    is_shut_down,
    sees_the_receiver_restart,
    prints_what_the_killed_receiver_did_not,
    a_wall_clock_is_set,
]
histories = st.lists(st.sampled_from(HARMLESS), max_size=6)
orders = st.lists(st.integers(0, 40), max_size=30)


def lived(*histories: list[Act]) -> Several:
    several = Several().up()
    for history in histories:
        for act in history:
            act(several)
    return several


def told(verdict: Verdict) -> dict[str, object]:
    """All that a verdict says, but for the order in which the boots were read."""
    whole = json.loads(json.dumps(report.as_json(verdict)))
    whole["boots"].sort(key=lambda boot: (boot["machine"], boot["boot"]))
    whole["notes"].sort()
    return dict(whole)


@pytest.mark.parametrize("act", HARMLESS)
def test_what_may_happen_is_proven_and_the_remark_says_on_what_it_rests(act: Act) -> None:
    verdict = judge(lived([loses_its_host, act]).entries())
    assert (outcome(verdict), found(verdict), verdict.status) == ({}, "", PROVEN)
    rests = {check.name: check.rests_on for check in verdict.apps[0].checks if check.rests_on}
    assert rests == {f.ONE: LEASE, f.ORDER: LEASE, f.OWN: RATES}


@given(histories, orders)
def test_in_whichever_order_hosts_are_read_the_verdict_is_the_same(
    history: list[Act], order: list[int]
) -> None:
    several = lived(history)
    verdict = judge(several.entries())
    assert (outcome(verdict), found(verdict), verdict.status) == ({}, "", PROVEN)
    assert told(judge(interleaved(several, order))) == told(verdict)


def test_a_run_that_never_counted_has_the_node_of_others_of_its_unit_or_none() -> None:
    several = lived([is_killed])  # a has counted as a and as a-failover
    for role in ("main", "failover"):
        several.hosts["a"].exit(several.sender("a"), "signal")
        several.stand_by("a", role=role)
    (app,) = judge(several.entries()).apps
    nodes: dict[str, list[tuple[bool, str]]] = {name: [] for name in several.hosts}
    for life in app.lives:
        assert life.run is not None
        name = next(name for name in nodes if machine_id(name) == life.run.machine)
        nodes[name].append((life.session is not None, life.node))
    counted, waited = True, False
    assert nodes["a"] == [
        (counted, "a"),
        (counted, "a-failover"),
        (waited, "a"),
        (waited, "a-failover"),
    ]
    assert nodes["b"] == nodes["c"] == [(waited, "?")]


# What may not.


def sees_an_epoch_twice(several: Several) -> None:
    several.epoch -= 1
    several.take(other_than(several, several.holder))


def sees_an_older_epoch(several: Several) -> None:
    before = several.holder
    several.take(other_than(several, before))
    several.epoch -= 2
    several.take(before)


def counts_for_an_older_run(several: Several) -> None:
    before = several.holder
    several.take(other_than(several, before))
    several.holder = before
    several.count()


def counts_from_two(several: Several) -> None:
    number = several.receiver.counts["x"] - 1
    several.receiver.print("x", other_than(several, several.holder), number)


def counts_by_hand(several: Several, name: str) -> None:
    """A sender that PID 1 of that host did not start."""
    sender = several.sender(name)
    several.hosts[name].senders["x"] = Several("z").up().sender("z")
    several.take(name)
    several.hosts[name].senders["x"] = sender


def admits_what_no_host_started(several: Several) -> None:
    """On the host that counts; then its own one counts again."""
    counts_by_hand(several, several.holder)
    several.take(several.holder)


def admits_what_no_host_started_on_a_stand_by(several: Several) -> None:
    """The host has counted before, and counts again later."""
    before = several.holder
    holder = other_than(several, before)
    several.take(holder)
    counts_by_hand(several, before)
    several.take(holder)
    several.take(before)


def starts_two_on_one_host(several: Several) -> None:
    """Of those that stand by."""
    name = other_than(several, several.holder)
    before = several.sender(name)
    several.stand_by(name, role="failover")
    several.hosts[name].exit(before)


def skips(several: Several) -> None:
    several.receiver.counts["x"] += 1
    several.count()


PLANTED: list[tuple[Act, set[str]]] = [
    (sees_an_epoch_twice, {f.EPOCHS}),
    (sees_an_older_epoch, {f.EPOCHS}),
    (counts_for_an_older_run, {f.NEWER}),
    (counts_from_two, {f.ONCE, f.NEWER, f.OWN}),
    (admits_what_no_host_started, {f.OWN}),
    (admits_what_no_host_started_on_a_stand_by, {f.OWN}),
    (starts_two_on_one_host, {f.ONE, f.ORDER}),
    (skips, {f.NO_GAP}),
]


@given(histories, st.sampled_from(PLANTED), histories, orders)
def test_what_may_not_is_found(
    before: list[Act], planted: tuple[Act, set[str]], after: list[Act], order: list[int]
) -> None:
    act, checks = planted
    several = lived(before, [act], after)
    verdict = judge(interleaved(several, order))
    violated = {name for name, status in outcome(verdict).items() if status == VIOLATED}
    assert verdict.status == VIOLATED and violated and violated <= checks, found(verdict)
    assert told(judge(several.entries())) == told(verdict)


# What is missing.


COUNTS = (f.ONCE, f.IN_ORDER, f.NO_GAP, f.NEWER, f.EPOCHS, f.WHOLE)


@pytest.mark.parametrize("lost", ["a", "b"])
def test_a_host_whose_journal_is_missing_is_named(lost: str) -> None:
    several = lived([loses_its_host, counts])
    verdict = judge(several.entries(without=lost))
    assert outcome(verdict) == dict.fromkeys((f.ONE, f.OWN), INCONCLUSIVE)
    assert f"the journal of the host of {lost} is not here" in found(verdict)
    assert verdict.apps[0].missing == ((lost,),)


def test_of_a_host_that_only_stood_by_nothing_is_missed() -> None:
    several = lived([loses_its_host, counts])
    assert judge(several.entries(without="c")).status == PROVEN


def test_both_halves_of_a_missing_host_are_named_as_one() -> None:
    several = lived([is_killed])
    verdict = judge(several.entries(without="a"))
    assert outcome(verdict) == dict.fromkeys((f.ONE, f.ORDER, f.OWN), INCONCLUSIVE)
    assert "host of a and a-failover is not here, with the starts and ends of 2 runs" in (
        found(verdict)
    )


def test_the_receivers_journal_alone_proves_the_counts() -> None:
    several = lived([loses_its_host, is_killed])
    verdict = judge(several.entries(without="abc"))
    statuses = {check.name: check.status for check in verdict.apps[0].checks}
    assert {statuses[name] for name in COUNTS} == {PROVEN}
    assert verdict.status == INCONCLUSIVE and len(verdict.apps[0].missing) == 2


def test_without_the_receiver_no_count_is_proven() -> None:
    verdict = judge(lived([loses_its_host]).entries(without="r"))
    assert verdict.status == INCONCLUSIVE
    assert outcome(verdict)[f.ONCE] == outcome(verdict)[f.EPOCHS] == INCONCLUSIVE


def test_counts_that_came_for_longer_than_their_run_lived_are_a_doubt() -> None:
    """As of somebody who names a run of another host that has ended."""
    several = Several().up()
    several.hosts["a"].exit(several.sender())
    several.count(15)
    assert judge(several.entries()).status == PROVEN, "they may have been on their way"
    several.count(15)
    verdict = judge(several.entries())
    assert outcome(verdict) == {f.OWN: INCONCLUSIVE}
    assert "came for 32 s, and by PID 1 it lived for 2 s" in found(verdict)


def test_a_host_that_was_suspended_has_lived_as_long_as_its_wall_clock_shows() -> None:
    """What was in flight comes after it."""
    several = Several().up()
    host, now = several.hosts["a"], several.hosts["a"].now
    several.wait(3600)
    host.now, host.clock = now, host.clock + HOURS
    several.count()
    is_killed(several)
    assert judge(several.entries()).status == PROVEN


def unknown_run(several: Several) -> Several:
    """The newest run of a is not in its journal; others were."""
    several.half_ends("a")
    several.take("a")
    return several


def test_a_journal_that_ends_too_soon_does_not_have_the_run() -> None:
    several = Several().up()
    several.hosts["a"].clock = several.receiver.clock
    kept = len(several.hosts["a"].entries)
    unknown_run(several)
    del several.hosts["a"].entries[kept:]
    verdict = judge(several.entries())
    assert outcome(verdict) == {f.OWN: INCONCLUSIVE}
    assert "the journal of a ends before that" in found(verdict)


def test_a_journal_that_goes_on_has_each_run_that_was_admitted_before() -> None:
    several = Several().up()
    several.hosts["a"].clock = several.receiver.clock
    several.take("b")
    counts_by_hand(several, "a")
    several.wait(60)
    several.half_ends("a")
    verdict = judge(several.entries())
    assert outcome(verdict) == {f.OWN: VIOLATED}
    assert "and PID 1 of a did not start it" in found(verdict)


def test_a_stand_by_whose_journal_was_read_until_later_has_no_other_run(tmp_path: Path) -> None:
    """Its last evidence is old. Other entries show that the journal goes on; a bundle says so."""
    several = Several().up()
    several.take("b")
    counts_by_hand(several, "a")
    host = several.hosts["a"]
    host.clock += 99 * HOURS
    host.write({"_TRANSPORT": "kernel", "MESSAGE": "it is getting late"})
    files = {name: tmp_path / name for name in several.all}
    for name, world in several.all.items():
        files[name].write_bytes(export(world.entries))
    bundle = tmp_path / "bundle"
    assert run(["--file", files["a"], "--bundle", bundle]) == 2, "nothing but a stand-by"
    for first in (files["a"], bundle):
        assert run(["--file", first, *(f"--file={files[name]}" for name in "bcr")]) == 1
    files["a"].write_bytes(export(host.entries[:-1]))
    assert run([f"--file={file}" for file in files.values()]) == 2


def run(arguments: list[Path | str]) -> int:
    with redirect_stdout(io.StringIO()):
        return prove.main(list(map(str, arguments)))


def test_a_node_that_is_none_of_a_known_host_is_one_of_a_missing_host() -> None:
    several = Several().up()
    sender = several.sender()
    several.epoch += 1
    sender.epoch, sender.run = several.epoch, "e" * 32
    several.receiver.admit(sender, "x", "elsewhere")
    verdict = judge(several.entries())
    assert outcome(verdict) == dict.fromkeys((f.ONE, f.OWN), INCONCLUSIVE)
    assert "the journal of the host of elsewhere is not here" in found(verdict)


def test_a_journal_that_begins_too_late_does_not_have_the_run() -> None:
    several = unknown_run(Several().up())
    kept = len(several.hosts["a"].entries)
    several.half_ends("a")
    several.take("a")
    del several.hosts["a"].entries[:kept]
    verdict = judge(several.entries())
    assert verdict.status == INCONCLUSIVE
    assert "no earlier run of it was admitted" in found(verdict)


def test_a_power_cut_may_have_taken_the_start_of_a_run_from_its_hosts_journal() -> None:
    several = Several().up()
    kept = len(several.hosts["a"].entries)
    unknown_run(several)
    del several.hosts["a"].entries[kept:]
    loses_its_host(several)
    several.take("a")
    verdict = judge(several.entries())
    assert outcome(verdict) == {f.OWN: INCONCLUSIVE}
    assert "went down without a shutdown" in found(verdict)


def test_what_one_host_lost_excuses_nothing_of_another() -> None:
    """A power cut of a, and a gap in what the receiver of r printed."""
    several = lived([loses_its_host])
    several.receiver.counts["x"] += 1
    several.count()
    lines = several.receiver.entries
    # The power cut is read just before the count that comes after the gap.
    verdict = judge([*lines[:-1], *several.entries(without="r"), lines[-1]])
    assert outcome(verdict) == {f.NO_GAP: VIOLATED}


def test_on_each_host_the_first_run_may_be_older_than_its_journal() -> None:
    """Of those that stood by, and have ended since."""
    several = Several().up()
    for name in "bc":
        del several.hosts[name].entries[:2]
        several.half_ends(name)
    assert judge(several.entries()).status == PROVEN
    several.take("b")
    several.half_ends("c")
    starts = [e for e in several.hosts["c"].entries if e["MESSAGE"].endswith(": starting")]
    several.hosts["c"].entries.remove(starts[-1])
    verdict = judge(several.entries())
    assert outcome(verdict) == {f.ONE: INCONCLUSIVE}


def test_a_hole_in_the_journal_of_a_host_is_one_of_its_own_apps() -> None:
    several = lived([loses_its_host])
    alone = World(machine=machine_id("d"), name="d").up("y")
    alone.write(DROPPED)
    verdict = judge([*several.entries(), *alone.entries])
    assert [(app.app, app.status) for app in verdict.apps] == [("x", PROVEN), ("y", INCONCLUSIVE)]
    assert "d: journald dropped 2 entries" in found(verdict)


@pytest.mark.parametrize(("name", "status"), [("r", INCONCLUSIVE), ("a", VIOLATED)])
def test_a_hole_has_its_place_by_the_clock_of_its_own_host(name: str, status: str) -> None:
    """Whatever the other hosts' clocks show. Only that of the receiver's host excuses its gap."""
    several = Several().up()
    several.receiver.counts["x"] += 1
    several.count()
    until = int(several.all[name].entries[-1]["__REALTIME_TIMESTAMP"])
    hole = Missing("entries 7 to 9 are missing", until, machine=machine_id(name))
    verdict = judge(several.entries(), missing=(hole,))
    assert outcome(verdict) == {f.NO_GAP: status, f.WHOLE: INCONCLUSIVE}
    later = hole._replace(until=until + HOURS)
    assert outcome(judge(several.entries(), missing=(later,)))[f.NO_GAP] == VIOLATED


def test_the_journal_of_each_host_has_a_beginning_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a host that was added later."""
    several = lived([loses_its_host])
    several.hosts["c"].clock += 999 * HOURS
    several.hosts["c"].write({"_TRANSPORT": "kernel", "MESSAGE": "it is early"})
    since = max(int(one.entries[0]["__REALTIME_TIMESTAMP"]) for one in several.all.values()) + 1
    del several.hosts["c"].entries[:-1]
    files = {name: tmp_path / name for name in several.all}
    for name, world in several.all.items():
        files[name].write_bytes(export(world.entries))
    bundle = tmp_path / "bundle"
    whole = [f"--file={file}" for file in files.values()]
    for arguments in ([*whole, f"--since=@{since / 1e6:.6f}", "--bundle", bundle], ["-f", bundle]):
        prove.main(list(map(str, arguments)))
        notes = [line for line in capsys.readouterr().out.splitlines() if "begins at" in line]
        assert len(notes) == 1 and "the journal begins at" in notes[0]


def test_what_the_receivers_host_lost_excuses_its_lines() -> None:
    several = Several().up()
    several.receiver.boot(clean=False)
    several.receiver.start_receiver()
    several.receiver.counts["x"] += 1
    several.count()
    assert outcome(judge(several.entries())) == {f.NO_GAP: INCONCLUSIVE}


def test_an_app_of_two_receivers_is_not_proven() -> None:
    several = Several().up()
    second = several.hosts["c"]
    second.start_receiver()
    second.counts = several.receiver.counts
    several.receiver = second
    several.take("b")
    entries = [e for world in (Several().up(), several) for e in world.receiver.entries]
    verdict = judge([*entries, *several.hosts["a"].entries, *several.hosts["b"].entries])
    assert outcome(verdict) == {f.WHOLE: INCONCLUSIVE}
    assert "the receivers of c and r have lines of it" in found(verdict)


def test_containers_that_share_a_kernel_may_share_a_boot_id() -> None:
    several = lived([loses_its_host, is_killed])
    shared = [{**entry, "_BOOT_ID": "b" * 32} for entry in Several().up().entries()]
    assert judge(shared).status == PROVEN
    assert len(judge(shared).boots) == 4 < len(judge(several.entries()).boots)


def test_a_run_in_the_journals_of_two_hosts_is_a_doubt() -> None:
    """As of machines that are copies of one."""
    several = Several().up()
    copy = [{**e, "_MACHINE_ID": machine_id("copy")} for e in several.hosts["a"].entries]
    verdict = judge([*several.entries(), *copy])
    assert outcome(verdict) == {f.WHOLE: INCONCLUSIVE}
    assert "is in the journals of two hosts" in found(verdict)


# What is shown.


def test_takeovers_from_host_to_host_are_counted_and_have_no_times_of_processes() -> None:
    verdict = judge(lived([loses_its_host, is_killed]).entries())
    (app,) = verdict.apps
    assert [one.kind for one in app.takeovers] == ["host", "takeover"]
    assert app.number_of_takeovers == 2
    first, second = app.takeovers
    assert (first.exited, first.started, first.ready, first.gap) == (None, None, None, None)
    assert first.silence == 3_000_300 + 300
    assert second.exited and second.started and second.gap is None and second.silence


def test_the_report_has_a_column_for_the_host_and_says_on_what_it_rests() -> None:
    lines = list(report.text(judge(lived([loses_its_host]).entries())))
    heading = next(line.split() for line in lines if line.startswith("  run "))
    assert heading[:3] == ["run", "host", "node"]
    rows = [line.split()[1:3] for line in lines if line.startswith("  1  ") or "  2  " in line[:6]]
    assert rows == [["a", "a"], ["b", "b"]]
    assert sum(line == f"      rests on {LEASE}" for line in lines) == 2
    assert any(line.startswith("note: a: the machine went down") for line in lines)
    assert any("1 > 2 (host)" in line for line in lines)
    alone = "\n".join(report.text(judge(World().up("x"))))
    assert "host" not in alone and "rests on" not in alone


def test_the_json_names_hosts() -> None:
    whole = report.as_json(judge(lived([loses_its_host]).entries(without="a")))
    assert [one["host"] for one in whole["hosts"]] == ["b", "c", "r"]
    (app,) = whole["apps"]
    assert app["hosts"] == [machine_id("b"), machine_id("c")]
    assert app["missing_hosts"] == [{"nodes": ["a"]}]
    assert {one["check"] for one in app["checks"] if one["rests_on"]} == {f.ONE, f.OWN}


def test_the_picture_has_a_lane_for_each_host() -> None:
    drawn = picture.draw(judge(lived([loses_its_host, is_killed]).entries()))
    assert drawn.count('class="lane"') == 4, "a, b, b-failover and c"
