"""The contract with the service manager: notifications, credentials, the journal.

sd_notify(3), systemd.exec(5) (credentials, $INVOCATION_ID), systemd-journald(8) (severity
prefixes). But for descriptors.py, nothing else in this package reads a variable that systemd sets.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import stat
import sys
import time

import sdnotify

from sendrecv.core.errors import WARNING
from sendrecv.core.wire import MAX_TOKEN, MAX_TOKEN_FILE, MIN_TOKEN
from sendrecv.errors import CredentialError, SendrecvError, StoreUnusable

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

JOURNAL = "/run/systemd/journal/socket"
START_SLICE = 1.0
"""Seconds between two signs of life of a process that starts."""


class Notifier:
    """Sends messages to the service manager, and lines to the journal. In a run by hand there is no
    service manager, and the messages go nowhere.

    Attribute ping_interval: seconds after which working() should be called again. pings_apart: if
    it is called sooner than so many seconds after a ping, there is no other one. most_apart: after
    so many seconds a ping must follow another one; 0: after ping_interval from the last call.
    """

    def __init__(self) -> None:
        self._notifier = sdnotify.SystemdNotifier()
        self._status = ""
        self._pinged = 0.0
        self.ping_interval = watchdog_interval()
        self.pings_apart = self.ping_interval / 2
        self.most_apart = 0.0
        self._limits: list[_Limit] = []

    def starting(self) -> None:
        """Until ready(), tell systemd every second that this process runs, whatever it waits for.

        A start may take long, on a starved machine or while another process has the lock. systemd
        must not end it for that. A process that is stopped or hangs tells nothing, and reaches the
        start time-out. The timer interrupts system calls, which Python then resumes (PEP 475).
        """
        # When the interpreter ends it has no handlers: the timer would kill a process that failed.
        atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._extend)
        signal.setitimer(signal.ITIMER_REAL, START_SLICE, START_SLICE)

    def at_most(self, seconds: float, error: SendrecvError) -> AbstractContextManager[None]:
        """What is waited for in this context, while starting, ends after so long with `error`."""
        return _Limit(self._limits, time.monotonic() + seconds, error)

    def _extend(self, _number: int, _frame: object) -> None:
        for limit in self._limits:
            if time.monotonic() >= limit.ends:
                raise limit.error
        self._notifier.notify(f"EXTEND_TIMEOUT_USEC={int(3 * START_SLICE * 1e6)}")

    def status(self, text: str) -> None:
        """STATUS=: what this process is waiting for."""
        self._status = text
        self._notifier.notify(f"STATUS={text}")

    def ready(self) -> None:
        """READY=1: the start is complete."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._notifier.notify("READY=1")

    def working(self, status: str) -> None:
        """WATCHDOG=1, and STATUS= if it has changed. For the loop that does the work, only.

        Does nothing if the last ping was less than pings_apart ago: with many Apps, a ping is more
        work for PID 1 than for this process. So two pings are at most pings_apart and one interval
        apart; or most_apart, if that is set. That is half of the watchdog's limit for the receiver,
        and 0.8 of it for a sender (sender/loop.py). On several hosts it is 0.57 of the limit, and
        longer by what etcd takes meanwhile (sender/several_hosts.py).
        """
        now = time.monotonic()
        if now < self._pinged + self.pings_apart:
            return
        self._pinged = now
        changed = "" if status == self._status else f"\nSTATUS={status}"
        self._status = status
        self._notifier.notify(f"WATCHDOG=1{changed}")

    def until_ping(self) -> float:
        """Seconds after which working() must be called, or must have been called."""
        if not self.most_apart:
            return self.ping_interval
        return max(self._pinged + self.most_apart - time.monotonic(), 0)

    def watchdog(self, seconds: float) -> None:
        """Have the watchdog of this process, if it has one, kill it after that many seconds
        without a ping.
        """
        if os.environ.get("WATCHDOG_USEC", "").isdigit():
            self._notifier.notify(f"WATCHDOG_USEC={int(seconds * 1e6)}")
            self.ping_interval = min(seconds / 3, 1.0)

    def log(self, severity: int, text: str) -> None:
        """See log()."""
        log(severity, text)

    def stopping(self) -> None:
        """STOPPING=1."""
        self._notifier.notify("STOPPING=1")


class _Limit:
    """A context, in `limits` while it lasts. Not made with contextlib: a takeover would wait for
    the 0.7 ms that its import takes.
    """

    def __init__(self, limits: list[_Limit], ends: float, error: SendrecvError) -> None:
        self._limits = limits
        self.ends = ends
        self.error = error

    def __enter__(self) -> None:
        self._limits.append(self)

    def __exit__(self, *_error: object) -> None:
        self._limits.remove(self)


def watchdog_interval() -> float:
    """Seconds between two pings: a third of the unit's WatchdogSec=, and at most 1.

    sd_watchdog_enabled(3) advises half of it. Each ping wakes this process and PID 1.
    """
    allowed = os.environ.get("WATCHDOG_USEC", "")
    return min(int(allowed) / 3e6, 1.0) if allowed.isdigit() else 1.0


def invocation() -> str:
    """32 hexadecimal digits that name this process, also in the journal ($INVOCATION_ID)."""
    return os.environ.get("INVOCATION_ID") or os.urandom(16).hex()


def boot_id() -> str:
    """32 hexadecimal digits that name this boot. The unit sets them (%b)."""
    given = os.environ.get("BOOT_ID")
    if given:
        return given
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip().replace("-", "")


def place() -> str:
    """32 hexadecimal digits that name this boot of this host, also among hosts that share a kernel.

    The machine ID itself is confidential: machine-id(5). Raises StoreUnusable if there is none.
    """
    import hashlib  # only for an App of several hosts

    try:
        with open("/etc/machine-id", "rb") as file:
            machine = file.read(64).strip()
    except OSError as error:
        raise StoreUnusable(f"/etc/machine-id: {error.strerror}") from None
    return hashlib.sha256(b"sendrecv " + machine + boot_id().encode()).hexdigest()[:32]


def credential_path(name: str) -> str:
    """The file of that credential of the unit; "" if it has none."""
    path = os.path.join(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), name)
    return path if os.path.exists(path) else ""


def credential(name: str) -> str:
    """The text of that credential of the unit. Raises CredentialError."""
    path = credential_path(name)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_TOKEN + 1).rstrip("\n")
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text or len(text) > MAX_TOKEN or not text.isprintable():
        raise CredentialError(f"{name}: missing, empty, or not one printable line", _ETCD_HINT)
    return text


def last_end() -> tuple[str, str, str] | None:
    """How the last run ended of the unit that this one may have been started for, its OnFailure=:
    its invocation ID, its SERVICE_RESULT, and signal or exit status in words. None if systemd does
    not tell. See "MONITOR_SERVICE_RESULT" in systemd.exec(5).
    """
    run = os.environ.get("MONITOR_INVOCATION_ID", "")
    result = os.environ.get("MONITOR_SERVICE_RESULT", "")
    status = os.environ.get("MONITOR_EXIT_STATUS", "")
    if not run or not result:
        return None
    if status.isdigit():
        return run, result, f"status {status}"
    number = getattr(signal, f"SIG{status}", 0)
    return run, result, f"signal {int(number)} (SIG{status})" if number else "an unknown signal"


def is_masked(unit: str) -> bool:
    """Whether that unit is masked, by its name."""
    return any(
        os.path.realpath(os.path.join(directory, unit)) == os.devnull
        for directory in ("/etc/systemd/system", "/run/systemd/system")
    )


def state_directory() -> str:
    """The unit's StateDirectory=. Raises StoreUnusable if there is none."""
    return _directory("STATE_DIRECTORY")


def runtime_directory() -> str:
    """The unit's RuntimeDirectory=. Raises StoreUnusable if there is none."""
    return _directory("RUNTIME_DIRECTORY")


def _directory(name: str) -> str:
    if given := os.environ.get(name):
        return given
    raise StoreUnusable(f"{name} is not set", "start the unit, or set it by hand")


def token() -> str:
    """The text of the token file, a credential or standard input of the unit: see core/tokens.py.
    Raises CredentialError if it is missing, empty, too short, too long, or not printable ASCII."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    handed_over = stat.S_ISREG(os.fstat(0).st_mode)
    if not directory and not handed_over:
        raise CredentialError("the token was not handed over", _UNIT_HINT)
    # A sender's credentials are those for etcd: see credential().
    path = credential_path("token") or (0 if handed_over else f"{directory}/token")
    try:
        with open(path, "rb", closefd=path != 0) as file:
            data = file.read(MAX_TOKEN_FILE + 1)
    except OSError as error:
        raise CredentialError(f"{path or 'token'}: {error.strerror}", TOKEN_HINT) from None
    return token_text(data)


def token_text(data: bytes) -> str:
    """The text of a token file, of which `data` is all, or one byte more than is allowed. Raises
    CredentialError as token() does.
    """
    data = data.strip()
    most = MAX_TOKEN_FILE if b"\n" in data else MAX_TOKEN
    text = data.decode() if data.isascii() else "\0"
    if not data or len(data) > most or not text.translate({9: None, 10: None}).isprintable():
        problem = "/etc/sendrecv/token: missing, empty, or not printable lines"
        raise CredentialError(problem, TOKEN_HINT)
    if len(text) < MIN_TOKEN:
        why = f"fewer than {MIN_TOKEN} characters, it could be guessed"
        raise CredentialError(f"/etc/sendrecv/token: {why}", TOKEN_HINT)
    return text


class TokenReport:
    """Says that a peer has another token than `unit`, which has the file `token`: one is old.

    It is for sendrecv-token.service to find out which, and to restart whoever has an old one.
    """

    def __init__(self, unit: str, token: str) -> None:
        self._unit = unit
        self._token = token
        self._failed = False

    def __call__(self) -> None:
        """Without a runtime directory, nobody is told."""
        directory = os.environ.get("RUNTIME_DIRECTORY")
        try:
            if directory:
                self._write(os.path.join(directory, "refused"))
        except OSError as error:
            if not self._failed:
                problem = f"{error.filename}: {error.strerror}"
                log(WARNING, f"{problem}, a new token is not noticed, ignoring")
            self._failed = True

    def _write(self, directory: str) -> None:
        from hashlib import sha256  # not at the start, which would wait for it

        os.makedirs(directory, 0o700, exist_ok=True)
        with open(os.path.join(directory, self._unit), "w", encoding="ascii") as file:
            file.write(sha256(self._token.encode()).hexdigest())


_ETCD_HINT = "see SEVERAL HOSTS in sender@.service(8)"
_UNIT_HINT = "start the unit; a sender's unit needs the drop-in /usr/lib/sendrecv/network.conf"
TOKEN_HINT = (
    "make one with: (umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \\n' > /etc/sendrecv/token)"
)


def log(severity: int, text: str) -> None:
    """One line on standard error; with its severity if that goes to the journal (sd-daemon(3))."""
    print(prefix(severity, 2) + text, file=sys.stderr, flush=True)


def log_entry(severity: int, text: str, fields: Mapping[str, str]) -> None:
    """One entry of the journal that has `fields`, too. See systemd.journal-fields(7).

    Where standard error does not go to the journal, or journald does not take it, it is as log().
    """
    if not prefix(severity, 2) or not send_entry(severity, text, fields):
        log(severity, text)


def send_entry(severity: int, text: str, fields: Mapping[str, str]) -> bool:
    """One entry of the journal, whatever standard error is. False: journald does not take it."""
    entry = {"MESSAGE": text, "PRIORITY": str(severity), "SYSLOG_IDENTIFIER": "sendrecv"}
    lines = (f"{name}={value}\n" for name, value in (entry | dict(fields)).items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            # Whoever counts waits for nobody.
            journal.sendto("".join(lines).encode(), socket.MSG_DONTWAIT, JOURNAL)
    except OSError:
        return False
    return True


def prefix(severity: int, descriptor: int) -> str:
    """The prefix that gives a line its severity, if the descriptor goes to the journal; else "".

    $JOURNAL_STREAM names the device and inode of the journal's descriptor (systemd.exec(5)).
    """
    there = os.fstat(descriptor)
    is_journal = os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"
    return f"<{severity}>" if is_journal else ""
