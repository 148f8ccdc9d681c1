"""Series of faults on several hosts that chance seldom finds, each with a planted violation that it
shows: see stories.py.
"""

from __future__ import annotations

from sendrecv.core.sender_events import Persist
from sendrecv.core.values import SECOND
from tests.simulation.etcd import Look, Put
from tests.simulation.host_faults import SOON, HostFaults
from tests.simulation.host_planted import BelievesItsOwnValue, DoesNotLookAgain, TakesAfterAHalf
from tests.simulation.hosts import LEASE, HostParts, HostProcess


def _writes_a_count(faults: HostFaults) -> HostProcess:
    """A holder has just sent the request to write a count."""
    faults.begin(rates=[1000, 1000], interval=SECOND // 4)
    faults.world.calm(3 * SECOND)
    assert faults._process(0, Persist)
    process = faults._process(0, Put, 1)
    assert process
    return process


def _hold_up(faults: HostFaults, process: HostProcess, hundredths: int) -> None:
    faults.world.hang(process, True)
    faults.world.calm(hundredths * LEASE // 100)
    faults.world.hang(process, False)


def _until(faults: HostFaults, process: HostProcess, what: type) -> None:
    faults.world.until(lambda: process.about_to(what), SOON)
    assert process.about_to(what)


def write_that_was_not_heard(faults: HostFaults) -> None:
    """It is carried out, and not heard. The holder asks again when others have seen it for long."""
    process = _writes_a_count(faults)
    faults._answer_soon(process, True)
    faults.world.cluster.lose(0)
    _hold_up(faults, process, 85)
    _until(faults, process, Put)
    process.step()
    _until(faults, process, Look)
    _hold_up(faults, process, 40)
    faults.teardown()


def held_up_before_it_sends(faults: HostFaults) -> None:
    """A holder stops after its write, and goes on when it just may send."""
    process = _writes_a_count(faults)
    _until(faults, process, Look)
    _hold_up(faults, process, 62)
    faults.teardown()


def suspended_while_it_renews(faults: HostFaults) -> None:
    """A holder is late, renews its lease, and is stopped before it hears that it has."""
    process = _writes_a_count(faults)
    _until(faults, process, Look)
    _hold_up(faults, process, 75)
    _until(faults, process, Put)
    process.step()
    faults._answer_soon(process, True)
    _hold_up(faults, process, 150)
    faults.teardown()


STORIES = (
    (write_that_was_not_heard, HostParts(store=BelievesItsOwnValue)),
    (held_up_before_it_sends, HostParts(here=TakesAfterAHalf)),
    (suspended_while_it_renews, HostParts(store=DoesNotLookAgain)),
)
