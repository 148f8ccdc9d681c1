"""Series of faults on several hosts that chance seldom finds, each with a planted violation that it
shows, and words of what is found: see stories.py.
"""

from __future__ import annotations

from sendrecv.core.sender_events import Emit, Persist
from sendrecv.core.values import SECOND
from tests.simulation.etcd import Get, Look, Put
from tests.simulation.host_faults import SOON, HostFaults
from tests.simulation.host_planted import (
    BelievesItsOwnValue,
    ComparesNoPause,
    DoesNotLookAgain,
    ForgetsToLetGo,
    HeedsTooLate,
    KeepsNothing,
    RaisesItsEpoch,
    ReturnsByPut,
    SendsAllAtReturn,
    TakesAfterAHalf,
    TriesAtOnce,
)
from tests.simulation.hosts import LEASE, HostParts, HostProcess
from tests.simulation.planted import IgnoresEpochs


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


def killed_while_it_is_paused(faults: HostFaults) -> None:
    """The other half of its host is started at once. It has not read that the App is paused."""
    faults.begin(rates=[1000, 1000], interval=SECOND // 4)
    faults.world.calm(3 * SECOND)
    (process,) = faults.world.holders()
    faults.world.cluster.pause(True)
    faults.world.calm(LEASE)
    assert process.holds, "who counts, counts on"
    faults.world.kill(process)
    faults.world.start_on(process.host)
    faults.kill_watches()  # or it may be told so in time
    faults.world.calm(3 * LEASE)
    assert len(faults.world.processes()) == 2 and not faults.world.holders()
    faults.world.cluster.pause(False)
    faults.world.calm(LEASE // 2)
    assert faults.world.holders()
    faults.teardown()


# With SENDRECV_ETCD_OUTAGE=continue.


def _continues(faults: HostFaults) -> HostProcess:
    """A holder, which has counted for some time."""
    faults.begin(rates=[1000, 1000], interval=SECOND // 4, continues=True)
    faults.world.calm(3 * SECOND)
    (process,) = faults.world.holders()
    return process


def without_etcd_beside_another_host(faults: HostFaults) -> None:
    """Another one takes the App, and the receiver tells this one."""
    process = _continues(faults)
    process.host.without_etcd = True
    faults.world.until(lambda: process.is_out, SOON)
    faults.world.until(lambda: not process.holds, 10 * SOON)
    assert not process.holds and not process.dead
    faults.teardown()


def back_when_another_host_counts(faults: HostFaults) -> None:
    """Nobody tells it before etcd does."""
    process = _continues(faults)
    process.host.without_etcd = True
    faults.world.cut_off_receiver(process.host, True)
    faults.world.calm(3 * LEASE)
    assert process.is_out and len(faults.world.holders()) == 2
    process.host.without_etcd = False
    faults.world.calm(LEASE)
    assert not process.holds
    faults.teardown()


def back_while_a_count_is_kept(faults: HostFaults) -> None:
    """etcd answers between the taking of a count and its sending."""
    process = _continues(faults)
    faults.world.cluster.silent = True
    faults.world.calm(LEASE)
    assert process.is_out
    outage = process.outages[-1]
    faults.world.until(lambda: process.about_to(Persist) and outage._is_asking, 10 * SOON)
    process.step()
    cluster = faults.world.cluster
    cluster.requests = [it for it in cluster.requests if it.process is process][-1:]
    cluster.silent = False
    for _ in range(SOON):
        if not outage.ended:
            for action in [*cluster.actions(), outage.step]:
                action()
    assert outage.ended and process.is_out
    faults.world.calm(LEASE)
    faults.teardown()


def started_again_without_etcd(faults: HostFaults) -> None:
    """A person stopped the App on that host, and another one has it."""
    process = _continues(faults)
    faults.world.stop_on(process.host)
    faults.world.calm(LEASE)
    assert process.dead and faults.world.holders()
    process.host.stopped, process.host.without_etcd = False, True
    faults.world.calm(LEASE)
    assert faults.world.processes(process.host)
    faults.teardown()


def killed_before_the_outage(faults: HostFaults) -> None:
    """The next process goes on without etcd, and has not heard the receiver when etcd answers."""
    process = _continues(faults)
    _until(faults, process, Emit)
    faults.world.cut_off_receiver(process.host, True)
    process.step()
    process.host.without_etcd = True
    faults.world.kill(process)
    faults.world.calm(LEASE // 2)
    assert any(it.is_out and it.host is process.host for it in faults.world.holders())
    process.host.without_etcd = False
    faults.world.calm(LEASE)
    faults.teardown()


def answers_once_and_no_more(faults: HostFaults) -> None:
    """The next process reads who has the lease; whether the App is paused it does not hear."""
    process = _continues(faults)
    faults.world.hang(process, True)
    faults.world.until(lambda: faults._other_holds(process), 10 * SOON)
    faults.world.kill(process)
    other = _next_of_its_host(faults, process)
    for _ in range(2):
        other.step()
        _until(faults, other, Get)
    _is_left_alone(faults, other)


def another_host_was_faster(faults: HostFaults) -> None:
    """The next process takes the lease, hears that another host has it, and nothing after that."""
    process = _continues(faults)
    faults.world.kill(process)
    other = _next_of_its_host(faults, process)
    _until(faults, other, Put)
    faults.world.hang(other, True)
    faults.world.until(lambda: faults._other_holds(other), 10 * SOON)
    faults.world.hang(other, False)
    _until(faults, other, Put)
    other.step()
    faults._answer_soon(other, True)
    _until(faults, other, Get)
    _is_left_alone(faults, other)


def etcd_is_full(faults: HostFaults) -> None:
    """The holder cannot renew its lease, and nobody can take it."""
    faults.begin(rates=[1000, 1000], interval=SECOND // 4)
    faults.world.calm(3 * SECOND)
    faults.fill_etcd(0, None, True)
    faults.world.calm(2 * LEASE)
    counted = len(faults.world.journal.lines)
    faults.world.calm(2 * LEASE)
    assert len(faults.world.journal.lines) == counted
    faults.teardown()


def _is_left_alone(faults: HostFaults, process: HostProcess) -> None:
    """By etcd; it does not count."""
    faults.world.cluster.silent = True
    faults.world.calm(LEASE)
    assert not process.holds
    faults.teardown()


def _next_of_its_host(faults: HostFaults, process: HostProcess) -> HostProcess:
    faults.world.until(lambda: faults.world.processes(process.host) != [], SOON)
    return faults.world.processes(process.host)[0]


STORIES = (
    (write_that_was_not_heard, HostParts(store=BelievesItsOwnValue), "sends"),
    (held_up_before_it_sends, HostParts(here=TakesAfterAHalf), "sends"),
    (suspended_while_it_renews, HostParts(store=DoesNotLookAgain), "sends"),
    (killed_while_it_is_paused, HostParts(store=ComparesNoPause), "and the App is paused"),
    (without_etcd_beside_another_host, HostParts(store=RaisesItsEpoch), "fights without etcd"),
    (without_etcd_beside_another_host, HostParts(receiver=IgnoresEpochs), " after 2"),
    (back_when_another_host_counts, HostParts(store=ReturnsByPut), "is written after"),
    (back_while_a_count_is_kept, HostParts(store=SendsAllAtReturn), "is not in the key"),
    (started_again_without_etcd, HostParts(store=ForgetsToLetGo), "it has lost the lease"),
    (killed_before_the_outage, HostParts(store=KeepsNothing), "was sent"),
    (answers_once_and_no_more, HostParts(store=HeedsTooLate), "it has lost the lease"),
    (another_host_was_faster, HostParts(store=HeedsTooLate), "it has lost the lease"),
    (etcd_is_full, HostParts(store=TriesAtOnce), "pings no watchdog"),
)
