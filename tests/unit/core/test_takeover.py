"""Why a process counts: only what is known, in a code and in words."""

import pytest

from sendrecv.core import takeover
from sendrecv.core.lease import Taken
from sendrecv.core.record import Record
from sendrecv.core.takeover import End, Moved, Scene, Why
from sendrecv.core.values import SECOND
from tests.unit.core.senders import APP, BOOT, NOW

RUN = "2" * 32
BEFORE = Record("a", 6, 41, 41, NOW + SECOND, BOOT, "failover", RUN)
MAIN, FAILOVER = "sender@a.service", "sender-failover@a.service"
SCENE = Scene(APP, MAIN, FAILOVER, BEFORE, None, None, False, False, False, False)
STOP_IT = "to stop the App: systemctl stop sendrecv@a.target"


def ended(result: str, how: str = "", run: str = RUN) -> Scene:
    return SCENE.replace(end=End(run, result, how))


@pytest.mark.parametrize(
    ("scene", "code", "words"),
    [
        (
            ended("signal", "signal 9 (SIGKILL)"),
            "signal",
            "failover was killed by signal 9 (SIGKILL)",
        ),
        (ended("core-dump", "signal 6 (SIGABRT)"), "core-dump", "failover crashed with signal 6"),
        (ended("exit-code", "status 75"), "exit-code", "failover ended with status 75"),
        (ended("watchdog"), "watchdog", "failover hung, and its watchdog killed it"),
        (ended("oom-kill"), "oom-kill", "failover was out of memory"),
        (ended("timeout"), "timeout", "its start or its stop took too long"),
        (ended("protocol"), "protocol", "failover ended before it was ready"),
        (ended("resources"), "resources", "failover could not be started"),
        (ended("start-limit-hit"), "start-limit-hit", "failover was started too often"),
        (ended("a\nnew one"), "unknown", r"failover ended: 'a\nnew one'"),
        (
            ended("watchdog").replace(by_guard=True),
            "watchdog",
            f"killed it, and the guard started {MAIN}",
        ),
        (
            ended("success").replace(by_end=True, moved=Moved("joe", "kernel update")),
            "moved",
            "moved by joe: kernel update",
        ),
        (ended("timeout").replace(moved=Moved("a\x1b", "")), "moved", r"moved by 'a\x1b'"),
        (ended("success").replace(by_end=True), "stopped", "failover was told to end"),
        (ended("success"), "started", f"failover was told to end, and {MAIN} was started"),
        (SCENE.replace(was_told=True), "started", f"failover was told to end, and {MAIN} was"),
        (
            SCENE.replace(was_told=True, is_masked=True),
            "masked",
            f"{FAILOVER} is masked, and was told to end",
        ),
        (SCENE.replace(is_masked=True), "masked", f"{FAILOVER} is masked"),
        (SCENE.replace(before=None), "new", "this host had no record of the App"),
        (ended("signal").replace(before=None), "new", "this host had no record of the App"),
        (
            ended("signal").replace(before=BEFORE.replace(boot="c" * 32)),
            "boot",
            "the machine was started again",
        ),
        (SCENE.replace(by_guard=True), "guard", f"no half ran, and the guard started {MAIN}"),
        (
            SCENE.replace(before=BEFORE.replace(node_id="main")),
            "again",
            f"{MAIN} was started again",
        ),
        (
            SCENE.replace(before=BEFORE.replace(node_id="main"), was_told=True),
            "again",
            f"{MAIN} was started again",
        ),
        (
            SCENE.replace(before=BEFORE.replace(node_id="main"), is_masked=True, by_guard=True),
            "guard",
            f"no half ran, and the guard started {MAIN}",
        ),
        (SCENE, "unknown", "how failover ended is not known"),
        # The other half has counted, and a later run of it has ended like that.
        (
            ended("signal", "signal 9 (SIGKILL)", "3" * 32),
            "unknown",
            f"how failover ended is not known; then {FAILOVER} was killed by signal 9 (SIGKILL)",
        ),
        # This half has counted. Nobody knows when the other one has ended like that.
        (
            ended("signal", "signal 9", "3" * 32).replace(before=BEFORE.replace(node_id="main")),
            "again",
            f"{MAIN} was started again",
        ),
        (ended("success", "status 0", "3" * 32), "unknown", "how failover ended is not known"),
        (
            SCENE.replace(was_told=True, by_guard=True),
            "started",
            f"failover was told to end, and the guard started {MAIN}",
        ),
    ],
)
def test_why(scene: Scene, code: str, words: str) -> None:
    why = takeover.why(scene)
    assert why.code == code and words in why.words, why
    assert not words.endswith("known") or why.words == words
    assert why.hint == (STOP_IT if code == "stopped" else "")


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("lease-expired", "", "b has not renewed its lease in time"),
        ("released", "", "b has released the App, which was stopped there"),
        ("moved", "", "b has handed the App over, as a person asked"),
        ("moved", "disk\u00e9", r"b has handed the App over, as a person asked ('disk\xe9')"),
        ("returned", "", "b has handed the App over to a host that does not take it"),
        ("no-key", "", "etcd has no key of this App, and this host has a record"),
    ],
)
def test_why_of_another_host(code: str, reason: str, words: str) -> None:
    scene = ended("signal").replace(taken=Taken(BEFORE, "b", "a", code, reason))
    assert takeover.why(scene) == Why(code, words, "", reason)


def test_the_table_of_codes_has_each_of_them() -> None:
    table = (takeover.__doc__ or "").partition("    code ")[2]
    for code in ("stopped started masked boot guard again lease-expired released moved returned"
                 " no-key new unknown").split():  # fmt: skip
        assert f"\n    {code} " in table, code


@pytest.mark.parametrize(
    ("scene", "is_takeover"),
    [
        (SCENE, True),
        (SCENE.replace(before=BEFORE.replace(node_id="main")), False),
        (SCENE.replace(before=None), False),
        (SCENE.replace(taken=Taken(BEFORE, "b", "a")), True),
        (SCENE.replace(before=None, taken=Taken(None, "b", "a")), True),
        (SCENE.replace(before=None, taken=Taken(None, "", "a")), False),
        (
            SCENE.replace(before=BEFORE.replace(node_id="main"), taken=Taken(BEFORE, "a", "a")),
            False,
        ),
    ],
)
def test_whether_it_is_a_takeover(scene: Scene, is_takeover: bool) -> None:
    assert takeover.is_takeover(scene) is is_takeover


@pytest.mark.parametrize(
    ("first", "now", "seconds"),
    [
        (42, NOW + SECOND, 1.0),  # count 41 was due at NOW
        (42, NOW + 3 * SECOND // 2, 1.5),
        (41, NOW + SECOND // 2, 1.5),  # 41 was taken, and not accepted
        (30, NOW, 12.0),  # the receiver was away
        (43, NOW, 0.0),  # it knows more than the record
        (0, NOW, None),
        (-1, NOW, None),
    ],
)
def test_silence(first: int, now: int, seconds: float | None) -> None:
    expected = None if seconds is None else int(seconds * SECOND)
    assert takeover.silence(SCENE, first, now, -1) == expected


def test_a_silence_that_cannot_be_known() -> None:
    for scene in (
        SCENE.replace(before=None),
        SCENE.replace(before=BEFORE.replace(boot="c" * 32)),
        SCENE.replace(app=APP.replace(interval=0)),
    ):
        assert takeover.silence(scene, 42, NOW, NOW) is None


@pytest.mark.parametrize(("first", "seconds"), [(42, 2.25), (40, 4.25)])
def test_the_silence_of_another_host(first: int, seconds: float) -> None:
    before = BEFORE.replace(boot="c" * 32)
    seen = Taken(before, "b", "a", "lease-expired", "", 5 * SECOND)
    scene = SCENE.replace(before=before, taken=seen)
    now = 5 * SECOND + 9 * SECOND // 4
    assert takeover.silence(scene, first, NOW, now) == int(seconds * SECOND)
    unseen = scene.replace(taken=seen.replace(counted=-1))
    assert takeover.silence(unseen, first, NOW, now) is None


def test_lines() -> None:
    why = Why("signal", "failover was killed by signal 9 (SIGKILL)")
    said = "App a: main counts on from 42, 1.2 s after the count before: failover was killed"
    assert takeover.line(SCENE, why, 42, 44, 1234 * SECOND // 1000).startswith(said)
    said = "App a: main counts on from 44, of which the receiver has none yet: failover was killed"
    assert takeover.line(SCENE, why, -1, 44, None).startswith(said)
    there = SCENE.replace(taken=Taken(BEFORE, "b", "a"))
    assert takeover.line(there, why, 42, 42, None).startswith(
        "App a: main on a counts on from 42: failover was killed"
    )
    by_default = there.replace(app=APP.replace(node_id="a-failover"))
    assert takeover.line(by_default, why, 42, 42, None).startswith("App a: a-failover counts on ")
    stopped = Why("stopped", "failover was told to end", STOP_IT)
    assert takeover.line(SCENE, stopped, 42, 42, None) == (
        f"App a: main counts on from 42: failover was told to end; {STOP_IT}"
    )
    assert takeover.line(SCENE.replace(before=None), why, 0, 0, None) == (
        "App a: main begins with count 0"
    )
    assert takeover.line(SCENE.replace(before=None), why, -1, -1, None) == (
        "App a: main is ready, the first count waits for the receiver"
    )


def test_a_node_from_another_host_may_be_anything() -> None:
    scene = ended("watchdog").replace(before=BEFORE.replace(node_id="x\n<0>y"))
    assert takeover.why(scene).words.startswith(r"'x\n<0>y' hung")
