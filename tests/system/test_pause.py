"""Planned takeovers, and what does not take over while an App is paused, on real systemd."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sendrecv.core.takeover import BEGUN, TAKEOVER
from tests.lab.machine import Machine
from tests.system.app import App

HELD = "App p is paused, and nothing counts. To go on: sendrecv resume p"


@pytest.fixture(name="app")
def fixture_app(machine: Machine) -> Iterator[App]:
    """It runs: main counts."""
    app = App(machine, "p")
    app.start()
    yield app


def status(app: App) -> dict[str, Any]:
    """The App, as `sendrecv status` has it; with what is wrong, by code."""
    done = app.machine.run(["sendrecv", "status", "--json", app.name], check=False)
    said = json.loads(done.stdout)
    return {
        **said["apps"][0],
        "exit": done.returncode,
        "problems": {it["code"]: it for it in said["problems"]},
    }


def held(app: App, what: Callable[[], object]) -> None:
    """Does that, after which nothing may count: the guard says so, and starts nothing then."""
    after = app.machine.cursor()
    what()
    told = app.machine.wait_entry(
        lambda entry: entry.get("MESSAGE") == HELD or entry.get("MESSAGE_ID") in {BEGUN, TAKEOVER},
        after=after,
        what=HELD,
    )
    assert told["MESSAGE"] == HELD, told["MESSAGE"]
    app.systemctl("start", "sendrecv-guard.service")
    assert not app.active(), "it was taken over"
    said = status(app)
    assert (said["state"], said["exit"], said["paused"]["reason"]) == ("should run", 3, "new disk")
    (problem,) = said["problems"].values()
    assert problem["commands"][0] == "sendrecv resume p"
    # With a match, journalctl 252 would leave out the first entry after a cursor.
    entries = app.machine.journal(f"--after-cursor={after}")
    (told,) = (entry for entry in entries if entry.get("MESSAGE") == HELD)  # once
    assert (told["PRIORITY"], told["SYSLOG_IDENTIFIER"]) == ("2", "sendrecv"), "loud"


def test_the_app_is_moved_and_the_history_says_why(machine: Machine, app: App) -> None:
    def move(*words: str) -> str:
        after = machine.cursor()
        done = machine.run(["sendrecv", "move", app.name, *words], check=False)
        assert done.returncode in {0, 69}, done  # 69: a slow machine, which it does not wait for
        entry = machine.wait_entry(
            lambda entry: entry.get("MESSAGE_ID") == TAKEOVER, after=after, what="the takeover"
        )
        return f"{entry['SENDRECV_TO']} {entry['SENDRECV_WHY_TEXT']}"

    assert move("--reason", "kernel update") == "failover moved by root: kernel update"
    assert app.active() == ["failover"]
    assert move("main") == "main moved by root"
    assert "moved by root: kernel update" in machine.run(["sendrecv", "history", "p"]).stdout
    app.systemctl("mask", "--runtime", app.failover)
    for spoilt, error in (
        ("true", "is masked: systemctl unmask"),
        ("echo SENDRECV_INTERVAL=often >> /etc/sendrecv/p.env", "SENDRECV_INTERVAL='often'"),
        # Nobody can know this one before.
        (
            "mkdir /run/systemd/system/sender-failover@p.service.d && printf"
            " '[Service]\\nExecStartPre=/bin/false\\n' >"
            " /run/systemd/system/sender-failover@p.service.d/false.conf",
            "has not started; App p: main runs",
        ),
    ):
        machine.run(spoilt)
        app.systemctl("daemon-reload")
        done = machine.run(["sendrecv", "move", "p"], check=False)
        assert done.returncode in {64, 69, 78} and error in done.stderr, done.stderr
        with app.counts_from("main"):
            pass
        app.systemctl("unmask", "--runtime", app.failover)
        machine.run("echo SENDRECV_INTERVAL=0.1 > /etc/sendrecv/p.env")
    app.assert_sound()


def test_nothing_takes_over_while_it_is_paused(machine: Machine, app: App) -> None:
    machine.run("sendrecv pause p --reason 'new disk'")
    said = status(app)
    assert (said["state"], said["exit"], said["paused"]["by"]) == ("counting", 0, "root")
    assert "paused" in said["problems"]
    held(app, lambda: machine.kill(app.main, "KILL"))
    with app.counts_from("failover"):  # what a person types is done
        app.systemctl("start", app.failover)
    with app.counts_from("main"):
        app.systemctl("start", app.main)
    held(app, lambda: app.systemctl("stop", app.main))
    with app.counts_from("main"):  # so does whoever starts it anew: the guard starts main then
        app.systemctl("restart", app.target)
    app.systemctl("enable", app.target)
    machine.reboot()
    with app.counts_from("main"):
        pass
    assert status(app)["paused"]["reason"] == "new disk"
    told = [str(entry["MESSAGE"]) for entry in machine.journal("-b", "-t", "sendrecv")]
    assert any(text.startswith("App p is paused: nothing takes over when") for text in told)
    held(app, lambda: machine.kill(app.main, "KILL"))
    with app.counts_from("main"):
        done = machine.run("sendrecv resume p", check=False)
        assert done.returncode in {0, 69}, done
    assert status(app)["paused"] is None
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    app.assert_sound(rescued=True)
    assert "PROVEN: 1 App" in machine.run(["sendrecv", "proof", "p"]).stdout


@pytest.mark.planted
def test_what_does_not_look_whether_it_is_paused_is_found_out(machine: Machine, app: App) -> None:
    """What the test before says is only worth something if it fails on these."""

    def kill() -> None:
        machine.kill(app.main, "KILL")

    def stop() -> None:
        app.systemctl("stop", app.main)

    spoilt: list[tuple[str, Callable[[], None]]] = [
        ("/usr/lib/sendrecv/takeover", stop),
        ("/usr/lib/sendrecv/guard", kill),
        ("/usr/lib/python3/dist-packages/sendrecv/sender/main.py", kill),
    ]
    for script, end in spoilt:
        machine.run(
            f"cp -p {script} /tmp/as-it-was; sed -i s,/var/lib/sendrecv-pause,/no, {script}"
        )
        machine.run("systemctl stop sendrecv-guard.service")  # one that has read it before
        machine.run("sendrecv pause p --reason 'new disk'")
        with app.counts_from(), pytest.raises(AssertionError, match="counts on from"):
            held(app, end)
        machine.run(f"cp -p /tmp/as-it-was {script}")
        machine.run("sendrecv resume p")
        with app.counts_from("main"):
            app.systemctl("start", app.main)
