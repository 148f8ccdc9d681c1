"""Every exit status of every command, and every failure that ends a process with one.

From 64 to 78 they are those of sysexits(3), so that `systemctl status` names them too
(systemd.exec(5), "Process Exit Codes"). sendrecv(1) has the same table; a test compares the two.
"""

from __future__ import annotations


class ExitStatus(int):
    """A number from EXIT_STATUSES. meaning: what sendrecv(1) says about it."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> ExitStatus:
        """See the class."""
        status = super().__new__(cls, number)
        status.meaning = meaning
        return status


LOCK_PATIENCE = 10
"""Seconds that a sender waits for its App's lock. A predecessor is gone before its successor
starts, unless SIGKILL does not end it."""

# Not an enum: making one takes 0.3 ms, and a takeover waits for it.
EXIT_STATUSES = (
    DONE := ExitStatus(
        0,
        "Done. For proof: PROVEN. For status: each App that is shown runs, if it should. For"
        " check: nothing is wrong.",
    ),
    VIOLATED := ExitStatus(
        1,
        "proof: VIOLATED; audit: VIOLATED, and nobody has acknowledged it; check: there are"
        " warnings, and no errors.",
    ),
    INCONCLUSIVE := ExitStatus(
        2,
        "proof: INCONCLUSIVE: some evidence is missing, or there is nothing to show; check: there"
        " are errors.",
    ),
    # As systemctl(1) and the LSB have 3 and 4.
    NOT_RUNNING := ExitStatus(
        3, "status: an App that should run, or that the command line names, does not run."
    ),
    UNKNOWN := ExitStatus(
        4,
        "status, check, history: no App has a name that the command line gives; status: or systemd"
        " cannot be asked.",
    ),
    USAGE := ExitStatus(  # EX_USAGE
        64, "The command line is wrong, or names a file that cannot be read or written."
    ),
    FROM_FUTURE := ExitStatus(  # EX_DATAERR
        65, "The record, or the ledger, is from a newer version of this program."
    ),
    UNAVAILABLE := ExitStatus(  # EX_UNAVAILABLE
        69, "The receiver does not answer; for move: that host does not take the App."
    ),
    FAULT := ExitStatus(70, "A fault of this program. A traceback tells where."),  # EX_SOFTWARE
    LOCK_BUSY := ExitStatus(  # EX_OSERR: a longer wait would not help
        71,
        f"Another process has held the App's lock for {LOCK_PATIENCE} s. Perhaps two instances have"
        " the same appID.",
    ),
    # EX_OSFILE
    MISSING_PACKAGE := ExitStatus(72, "metrics, watch: a package that is needed is not installed."),
    STORE_UNUSABLE := ExitStatus(  # EX_CANTCREAT
        73, "The state directory, or a file in it, cannot be used."
    ),
    OUTPUT_FAILED := ExitStatus(  # EX_IOERR
        74,
        "The ledger vanished or cannot be made usable, the output cannot be written, or another"
        " file cannot be used.",
    ),
    LOCK_LOST := ExitStatus(  # EX_TEMPFAIL: the next start makes a new file
        75, "The lock was lost: the sender's record was removed or replaced while it ran."
    ),
    NO_TOKEN := ExitStatus(  # EX_NOPERM
        77,
        "The token cannot be read, or is not a token; or this user may not ask the receiver, or"
        " read the journal.",
    ),
    BAD_SETTING := ExitStatus(78, "A setting is wrong."),  # EX_CONFIG
    INTERRUPTED := ExitStatus(130, "Interrupted by Ctrl-C (SIGINT)."),  # as shells have it
    NOT_DELIVERED := ExitStatus(  # 150 to 199 are a program's own, in the LSB
        150, "status: an App runs, and its counts do not reach the receiver."
    ),
)
"""The table, in order."""
WARNINGS, ERRORS = VIOLATED, INCONCLUSIVE
"""What these two mean for check."""


class SendrecvError(Exception):
    """A failure that ends the process: one line for the user, one exit status per class."""

    exit_status = FAULT

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}: {hint}" if hint else message)


class UsageError(SendrecvError):
    """The command line is wrong."""

    exit_status = USAGE


class RecordFromFuture(SendrecvError):
    """The record, or the ledger, was written by a newer version of this program."""

    exit_status = FROM_FUTURE


class ReceiverUnavailable(SendrecvError):
    """The receiver does not answer a command that needs its answer."""

    exit_status = UNAVAILABLE


class MissingPackage(SendrecvError):
    """A package is not installed that sendrecv only recommends, and that this command needs."""

    exit_status = MISSING_PACKAGE


class StoreUnusable(SendrecvError):
    """The state directory, or a file in it, cannot be created, read or locked."""

    exit_status = STORE_UNUSABLE


class LedgerBroken(SendrecvError):
    """The ledger vanished or was damaged while in use, or its counts cannot be printed."""

    exit_status = OUTPUT_FAILED


class LockBusy(SendrecvError):
    """Another process holds the App's lock. A predecessor that is ending would not take so long."""

    exit_status = LOCK_BUSY


class LockLost(SendrecvError):
    """The locked file is no longer the one at its path: another process may hold a lock too."""

    exit_status = LOCK_LOST


class CredentialError(SendrecvError):
    """The token cannot be read, or is not a token."""

    exit_status = NO_TOKEN


class ConfigError(SendrecvError):
    """A setting has a wrong value, or there is no setting of that name."""

    exit_status = BAD_SETTING
