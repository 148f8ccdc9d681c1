"""Series of faults that chance seldom finds. Each is a run of the simulation, told by hand, with
a planted violation that it shows.
"""

from __future__ import annotations

from sendrecv.core.values import SECOND
from sendrecv.core.sender_events import Connect, Emit
from sendrecv.core.wire import Status
from tests.simulation.faults import SOON, Faults
from tests.simulation.planted import (
    DoesNotExit,
    DoesNotPing,
    DropsCutOff,
    GoesOnAfterStop,
    HasNoReceiverLock,
    KeepsOutboxOnlyBriefly,
    LeavesAnOldMark,
    MarksNoIntent,
    NeverOld,
    ResumesWithoutLock,
    StampsTooSoon,
    TakesEachWayForTheSame,
    TakesNoWay,
    TellsNothing,
    WaitsForEver,
    believes_the_ledger,
    doubts_the_whole_boot,
    forgets_without_a_sync,
    goes_on_unread,
    remembers_the_forgotten,
    knows_nothing,
    prints_again,
)
from tests.simulation.receiver import Phase
from tests.simulation.verdict import require
from tests.simulation.world import Parts


def older_run_with_a_backlog(faults: Faults) -> None:
    """A run with an epoch that no other can reach comes back, its lock gone, its range unsent."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.kill(index=0, before=None, more=0)
    faults.kill(index=0, before=Connect, more=0)  # the receiver never hears of its epoch
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


def write_that_ends_after_the_start(faults: Faults) -> None:
    """A receiver that could not be killed ends its write when its successor could have started."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.wedge_receiver(phase=Phase.WRITING)
    # It must wait for that, or it would find that nothing is printed.
    faults.world.until(lambda: getattr(faults.world.receiver(), "serving", False), SOON)
    faults.free_receivers(written=1)
    faults.teardown()


def power_cut_minutes_later(faults: Faults) -> None:
    """Lines that journald has not yet synced are minutes old."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.sleep(seconds=150)
    faults.calm(duration=3 * SECOND)
    faults.power_cut(waited=0, phase=Phase.IDLE, kept=0, choices=b"")
    faults.teardown()


def stopped(faults: Faults) -> None:
    """A sender is told to end."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.stop(index=0, before=None, more=0)
    faults.teardown()


def stopped_while_the_disk_is_broken(faults: Faults) -> None:
    """A sender is told to end when it has a count to send that it could not write."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.spoil_disk(broken=0)
    faults.world.calm(2 * SECOND)
    faults.stop(index=0, before=None, more=0)
    faults.world.calm(2 * SECOND)
    faults.teardown()


def silent_connection(faults: Faults) -> None:
    """Of a connection nothing more is heard, and its sender opens another one."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.freeze(index=0, before=Emit, kill=False)
    faults.teardown()


def _put_a_backup_back(faults: Faults, apps: int) -> None:
    faults.begin(apps=apps, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.copy_ledger()
    faults.calm(duration=3 * SECOND)
    faults.put_ledger_back(phase=Phase.IDLE)


def backup_put_back(faults: Faults) -> None:
    """The ledger of some time ago is put back, while the receiver is not there."""
    _put_a_backup_back(faults, apps=1)
    faults.teardown()


def backup_put_back_and_nobody_to_ask(faults: Faults) -> None:
    """The same, and the record is lost and the journal blind: all wait until the journal is not."""
    _put_a_backup_back(faults, apps=1)
    faults.blind_journal()
    faults.kill(index=0, before=None, more=0)
    faults.remove_record(index=0, start=False)
    faults.world.calm(3 * SECOND)
    faults.teardown()


def backup_put_back_and_only_the_sender_knows(faults: Faults) -> None:
    """The same, without a mark too, so that nobody waits. The sender's record is not lost."""
    _put_a_backup_back(faults, apps=2)
    faults.world.lose_mark()
    faults.world.journal.blind = True
    faults.kill(index=0, before=None, more=0)
    faults.world.calm(3 * SECOND)
    faults.teardown()
    assert ("resumed", Status.ACCEPTED, "told that it is old") in faults.world.witness.seen


def killed_before_the_mark(faults: Faults) -> None:
    """A chunk is out, and the receiver is killed before it can mark that."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.kill_receiver(phase=Phase.WRITING, written=1)
    faults.teardown()


def killed_before_the_mark_and_nobody_to_ask(faults: Faults) -> None:
    """The same, and the journal is blind."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.blind_journal()
    faults.kill_receiver(phase=Phase.WRITING, written=1)
    faults.world.calm(2 * SECOND)
    faults.teardown()


def no_mark_for_one_count(faults: Faults) -> None:
    """A receiver cannot open its mark, prints one count, and is killed. The next one can."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.spoil_mark()
    faults.kill_receiver(phase=Phase.IDLE, written=0)
    printed = faults.world.verdict
    before = printed()
    faults.world.until(lambda: printed() != before, 3 * SOON)
    faults.calm(duration=SECOND // 10)
    faults.kill_receiver(phase=Phase.IDLE, written=0)
    faults.teardown()


def forgotten_and_a_backup_put_back(faults: Faults) -> None:
    """An App is forgotten; then comes a ledger that knows it as it was before."""
    faults.begin(apps=1, interval=SECOND)
    for _ in range(3):
        faults.calm(duration=3 * SECOND)
    faults.sleep(seconds=3600)  # so that what it printed first is in no outbox any more
    faults.calm(duration=3 * SECOND)
    faults.copy_ledger()
    faults.forget(index=0, before=None)
    faults.calm(duration=3 * SECOND)
    faults.put_ledger_back(phase=Phase.IDLE)
    faults.teardown()


def forgotten_and_the_power_cut(faults: Faults) -> None:
    """What the App has counted since it was forgotten is lost, all of it."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.forget(index=0, before=None)
    for _ in range(3):
        faults.calm(duration=3 * SECOND)
    faults.power_cut(waited=0, phase=Phase.IDLE, kept=0, choices=b"")
    faults.teardown()


def level_changed_and_the_power_cut(faults: Faults) -> None:
    """Lines that journald does not store any more are printed, and then comes a power cut."""
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.world.restart_journald(stores=False, killed=0)
    faults.world.calm(3 * SECOND)
    faults.power_cut(waited=0, phase=Phase.IDLE, kept=1000, choices=b"")
    faults.teardown()
    require(faults.world.erased, "nobody said that some counts are unproven")


def level_changed_while_a_chunk_is_in_doubt(faults: Faults) -> None:
    """A chunk is not stored, the receiver is killed before it can mark it, and the next receiver's
    lines are stored.
    """
    faults.begin(apps=1, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.restart_journald(phase=Phase.WRITING, written=0, stores=False, killed=0)
    faults.kill_receiver(phase=Phase.WRITING, written=1)
    faults.world.restart_journald(stores=True, killed=0)
    faults.teardown()


def no_room_for_some_lines(faults: Faults) -> None:
    """Of an App that counts no more. Another one does, and the receiver's mark is lost."""
    faults.begin(apps=2, interval=SECOND)
    faults.calm(duration=3 * SECOND)
    faults.world.journal.stores = False
    faults.world.calm(3 * SECOND)
    faults.hang(index=0, before=None, more=0)
    faults.world.journal.stores = True
    faults.world.calm(3 * SECOND)
    faults.lose_mark(phase=Phase.IDLE, written=0, blind=False)
    faults.teardown()


def no_power_cut_leaves_a_doubt(faults: Faults) -> None:
    """If journald has stored a line of that boot, and all went the usual way."""
    faults.begin(apps=2, interval=SECOND)
    for kept in (0, 1, 1000):
        faults.world.calm(10 * SECOND)
        faults.power_cut(waited=0, phase=Phase.IDLE, kept=kept, choices=b"")
    faults.world.calm(10 * SECOND)
    faults.kill_receiver(phase=Phase.WRITING, written=1)
    faults.kill_receiver(phase=Phase.WRITING, written=0)
    faults.teardown()
    require(not faults.world.erased, f"unproven: {faults.world.erased}")


STORIES = (
    (level_changed_and_the_power_cut, Parts(ledger=TakesEachWayForTheSame)),
    (level_changed_and_the_power_cut, Parts(open_ledger=prints_again)),
    (level_changed_while_a_chunk_is_in_doubt, Parts(ledger=TakesEachWayForTheSame)),
    (no_room_for_some_lines, Parts(open_ledger=doubts_the_whole_boot)),
    (no_power_cut_leaves_a_doubt, Parts(ledger=TakesNoWay)),
    (forgotten_and_a_backup_put_back, Parts(open_ledger=remembers_the_forgotten)),
    (forgotten_and_the_power_cut, Parts(open_ledger=forgets_without_a_sync)),
    (no_mark_for_one_count, Parts(mark=LeavesAnOldMark)),
    (backup_put_back, Parts(open_ledger=believes_the_ledger, mark=NeverOld)),
    (backup_put_back_and_nobody_to_ask, Parts(open_ledger=goes_on_unread)),
    (backup_put_back_and_only_the_sender_knows, Parts(sender=TellsNothing)),
    (killed_before_the_mark, Parts(mark=MarksNoIntent)),
    (killed_before_the_mark_and_nobody_to_ask, Parts(mark=MarksNoIntent)),
    (stopped, Parts(sender_loop=DoesNotExit)),
    (stopped_while_the_disk_is_broken, Parts(sender_loop=GoesOnAfterStop)),
    (stopped_while_the_disk_is_broken, Parts(sender_loop=DoesNotPing)),
    (silent_connection, Parts(sender=WaitsForEver)),
    (silent_connection, Parts(receiver_loop=DropsCutOff)),
    (older_run_with_a_backlog, Parts(sender=ResumesWithoutLock)),
    (write_that_ends_after_the_start, Parts(ledger=HasNoReceiverLock)),
    (power_cut_minutes_later, Parts(ledger=KeepsOutboxOnlyBriefly)),
    (ledger_lost_before_the_answer, Parts(open_ledger=knows_nothing, mark=NeverOld)),
    (ledger_lost_and_killed_while_it_is_made_anew, Parts(ledger=StampsTooSoon, mark=NeverOld)),
)
