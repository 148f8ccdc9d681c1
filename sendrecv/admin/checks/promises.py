"""What the units promise, property by property: what must hold, and what it costs if it does not.

A drop-in may change nearly everything, and mostly for a good reason. These are the settings on
which the promises rest: one sender at a time, a takeover after each end, no count twice and
none lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from sendrecv.core.values import Value

PropertyValue = str | int | bool | tuple[str, ...]


class Promise(Value):
    """One property. kind: "Unit", "Service" or "Socket", the D-Bus interface that has it. wanted: a
    text, number or switch that it must be; or texts that must be in its list. {other}: the other
    half, {role}: this half, {instance}: the App. name: of the setting in unit files. is_error:
    whether a promise is broken at once, or at the next fault.
    """

    key: str
    kind: str
    wanted: PropertyValue
    cost: str
    name: str = ""
    is_error: bool = True

    @property
    def setting(self) -> str:
        """As it is called in unit files."""
        return self.name or self.key


_TWO = "both halves could run at a time; only the lock and the epoch would keep them apart"
_SILENT = "the App stays silent when this half ends, until the guard starts it seconds later"
_SECOND = 1_000_000

_OF_HALVES = (
    Promise("Conflicts", "Unit", ("{other}",), _TWO),
    Promise("OnFailure", "Unit", ("{other}",), _SILENT),
    Promise(
        "OnSuccess",
        "Unit",
        ("{starter}",),
        "a stop of this half ends the App for seconds, until the guard starts it",
    ),
    Promise(
        "Requires",
        "Unit",
        ("sendrecv@{instance}.target",),
        "systemd does not know that the App is meant to run: the guard does not look after it",
    ),
    Promise(
        "After",
        "Unit",
        ("sendrecv@{instance}.target",),
        "after a stop of the target the other half may start again",
    ),
    Promise(
        "PartOf",
        "Unit",
        ("sendrecv@{instance}.target",),
        "systemctl stop sendrecv@{instance}.target does not stop this half",
    ),
    Promise("OnFailureJobMode", "Unit", "fail", "a takeover may cancel a stop or a hand-back"),
    Promise("OnSuccessJobMode", "Unit", "fail", "a takeover may cancel a stop or a hand-back"),
    Promise(
        "StartLimitAction", "Unit", "none", "a series of failed starts takes the machine with it"
    ),
    Promise("FailureAction", "Unit", "none", "a failure of this half takes the machine with it"),
    Promise("SuccessAction", "Unit", "none", "the end of this half takes the machine with it"),
    Promise(
        "Restart",
        "Service",
        "no",
        "this half is started again while the other one takes over: both fight over the App",
    ),
    Promise(
        "Type",
        "Service",
        "notify",
        "systemd does not know when this half is ready, and its watchdog may never run",
    ),
    Promise(
        "RemainAfterExit", "Service", False, "this half seems to run when it has ended: no takeover"
    ),
    Promise(
        "WatchdogSignal",
        "Service",
        9,
        "a process that hangs may not end, or writes a core file first",
        is_error=False,
    ),
    Promise(
        "KillMode",
        "Service",
        "control-group",
        "a process of this half may live on beside its successor",
    ),
    Promise(
        "SendSIGKILL",
        "Service",
        True,
        "a process that does not end on SIGTERM keeps the App from going on",
    ),
    Promise(
        "User",
        "Service",
        "sendrecv",
        "the record cannot be written, or belongs to somebody else afterwards",
    ),
    Promise(
        "RuntimeDirectoryPreserve",
        "Service",
        "yes",
        "the back-off forgets each failed start: halves that cannot run start each other quickly",
        is_error=False,
    ),
    Promise(
        "StandardOutput",
        "Service",
        "journal",
        "what this half says is not in the journal",
        is_error=False,
    ),
)

_OTHER_RECORD = "this half has no record, or another one than the other half: counts come twice"
_OF_MAIN = (*_OF_HALVES, Promise("StateDirectory", "Service", ("sendrecv",), _OTHER_RECORD))
_OF_FAILOVER = (
    *_OF_HALVES,
    Promise("Environment", "Service", ("STATE_DIRECTORY=/var/lib/sendrecv",), _OTHER_RECORD),
    Promise(
        "After",
        "Unit",
        ("sender@{instance}.service",),
        "the failover may start before main has ended: both run at a time",
    ),
)

_OF_RECEIVER = (
    Promise(
        "Type", "Service", "notify", "senders connect before the receiver is ready", is_error=False
    ),
    Promise("Restart", "Service", "always", "a receiver that has ended stays away"),
    Promise(
        "User",
        "Service",
        "sendrecv-receiver",
        "the ledger cannot be written, or belongs to somebody else afterwards",
    ),
    Promise(
        "StateDirectory",
        "Service",
        ("sendrecv-receiver",),
        "the receiver has no ledger, or another one: counts could be printed twice",
    ),
    Promise(
        "RuntimeDirectoryPreserve",
        "Service",
        "yes",
        "after a restart the receiver does not know what it has printed",
        is_error=False,
    ),
    Promise("StandardOutput", "Service", "journal", "no count is in the journal: no proof of it"),
    Promise(
        "SyslogLevel",
        "Service",
        5,
        "a traceback can look like a payload, or is not stored",
        is_error=False,
    ),
    Promise(
        "LogNamespace",
        "Service",
        "",
        "the counts are in a journal of their own, in which sendrecv proof does not look",
    ),
    Promise(
        "Requires",
        "Unit",
        ("receiver.socket",),
        "the receiver starts without its socket",
        "",
        False,
    ),
)

_OF_SOCKET = (
    Promise(
        "Listen",
        "Socket",
        ("/run/sendrecv-socket/receiver.sock",),
        "senders of this machine do not find the receiver",
        "ListenStream",
    ),
    Promise(
        "SocketUser",
        "Socket",
        "root",
        "senders do not believe a receiver on a socket that others may have made",
        is_error=False,
    ),
    Promise("SocketGroup", "Socket", "sendrecv", "no sender can open the socket"),
)

_OF_TARGET = (
    Promise(
        "Wants",
        "Unit",
        ("sendrecv-guard.timer",),
        "nothing starts the App again after a fault that ends its takeovers",
        is_error=False,
    ),
)

OF: Mapping[str, tuple[Promise, ...]] = {
    "main": _OF_MAIN,
    "failover": _OF_FAILOVER,
    "target": _OF_TARGET,
    "receiver.service": _OF_RECEIVER,
    "receiver.socket": _OF_SOCKET,
}
"""By the role of a unit."""

WATCHDOG = {"main": int(1.3 * _SECOND), "failover": int(1.3 * _SECOND)} | {
    "receiver.service": int(1.05 * _SECOND)
}
"""WatchdogSec= as it is delivered, in microseconds."""
INFO = 6
"""The severity of a payload: LogLevelMax= must not be below it."""
BURST = 10_000
"""LogRateLimitBurst= a second, below which lines of a busy receiver may be lost."""


def holds(promise: Promise, found: PropertyValue, names: Mapping[str, str]) -> bool:
    """Whether the property is as it must be. names: what stands for {other} and so on."""
    if isinstance(promise.wanted, tuple) and isinstance(found, tuple):
        return {one.format(**names) for one in promise.wanted} <= {*found}
    return promise.wanted == found
