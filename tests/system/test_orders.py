"""What a person orders."""

from collections.abc import Iterator

import pytest

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
@pytest.mark.parametrize("how", ["", "--now", "--runtime", "--runtime --now"])
def test_a_half_that_is_masked_hands_over(unguarded: App, node: str, how: str) -> None:
    """It has no OnSuccess= any more: sendrecv-mask.path sees it, and needs no guard."""
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
