"""Lines that were printed, and that the journal never stored: not found after a power cut, and not
printed again.

journald forwards each line to the observer, whether it stores the line or not.
"""

from collections.abc import Callable

import pytest

from tests.lab.machine import Machine
from tests.system.test_once import Observer, observed


def _cut_and_boot(machine: Machine, observer: Observer) -> None:
    machine.power_cut()
    machine.boot()
    observer.start()
    machine.run("systemctl start sender@one")


def _level(machine: Machine, observer: Observer) -> None:
    observer.configure("MaxLevelStore=warning\n")
    observer.wait_for_more("one", 40)
    _cut_and_boot(machine, observer)


def _level_put_back_before_the_boot(machine: Machine, observer: Observer) -> None:
    observer.configure("MaxLevelStore=warning\n")
    observer.wait_for_more("one", 40)
    observer.write("")
    _cut_and_boot(machine, observer)


def _level_put_back_and_then_a_cut(machine: Machine, observer: Observer) -> None:
    """An App that counted only meanwhile; another one's lines are stored before and after."""
    observer.configure("MaxLevelStore=warning\n")
    observer.wait_for_more("one", 40)
    machine.run("systemctl stop sendrecv@one.target; sleep 0.5")
    observer.configure("")
    observer.wait_for_more("two", 40)
    _cut_and_boot(machine, observer)


def _level_of_the_whole_boot(machine: Machine, observer: Observer) -> None:
    observer.write("MaxLevelStore=warning\n")
    machine.run("systemctl stop sendrecv@one.target sendrecv@two.target; sleep 0.5")
    machine.reboot()
    observer.start()
    machine.run("systemctl start sender@one")
    observer.wait_for_more("one", 40)
    _cut_and_boot(machine, observer)


def _memory(machine: Machine, observer: Observer) -> None:
    observer.configure("Storage=volatile\n")
    observer.wait_for_more("one", 40)
    _cut_and_boot(machine, observer)


def _nowhere(machine: Machine, observer: Observer) -> None:
    observer.configure("Storage=none\n")
    observer.wait_for_more("one", 40)
    _cut_and_boot(machine, observer)


def _memory_by_hand(machine: Machine, observer: Observer) -> None:
    machine.run("journalctl --relinquish-var")
    observer.wait_for_more("one", 40)
    _cut_and_boot(machine, observer)


WAYS: list[Callable[[Machine, Observer], None]] = [
    _level,
    _level_put_back_before_the_boot,
    _level_put_back_and_then_a_cut,
    _level_of_the_whole_boot,
    _memory,
    _nowhere,
    _memory_by_hand,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_a_power_cut_after_lines_that_were_not_stored(
    machine: Machine, way: Callable[[Machine, Observer], None]
) -> None:
    with observed(machine, "one", "two", but_unproven=True) as observer:
        observer.wait_for_more("one")
        way(machine, observer)
        machine.run("systemctl start sender@two")
        observer.wait_for_more("one")
    assert observer.unproven("one")
