"""What a person orders: a mask, and whatever else must not look like trouble.

systemd/masked ends senders that are masked.
"""

import re
from collections.abc import Iterator

import pytest

from tests.judges.checker import Entry
from tests.lab.machine import Machine
from tests.system.app import App
from tests.system.trouble import FAST, Said

GUARD, TIMER, MASK = "sendrecv-guard.service", "sendrecv-guard.timer", "sendrecv-mask.service"


@pytest.fixture(name="app")
def fixture_app(machine: Machine) -> App:
    """Main counts."""
    app = App(machine, "x", FAST)
    app.start()
    return app


# A mask


@pytest.fixture(name="unguarded")
def fixture_unguarded(app: App) -> Iterator[App]:
    """An App that the guard does not look after. (The start of a half would start its timer.)"""
    app.systemctl("mask", "--runtime", "--now", TIMER)
    app.systemctl("stop", GUARD)
    run = app.machine.show(GUARD, "InvocationID")
    yield app
    assert app.machine.show(GUARD, "InvocationID") == run


@pytest.mark.parametrize("node", ["main", "failover"])
@pytest.mark.parametrize("how", ["--now", "--runtime --now"])
def test_a_half_that_is_masked_hands_over(unguarded: App, node: str, how: str) -> None:
    """It has no OnSuccess= any more: sendrecv-mask.path sees it, and needs no guard. Without --now,
    systemd may lose the change to the reload that the command asks for: see the path unit.
    """
    app, masked = unguarded, unguarded.unit(node)
    other = {"main": "failover", "failover": "main"}[node]
    with app.counts_from(node):
        app.systemctl("start", masked)
    said = Said(app.machine)
    with app.counts_from(other):
        app.systemctl("mask", *how.split(), masked)
    assert app.active() == [other]
    said.wait(f"{masked} is masked, starting the other half", MASK)
    app.assert_sound()


# `journalctl -p warning` is for what needs a person


OURS = re.compile("sendrecv|sender|receiver")
KILLED = re.compile(
    r"(sender(-failover)?@x|receiver)\.service: (Main process exited|Failed with result 'signal')"
)
"""What PID 1 says of a process that was killed: that is no order."""

LOST = re.compile(
    r"sender@x\.service: (Got notification message .*reception is disabled|Watchdog timeout"
    r"|Killing process|Main process exited|Failed with result 'watchdog')"
)
"""What PID 1 says of a process that is masked, until it ends: its unit has no settings."""


def warnings(said: Said) -> list[str]:
    """What a person is shown of us since then, with whose it is."""
    return [f"{_whose(entry)}: {entry['MESSAGE']}" for entry in said.entries() if is_ours(entry)]


def _whose(entry: Entry) -> str:
    return " ".join(str(entry.get(key, "")) for key in ("SYSLOG_IDENTIFIER", "UNIT"))


def is_ours(entry: Entry) -> bool:
    """A warning, or worse, of our programs or about our units."""
    about = ("UNIT", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "MESSAGE")
    return int(entry.get("PRIORITY", 6)) <= 4 and any(
        OURS.search(str(entry.get(key, ""))) for key in about
    )


def test_an_order_leaves_no_warning(app: App) -> None:
    said = Said(app.machine)
    with app.counts_from("failover"):
        app.systemctl("stop", app.main)
    with app.counts_from("main"):
        app.systemctl("start", app.main)
    with app.counts_from("main"):
        app.systemctl("restart", app.main)
    with app.counts_from("failover"):
        app.systemctl("start", app.failover)
    with app.counts_from("failover"):
        app.systemctl("restart", app.failover)
    with app.counts_from("failover"):
        app.systemctl("restart", "receiver")
    app.stop()
    app.start()
    app.stop()
    assert not warnings(said), "\n".join(warnings(said))
    app.assert_sound()


def test_nor_does_a_command(app: App) -> None:
    said = Said(app.machine)
    with app.counts_from("failover"):
        app.machine.run("sendrecv move x --reason kernel")
    app.machine.run("sendrecv pause x --reason disk")
    with app.counts_from("failover"):
        app.machine.run("sendrecv resume x")
    app.systemctl("start", "sendrecv-audit.service")
    app.machine.run("sendrecv audit; sendrecv status; sendrecv check", check=False)
    assert not warnings(said), "\n".join(warnings(said))
    app.assert_sound()


def test_a_mask_leaves_none_of_ours(app: App) -> None:
    said = Said(app.machine)
    with app.counts_from("failover"):
        app.systemctl("mask", "--now", app.main)
    found = [line for line in warnings(said) if not LOST.search(line)]
    assert not found, "\n".join(found)


def test_nor_does_a_boot_a_reboot_or_an_upgrade(app: App) -> None:
    said = Said(app.machine)
    app.systemctl("enable", app.main)
    for _ in range(2):
        with app.counts_from("main"):
            app.machine.reboot()
    with app.counts_from():
        app.machine.install_deb()
    app.count(10)
    app.machine.poweroff()
    app.machine.boot()
    with app.counts_from("main"):
        pass
    assert not warnings(said), "\n".join(warnings(said))
    app.assert_sound(rescued=True)


def test_a_kill_leaves_none_of_ours(app: App) -> None:
    """PID 1 says that it was killed, and nobody else anything."""
    said = Said(app.machine)
    with app.counts_from("main"):
        app.machine.kill("receiver", "KILL")
    with app.counts_from("failover"):
        app.machine.kill(app.main, "KILL")
    with app.counts_from("main"):
        app.machine.kill(app.failover, "KILL")
    found = warnings(said)
    assert [line for line in found if not KILLED.search(line)] == []
    assert found, "nothing is found at all"
    app.assert_sound()
