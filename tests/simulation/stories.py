"""Series of faults that chance seldom finds. Each is a run of the simulation, told by hand, with
a planted violation that it shows.
"""

from __future__ import annotations

from sendrecv.core.sender import SECOND
from sendrecv.core.sender_events import Connect
from tests.simulation.faults import SOON, Faults
from tests.simulation.planted import (
    DoesNotWaitForPredecessor,
    KeepsOutboxOnlyBriefly,
    ResumesWithoutLock,
    StampsTooSoon,
    knows_nothing,
)
from tests.simulation.receiver import Phase
from tests.simulation.world import Parts


def older_run_with_a_backlog(faults: Faults) -> None:
    """A run with an epoch that no other can reach comes back, its lock gone, its range unsent."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.kill(index=0, before=None, more=0, calls=0)
    faults.kill(index=0, before=Connect, more=0, calls=0)  # the receiver never hears of its epoch
    faults.freeze(index=0, before=Connect, kill=False)
    faults.calm(duration=3 * SECOND)
    faults.calm(duration=SECOND // 10)  # its last count is on disk
    faults.remove_record(index=0, start=True)
    for _ in range(2):  # not a second: its next count would show it that its lock is gone
        faults.calm(duration=SECOND // 10)
    faults.thaw(index=0, choices=b"")
    faults.calm(duration=3 * SECOND)
    faults.teardown()


def ledger_lost_before_the_answer(faults: Faults) -> None:
    """A count is printed, its sender not told, and the ledger is lost."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.kill_receiver(phase=Phase.WRITING, written=1)
    faults.remove_ledger(phase=Phase.STARTING)
    faults.teardown()


def ledger_lost_and_killed_while_it_is_made_anew(faults: Faults) -> None:
    """The same; and the receiver that makes a new one is killed before it has filled it."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.kill_receiver(phase=Phase.WRITING, written=1)
    faults.remove_ledger(phase=Phase.STARTING)
    faults.kill_receiver(phase=Phase.PREPARING, written=0)
    faults.teardown()


def write_that_ends_after_the_journal_was_read(faults: Faults) -> None:
    """A receiver that could not be killed ends just when its successor has read the journal."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.wedge_receiver(phase=Phase.WRITING)
    faults.world.until(lambda: faults.world.receiver() is not None, SOON)
    if successor := faults.world.receiver():
        successor.step()
    faults.free_receivers(written=1)
    faults.teardown()


def power_cut_minutes_later(faults: Faults) -> None:
    """Lines that journald has not yet synced are minutes old."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.sleep(seconds=150)
    faults.calm(duration=3 * SECOND)
    faults.power_cut(rest=0, phase=Phase.IDLE, kept=0, choices=b"")
    faults.teardown()


STORIES = (
    (older_run_with_a_backlog, Parts(sender=ResumesWithoutLock)),
    (
        write_that_ends_after_the_journal_was_read,
        Parts(receiver_process=DoesNotWaitForPredecessor),
    ),
    (power_cut_minutes_later, Parts(ledger=KeepsOutboxOnlyBriefly)),
    (ledger_lost_before_the_answer, Parts(rows_of=knows_nothing)),
    (ledger_lost_and_killed_while_it_is_made_anew, Parts(ledger=StampsTooSoon)),
)
