"""Who counts, since when, and what is wrong: from what systemd, the receiver and files say."""

import pytest

from sendrecv.admin import units
from sendrecv.admin.bus import Listed
from sendrecv.admin.facts import App, Facts, Sources, apps_of
from sendrecv.admin.problems import Problem, problems
from sendrecv.admin.receiver import Receiver, parse
from sendrecv.admin.units import Half, Units, half_of
from sendrecv.config import STATUS_URL
from sendrecv.core.record import Record
from sendrecv.core.values import SECOND
from sendrecv.errors import NO_TOKEN, UNAVAILABLE

NOW = 1_795_764_433.0
RUN, OTHER_RUN, BOOT = "a" * 32, "c" * 32, "b" * 32
ROW = {
    "nodeID": "main",
    "epoch": 7,
    "count": 41,
    "connectedSince": NOW - 2,  # the receiver has restarted since
    "run": RUN,
    "lastCountAgo": 0.4,
    "beat": 1.0,
}
RECORD = Record("x", 7, 42, 41, 99 * SECOND, BOOT, "main", RUN, fastest=SECOND)
MAIN = half_of("x", "main").replace(
    state="active", since=NOW - 3600, run=RUN, text="connected, epoch 7"
)
FAILED = half_of("x", "failover").replace(state="failed", result="start-limit-hit")
LISTENING = {"receiver.socket": "active", "receiver.service": "active"}


RECEIVER = {"since": NOW - 5, "connections": 1}


def sources(
    *halves: Half,
    row: dict[str, object] | None = None,
    record: Record | None = None,
    meant: bool = True,
    **more: object,
) -> Sources:
    answer = {"apps": {"x": row} if row else {}, "receiver": RECEIVER}
    known = Units(
        {(half.instance, half.role): half for half in halves},
        meant=frozenset({"x"} if meant else ()),
        others=LISTENING,
    )
    one = Sources(
        when=NOW,
        boot=BOOT,
        now=100 * SECOND,
        host="alpha",
        receiver=parse("unix:///x", answer),
        units=known,
        records={"x": record} if record else {},
        enabled=frozenset(),
        app_ids={},
    )
    return one.replace(**more)


def app(given: Sources) -> App:
    found = [*apps_of(given)]
    assert len(found) == 1
    return found[0]


def wrong(given: Sources, has_token: bool = True) -> list[Problem]:
    facts = Facts(NOW, "alpha", given.receiver, given.units, (*apps_of(given),), True, has_token)
    return problems(facts)


def codes(given: Sources, has_token: bool = True) -> list[tuple[str, str]]:
    return [(it.app, it.code) for it in wrong(given, has_token)]


# An App that runs.


def test_an_app_that_counts() -> None:
    one = app(sources(MAIN, row=ROW, record=RECORD))
    assert (one.state, one.half, one.node, one.host) == ("counting", "main", "main", "")
    assert one.since == NOW - 3600 and one.connected == NOW - 2
    assert (one.count, one.epoch, one.beat, one.late, one.backlog) == (41, 7, 1.0, 1.0, 1)
    assert (one.meant, one.at_boot, one.takeover) == (True, False, None)
    assert codes(sources(MAIN, row=ROW, record=RECORD)) == []


def test_the_record_of_an_older_run_says_nothing_of_this_one() -> None:
    record = RECORD.replace(run=OTHER_RUN, acknowledged=0, due=0)
    one = app(sources(MAIN, row=ROW, record=record))
    assert (one.state, one.backlog, one.late) == ("counting", 0, 0.0)
    text = "counting here since 2026-11-27 06:00:00 UTC, count 42, connected, epoch 7"
    record = RECORD.replace(acknowledged=0, due=0)
    assert app(sources(MAIN.replace(text=text), row=ROW, record=record)).backlog == 0


def test_without_the_record_the_receiver_says_how_late_it_is() -> None:
    one = app(sources(MAIN, row={**ROW, "lastCountAgo": 1.75}))
    assert (one.late, one.backlog, one.count) == (0.75, 0, 41)


def test_how_late_an_app_is_that_counts_as_fast_as_it_can() -> None:
    """Its record has no time when the next count is due."""
    row = {**ROW, "lastCountAgo": 0.01, "beat": 0.001}
    assert app(sources(MAIN, row=row, record=RECORD.replace(due=0, fastest=0))).late == 0.009


def test_whoever_may_not_ask_the_receiver_believes_the_sender() -> None:
    silent = Receiver("unix:///x", error="you may not ask", exit_status=77)
    one = app(sources(MAIN, receiver=silent))
    assert (one.state, one.node, one.epoch, one.count) == ("counting", "main", 7, None)
    late = MAIN.replace(text="connecting, epoch 7, count 50, 9 not acknowledged")
    one = app(sources(late, receiver=silent))
    assert (one.state, one.backlog) == ("not delivered", 9)


@pytest.mark.parametrize(
    ("text", "row", "state"),
    [
        # PID 1 may have an older text than the receiver, and the receiver may be another one.
        ("connecting, epoch 7, count 9", ROW, "counting"),
        ("connected, epoch 7", {}, "counting"),
        ("connecting, epoch 7, count 9", {}, "not delivered"),
        ("connecting, epoch 7, count 9", {**ROW, "run": OTHER_RUN}, "not delivered"),
        ("connected, epoch 7, count 99, 50 not acknowledged", {**ROW, "lastCountAgo": 60}, None),
        ("connected, epoch 7, count 99, 50 not acknowledged", ROW, "counting"),
        ("connected, epoch 7", {**ROW, "lastCountAgo": 3000, "beat": 3600.0}, "counting"),
        ("waiting until the record can be written", {**ROW, "lastCountAgo": 60}, None),
        # Once a minute, perhaps; the receiver has restarted, and does not know yet.
        ("connected, epoch 7", {**ROW, "lastCountAgo": 30, "beat": None}, "counting"),
        ("resuming, epoch 7, count 9, the receiver is not believed (see the journal)", ROW, None),
        ("", {}, "not delivered"),
    ],
)
def test_what_is_delivered(text: str, row: dict[str, object], state: str | None) -> None:
    given = sources(MAIN.replace(text=text), row=row)
    assert app(given).state == (state or "not delivered")
    assert (("x", "not-delivered") in codes(given)) == (state != "counting")


def test_a_record_that_cannot_be_written() -> None:
    text = "waiting until the record can be written"
    record = RECORD.replace(count=41, due=90 * SECOND)
    (problem,) = wrong(sources(MAIN.replace(text=text), row=ROW, record=record))
    assert problem.text.endswith("nothing is delivered: waiting until the record can be written")
    assert problem.commands == ("journalctl -n 20 -u sender@x",)
    assert wrong(sources(MAIN, row=ROW, record=record))[0].text.endswith("no count is taken")


def test_a_half_that_has_just_started_may_be_without_a_connection() -> None:
    half = MAIN.replace(since=NOW - 1, text="connecting, epoch 7, no count yet")
    assert app(sources(half)).state == "starting" and codes(sources(half)) == []
    # And one that has not found a receiver that has just started.
    half = half.replace(since=NOW - 60)
    new = sources(half).units.replace(began=NOW - 1)
    assert app(sources(half, units=new)).state == "starting"
    assert app(sources(half)).state == "not delivered"


def test_the_receivers_name_for_an_app_is_found_by_its_run_or_its_settings() -> None:
    row = parse("", {"apps": {"y": ROW}, "receiver": None})
    one = app(sources(MAIN, receiver=row))
    assert (one.instance, one.app_id, one.state) == ("x", "y", "counting")
    one = app(sources(meant=False, receiver=row, app_ids={"x": "y"}))
    assert (one.instance, one.app_id, one.state) == ("x", "y", "elsewhere")


def test_a_node_has_the_name_that_the_receiver_knows() -> None:
    one = app(sources(MAIN, row={**ROW, "nodeID": "left"}))
    assert (one.node, one.half) == ("left", "main")


# On several hosts.


def test_an_app_that_another_host_counts() -> None:
    text = "standing by, beta (beta) counts since 2026-11-27 06:00:00 UTC, count 41"
    row = {**ROW, "run": OTHER_RUN, "count": 9}
    given = sources(MAIN.replace(text=text), row=row, record=RECORD)
    one = app(given)
    assert (one.state, one.host, one.node) == ("standing by", "beta", "beta")
    assert one.since == 1_795_759_200 and one.backlog is None and codes(given) == []
    assert (one.count, one.epoch, one.late) == (41, None, None)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("standing by, no endpoint of etcd answers: 127.0.0.1:2379 (refused)", "not delivered"),
        ("no host counts", "not delivered"),
        ("standing by, alpha (alpha) has released the App for beta, count 7", "starting"),
    ],
)
def test_an_app_that_no_host_is_known_to_count(text: str, state: str) -> None:
    given = sources(MAIN.replace(text=text))
    assert app(given).state == state
    assert app(sources(MAIN.replace(text=text, since=NOW - 1))).state == "starting"
    said = [problem.text for problem in wrong(given)]
    assert said == [f"App x runs, and nothing is delivered: {text}"] * (state != "starting")


def test_a_file_that_is_older_than_what_the_receiver_has_is_not_the_record() -> None:
    old = RECORD.replace(count=20, acknowledged=9, due=0)
    one = app(sources(MAIN, row=ROW, record=old))
    assert (one.state, one.backlog, one.late, one.count) == ("counting", 0, 0.0, 41)
    text = "waiting until the record can be written"
    one = app(sources(MAIN.replace(text=text), row={**ROW, "lastCountAgo": 0.2}, record=old))
    assert (one.state, one.backlog, one.late) == ("counting", None, 0.0)


def test_an_app_that_this_host_counts() -> None:
    text = "counting here since 2026-11-27 06:00:00 UTC, count 41, connected, epoch 7"
    one = app(sources(MAIN.replace(text=text), row={**ROW, "nodeID": "alpha"}))
    assert (one.state, one.host, one.node) == ("counting", "alpha", "alpha")
    assert one.since == 1_795_759_200


# An App that does not run.

WAITS = "too many starts one after the other, waiting 11 s"


@pytest.mark.parametrize(
    ("half", "meant", "row", "state"),
    [
        (None, False, {**ROW, "connectedSince": None}, "stopped"),
        (None, False, ROW, "elsewhere"),
        (MAIN.replace(state="activating"), True, {}, "starting"),
        (MAIN.replace(state="deactivating"), True, {}, "starting"),
        (MAIN.replace(state="activating", text=WAITS), True, {}, "should run"),
        (MAIN.replace(state="failed"), True, {}, "should run"),
        (None, True, {}, "should run"),
        (MAIN.replace(state="failed"), False, {**ROW, "connectedSince": None}, "stopped"),
    ],
)
def test_an_app_without_an_active_half(
    half: Half | None, meant: bool, row: dict[str, object], state: str
) -> None:
    given = sources(*[half] if half else [], meant=meant, row=row)
    assert app(given).state == state
    assert [code for _, code in codes(given)] == ["should-run"] * (state == "should run")


def test_all_that_is_known_of_it_is_a_file() -> None:
    one = app(sources(meant=False, record=RECORD))
    assert (one.state, one.count, one.epoch) == ("stopped", 42, 7)
    one = app(sources(meant=False, enabled=frozenset({"x"})))
    assert (one.state, one.at_boot) == ("stopped", True)


def test_a_unit_that_ended_once_is_no_app_if_nobody_else_knows_it() -> None:
    """As after `sendrecv forget`. Who does not see records cannot tell."""
    failed = MAIN.replace(state="failed")
    assert [*apps_of(sources(failed, meant=False))] == []
    assert app(sources(failed, meant=False, sees_records=False)).state == "stopped"
    silent = Receiver("unix:///x", error="no answer", exit_status=69)
    assert app(sources(failed, meant=False, receiver=silent)).state == "stopped"


@pytest.mark.parametrize(
    ("main", "failover", "text", "command"),
    [
        ({"masked": True}, {"masked": True}, "both halves are masked", "systemctl unmask sender@x"),
        ({"masked": True}, {"result": "signal"}, "main is masked, failover was k", "systemctl unm"),
        ({"result": "exit-code", "status": 78}, {}, "main ended with status 78 (A setting is", ""),
        ({"result": "exit-code", "status": 2}, {}, "main ended with status 2 (", ""),
        ({"result": "oom-kill"}, {"result": "new"}, "memory was short, failover has failed (n", ""),
        (
            {"state": "activating", "text": WAITS},
            {"result": "exit-code", "status": 78},
            "failover ended with status 78 (A setting is wrong), too many starts one",
            "journalctl",
        ),
        ({}, {"result": "start-limit-hit"}, "failover was started too often", "systemctl reset-f"),
        ({"result": "success"}, {}, "neither half was started", "systemctl start sender@x"),
    ],
)
def test_why_it_does_not_run(
    main: dict[str, object], failover: dict[str, object], text: str, command: str
) -> None:
    halves = [half_of("x", "main").replace(**main), half_of("x", "failover").replace(**failover)]
    (problem,) = wrong(sources(*halves))
    assert text in problem.text and problem.is_error
    assert problem.commands[0].startswith(command)
    assert problem.commands[-1] == "journalctl -n 20 -u sender@x -u sender-failover@x"


def test_a_token_that_is_missing() -> None:
    given = sources(half_of("x", "main").replace(needs_token=True))
    token, idle = wrong(given, has_token=False)
    assert token.code == "token" and token.commands[0].endswith("> /etc/sendrecv/token)")
    assert idle.text.endswith("and does not: /etc/sendrecv/token is missing")
    assert codes(given) == [("x", "should-run")]
    open_port = Units({}, others={**LISTENING, "receiver-tcp.socket": "active"})
    assert codes(sources(MAIN, row=ROW), has_token=False) == []
    assert codes(sources(meant=False, units=open_port), has_token=False) == [("", "token")]


# Warnings, and what concerns all.


@pytest.mark.parametrize(
    ("failover", "code"),
    [(FAILED, "start-limit"), (half_of("x", "failover").replace(masked=True), "masked")],
)
def test_a_half_that_cannot_take_over_is_a_warning(failover: Half, code: str) -> None:
    (problem,) = wrong(sources(MAIN, failover, row=ROW))
    assert (problem.code, problem.is_error) == (code, False)
    assert failover.unit in problem.commands[0]
    assert codes(sources(failover, meant=False)) == []  # it is stopped


@pytest.mark.parametrize(
    ("others", "masked", "code", "command"),
    [
        ({}, set(), "receiver-socket", "systemctl start receiver.socket"),
        ({"receiver.socket": "failed"}, set(), "receiver-socket", "systemctl start receiver.s"),
        ({}, {"receiver.socket"}, "receiver-masked", "systemctl unmask receiver.socket"),
        (LISTENING, {"receiver.service"}, "receiver-masked", "systemctl unmask receiver.service"),
        ({"receiver.service": "failed"}, set(), "receiver-failed", "journalctl -n 20 -u rec"),
    ],
)
def test_a_receiver_that_does_not_run_explains_what_is_not_delivered(
    others: dict[str, str], masked: set[str], code: str, command: str
) -> None:
    half = MAIN.replace(text="connecting, epoch 7, count 50, 9 not acknowledged")
    known = Units({("x", "main"): half}, frozenset({"x"}), others, masked=frozenset(masked))
    own, consequence = wrong(sources(units=known))
    assert own.code == code and own.commands[0].startswith(command)
    assert consequence.code == "not-delivered" and not consequence.commands
    assert "9 counts kept to send later" in consequence.text


def test_a_receiver_that_does_not_answer() -> None:
    silent = Receiver(STATUS_URL, error="no answer", exit_status=UNAVAILABLE)
    given = sources(MAIN, receiver=silent)
    assert codes(given) == [("", "receiver-silent")]
    elsewhere = silent.replace(url="https://receiver.example:3443")
    may_not_ask = silent.replace(exit_status=NO_TOKEN)
    for other in (elsewhere, may_not_ask):
        assert codes(given.replace(receiver=other)) == []


def test_systemd_that_cannot_be_asked() -> None:
    assert codes(sources(units=Units({}, error="systemd cannot be asked: x"))) == [("", "systemd")]


def test_two_names_that_differ_by_case() -> None:
    rows = parse("", {"apps": {"X": {"epoch": 1}, "x": ROW}, "receiver": None})
    (problem,) = wrong(sources(MAIN, receiver=rows))
    assert (problem.app, problem.code, problem.is_error) == ("X", "name", False)
    assert problem.commands == ("sendrecv forget X",)


# The receiver's answer, and systemd's list.


def test_what_is_wrong_in_an_answer_is_as_if_it_were_not_there() -> None:
    bad = {"count": "7", "epoch": True, "nodeID": "\x1b[m", "beat": [], "connectedSince": "now"}
    found = parse("", {"apps": {"x": bad, "\x1b": ROW}, "receiver": {"since": "a", "rate": None}})
    assert set(found.rows) == {"x"}
    row = found.rows["x"]
    assert (row.count, row.epoch, row.node, row.beat, row.since) == (None, None, "", None, None)
    assert (found.since, found.rate, found.refusal) == (None, None, None)


def test_a_list_of_units() -> None:
    masked = {("x", "failover"): half_of("x", "failover").replace(masked=True)}
    listed = [
        Listed("sender@x.service", "loaded", "active"),
        Listed("sender-failover@x.service", "masked", "inactive"),
        Listed("sender@a@b.service.service", "loaded", "failed"),
        Listed("sendrecv@x.target", "loaded", "active"),
        Listed("sendrecv@y.target", "loaded", "inactive"),
        Listed("receiver.socket", "loaded", "active"),
    ]
    found = units.sort_out(listed, masked)
    assert found.meant == {"x"} and found.others == {"receiver.socket": "active"}
    assert set(found.halves) == {("x", "main"), ("x", "failover"), ("a@b.service", "main")}
    assert found.halves["x", "failover"].masked and not found.halves["x", "main"].masked
    assert found.halves["a@b.service", "main"].state == "failed"
