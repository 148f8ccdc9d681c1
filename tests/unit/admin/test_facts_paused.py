"""What is said of an App that is paused."""

from sendrecv.admin.paused import Pause
from tests.unit.admin.test_facts import MAIN, NOW, RECORD, ROW, app, sources, wrong


def test_an_app_that_is_paused() -> None:
    pause = {"x": Pause(NOW - 60, "joe", "new disk")}
    counts = sources(MAIN, row=ROW, record=RECORD).replace(paused=pause)
    assert app(counts).paused == pause["x"] and app(counts).state == "counting"
    (said,) = wrong(counts)
    assert (said.code, said.is_error, said.commands) == ("paused", False, ("sendrecv resume x",))
    assert "by joe (new disk); nothing takes over when main ends" in said.text


def test_an_app_that_is_paused_and_does_not_count() -> None:
    pause = {"x": Pause(NOW - 60, "joe", "new disk")}
    killed = MAIN.replace(state="failed", result="signal", text="", since=None, run="")
    for halves, why in (((killed,), "main was killed"), ((), "the half that counted was stopped")):
        given = sources(*halves, record=RECORD).replace(paused=pause)
        (said,) = wrong(given)
        assert (said.code, said.is_error) == ("should-run", True)
        assert said.text.endswith(f"by joe (new disk), and nothing counts: {why}")
        assert said.commands == ("sendrecv resume x", "systemctl start sender@x")


def test_an_app_of_which_only_a_pause_is_known() -> None:
    given = sources(meant=False).replace(paused={"x": Pause()})
    assert app(given).state == "stopped"


def test_an_app_of_several_hosts_says_it_itself() -> None:
    text = "standing by, nothing counts: a has not renewed its lease, count 7"
    half = MAIN.replace(text=f"{text}, paused by joe since 2026-11-27 07:27:13 UTC (new disk)")
    given = sources(half)
    assert app(given).paused == Pause(1_795_764_433.0, "joe", "new disk")
    assert app(given).state == "should run"
    (said,) = wrong(given)
    assert (said.code, said.is_error, said.commands) == (
        *("should-run", True),
        ("sendrecv resume x",),
    )
    assert said.text.endswith("(new disk), and nothing counts: a has not renewed its lease")
    text = "standing by, a (a) counts since 2026-11-27 07:27:13 UTC, count 7"
    (said,) = wrong(sources(MAIN.replace(text=f"{text}, paused by joe")))
    assert (said.code, said.is_error) == ("paused", False)
    assert said.text.endswith("by joe; nothing takes over by itself")
