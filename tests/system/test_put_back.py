"""The receiver's state is put back from a copy, into the files that are there: a mixture of old and
new state comes of it, which is not believed.
"""

from collections.abc import Callable

import pytest

from tests.lab.machine import Machine
from tests.system.test_once import KILL, STATE, observed

COPY = f"cp -a {STATE} /root/copy"

FILL = """python3 -c "
import sqlite3
database = sqlite3.connect('/var/lib/sendrecv-receiver/ledger.db')
with database:
    database.executemany(
        'INSERT INTO app VALUES (?, 5, ?, ?, 41, 0)',
        [(f'p{number}', '0123456789abcdef' * 2, 'main') for number in range(500)],
    )
database.close()
" """


def _over_what_is_there(machine: Machine) -> None:
    """With log and index, of a receiver that ran."""
    machine.run(f"cp -a /root/copy/. {STATE}/")


def _beside_the_log(machine: Machine) -> None:
    """As of a receiver that was stopped, which leaves no log."""
    machine.run(f"cp -a /root/copy/ledger.db {STATE}/")


def _beside_the_log_as_another_file(machine: Machine) -> None:
    """By a program like rsync, which does not remove what its copy does not have."""
    machine.run(f"cp -a --remove-destination /root/copy/ledger.db {STATE}/")


def _beside_the_log_and_killed(machine: Machine) -> None:
    machine.run(f"systemctl kill -s STOP receiver; cp /root/copy/ledger.db {STATE}/; {KILL}")


def _beside_the_log_and_stopped(machine: Machine) -> None:
    """Before anything was counted: it merges its log as it ends."""
    machine.run("systemctl stop sendrecv@one.target; sleep 1")
    machine.run(f"cp -a /root/copy/ledger.db {STATE}/; systemctl restart receiver")
    machine.run("systemctl start sender@one")


def _with_a_log_that_was_cut(machine: Machine) -> None:
    machine.run(f": > {STATE}/ledger.db-wal")


@pytest.mark.parametrize(
    "harm",
    [
        _over_what_is_there,
        _beside_the_log,
        _beside_the_log_as_another_file,
        _beside_the_log_and_killed,
        _beside_the_log_and_stopped,
        _with_a_log_that_was_cut,
    ],
    ids=lambda harm: harm.__name__.strip("_"),
)
def test_a_mixture_of_old_and_new_state_is_not_believed(
    machine: Machine, harm: Callable[[Machine], None]
) -> None:
    """An App that is stopped, whose record is lost: the ledger alone has its last count, in a page
    that nothing has been written to since.
    """
    with observed(machine, "one", "stopped") as observer:
        observer.wait_for_more("stopped")
        machine.run("systemctl stop receiver.socket receiver")
        machine.run(f"{FILL} && systemctl start receiver.socket")
        observer.wait_for_more("stopped", 30)
        machine.run(COPY)
        observer.wait_for_more("stopped", 30)
        machine.run("systemctl stop sendrecv@stopped.target")
        observer.wait_for_more("one", 60)  # the log is merged, and begins anew
        harm(machine)
        observer.wait_for_more("one", 30)
        machine.run(f"{KILL}; rm /var/lib/sendrecv/stopped.record; systemctl start sender@stopped")


def test_two_copies_one_after_the_other(machine: Machine) -> None:
    """The second one has more groups than there have been since the first one was put back."""
    with observed(machine, "one", "stopped") as observer:
        machine.run(f"{COPY}; rm /root/copy/ledger.db-shm")
        observer.wait_for_more("stopped", 30)
        machine.run(f"cp -a {STATE} /root/second; rm /root/second/ledger.db-shm")
        machine.run("systemctl stop sendrecv@stopped.target")
        observer.wait_for_more("one", 10)
        for copy in ("copy", "second"):
            machine.run("systemctl stop receiver.socket receiver")
            machine.run(f"rm -rf {STATE}/*; cp -a /root/{copy}/. {STATE}/")
            machine.run("systemctl start receiver.socket")
            observer.wait_for_more("one", 10)
        machine.run(f"{KILL}; rm /var/lib/sendrecv/stopped.record; systemctl start sender@stopped")
