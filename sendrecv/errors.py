"""Every way in which a command can fail, and the exit status of each.

The statuses are those of sysexits(3), so that `systemctl status` names them too
(systemd.exec(5), "Process Exit Codes").
"""

from __future__ import annotations


class SendrecvError(Exception):
    """A failure that ends the process: one line for the user, one exit status per class."""

    exit_status = 70  # EX_SOFTWARE: a fault of this program

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}: {hint}" if hint else message)


class UsageError(SendrecvError):
    """The command line is wrong."""

    exit_status = 64  # EX_USAGE


class RecordFromFuture(SendrecvError):
    """The record, or the ledger, was written by a newer version of this program."""

    exit_status = 65  # EX_DATAERR


class ReceiverUnavailable(SendrecvError):
    """The receiver does not answer a request that cannot do without it."""

    exit_status = 69  # EX_UNAVAILABLE


class StoreUnusable(SendrecvError):
    """The state directory, or a file in it, cannot be created, read or locked."""

    exit_status = 73  # EX_CANTCREAT


class LedgerBroken(SendrecvError):
    """The ledger vanished or is damaged while in use, or what it promises cannot be printed."""

    exit_status = 74  # EX_IOERR


class LockBusy(SendrecvError):
    """Another process has held the App's lock for too long to be a predecessor that is ending."""

    exit_status = 71  # EX_OSERR: it cannot be waited out here


class LockLost(SendrecvError):
    """The locked file is no longer the one at its path: another process may hold a lock too."""

    exit_status = 75  # EX_TEMPFAIL: the next start makes a new file


class CredentialError(SendrecvError):
    """The token cannot be read, or is not a token."""

    exit_status = 77  # EX_NOPERM


class ConfigError(SendrecvError):
    """A setting has a wrong value, or is none that exists."""

    exit_status = 78  # EX_CONFIG
