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
