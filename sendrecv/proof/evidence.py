"""Which entries of a journal are evidence, and of what: entries in, typed statements out.

Only fields that a writer cannot choose decide whose statement an entry is. Their names begin with
"_": journald itself adds them, and drops them from what a client sends (systemd.journal-fields(7),
"Trusted Journal Fields"):

    _PID=1, _UID=0, _TRANSPORT=journal      PID 1; then UNIT=, INVOCATION_ID=, MESSAGE_ID= are true
    _TRANSPORT=stdout, _SYSTEMD_UNIT=       a line that this unit's processes printed
    _TRANSPORT=journal, _SYSTEMD_UNIT=      an entry that they made
    _TRANSPORT=driver                       journald itself

The MESSAGE_ID tells what an entry of PID 1 means (sd-messages.h), never the text. There is one
exception, which can only make a verdict worse. An entry of a sender shows only that it had a
process, and which process; and of itself alone, by SENDRECV_APP=, for which App it counted. Nobody
else can write in that unit, under that _SYSTEMD_INVOCATION_ID=.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sendrecv.proof.statements import (
    At,
    Booted,
    Claimed,
    Counted,
    Forgotten,
    Journald,
    LEFT_BEHIND,
    Lost,
    RECEIVER,
    Spoke,
    Statement,
    Stray,
    UnitSaid,
    Unproven,
)

# PID 1's statements. "said" stands for any other entry that names the unit and the invocation.
PID1 = {
    b"7d4958e842da4a758f6c1cdc7b36dcc5": "starting",
    b"39f53479d3a045ac8e11786248231fbf": "started",
    b"de5b426a63be47a7b6ac3eaac82e2f6f": "stopping",
    b"98e322203f7a4ed290d09fe03c09fe15": "exited",
    b"9d1aaa27d60140bd96365438aad20286": "stopped",
    b"7ad2d189f7e94e70a38c781354912448": "ended",
    b"d9b373ed55a64feb8242e02dbe79a49c": "ended",
}
_DROPPED = b"a596d6fe7bfa4994828e72309e95d61e"
_JOURNALD = {b"f77379a8490b408bbe5f6940505a777b": True, b"d93fb3c9c24d451a97cea615ce59c00b": False}
_SENDER = re.compile(r"sender(?:-failover)?@[^\n/]+\.service")
_WITNESSED = re.compile(
    _SENDER.pattern + r"|sendrecv@[^\n/]+\.target"
    r"|(?:shutdown|final|umount|poweroff|reboot|halt|kexec|exit)\.target"
)
_NAME = rb'"([A-Za-z0-9][A-Za-z0-9._:@-]{0,63})"'
_PAYLOAD = re.compile(
    rb'\{"count": (0|[1-9][0-9]{0,18}), "appID": ' + _NAME + rb', "nodeID": ' + _NAME + rb"\}"
)
# By which the receiver finds out whether the journal stores what it prints.
_PROBE = re.compile(rb'probe \{"at": [0-9]{1,19}\}')
# The first fields of each entry of journalctl. With this, a day is read a second faster.
_HEAD = re.compile(
    rb"\n__CURSOR=([ -~]*)\n__REALTIME_TIMESTAMP=(\d{1,17})\n__MONOTONIC_TIMESTAMP=(\d{1,17})\n"
    rb"(?:__SEQNUM=\d+\n__SEQNUM_ID=\w+\n)?_BOOT_ID=(\w+)\n"
)
_NAMED = re.compile(_NAME[1:-1])


def field(entry: bytes, name: bytes) -> bytes:
    """The field's value, b"" if there is none. `entry` is as export.entries() yields it."""
    start = entry.find(b"\n" + name + b"=")
    if start < 0:
        return b""
    start += len(name) + 2
    return entry[start : entry.index(b"\n", start)]


def text(entry: bytes, name: bytes) -> str:
    """The field's value as text. journald writes UTF-8; a file that anybody made may not."""
    return field(entry, name).decode("utf-8", "replace")


def time_of(entry: bytes) -> At:
    return _head(entry)[0]


def _head(entry: bytes) -> tuple[At, str]:
    """When it was, and its cursor."""
    head = _HEAD.match(entry)
    if head:
        ref, wall, mono, boot = head.groups()
    else:
        ref, boot = (text(entry, name).encode() for name in (b"__CURSOR", b"_BOOT_ID"))
        wall, mono = field(entry, b"__REALTIME_TIMESTAMP"), field(entry, b"__MONOTONIC_TIMESTAMP")
    at = At(boot.decode(), _number(mono), _number(wall), text(entry, b"_MACHINE_ID"))
    return at, ref.decode()


def _number(digits: bytes) -> int:
    """The number; 0 if it is none, or is a time after the year 5138."""
    return int(digits) if digits.isdigit() and len(digits) <= 17 else 0


def statements(
    entries: Iterable[bytes], ends: dict[str, int] | None = None
) -> Iterator[tuple[bytes, Statement]]:
    """Yield what is evidence, each statement with the entry that makes it.

    `ends` takes up the wall clock of what is no evidence, the latest of each machine.
    """
    ends = {} if ends is None else ends
    place: tuple[str, str] | None = None
    lines = _Lines()
    for entry in entries:
        statement = lines.another(entry) or lines.first(entry)
        if statement is None:
            at = time_of(entry)
            ends[at.machine] = max(at.wall, ends.get(at.machine, 0))
            continue
        if statement.at.place != place:
            place = statement.at.place
            yield entry, Booted(statement.at, statement.ref, text(entry, b"_HOSTNAME"))
        yield entry, statement


class _Lines:
    """Parses the lines of a receiver faster: they differ only in their head and their message.

    That saves a fifth of the time.
    """

    def __init__(self) -> None:
        self._streams: dict[bytes, tuple[str, str]] = {}  # stream and machine

    def another(self, entry: bytes) -> Counted | None:
        """The entry's payload, if it is one of a receiver that has printed one before."""
        head = _HEAD.match(entry)
        place = entry.rfind(b"\nMESSAGE=")
        if not head or place < 0:
            return None
        source = self._streams.get(entry[head.end() : place])
        payload = source and _PAYLOAD.fullmatch(entry, place + 9, len(entry) - 1)
        if not source or not payload:
            return None
        at = At(head[4].decode(), int(head[3]), int(head[2]), source[1])
        count, app, node = payload.groups()
        return Counted(at, head[1].decode(), source[0], app.decode(), node.decode(), int(count))

    def first(self, entry: bytes) -> Statement | None:
        """What the entry says, parsed field by field."""
        statement = _statement(entry)
        head = _HEAD.match(entry)
        place = entry.rfind(b"\nMESSAGE=")
        only = entry.find(b"\nMESSAGE=") == place
        if type(statement) is Counted and head and only and len(self._streams) < 1000:
            self._streams[entry[head.end() : place]] = statement.stream, statement.at.machine
        return statement


def _statement(entry: bytes) -> Statement | None:
    if b"\n_TRANSPORT=stdout\n" in entry:
        if b"\n_SYSTEMD_UNIT=receiver.service\n" in entry:
            return _of_receiver(entry)
        return _of_sender(entry)
    if b"\n_PID=1\n" in entry and b"\n_UID=0\n" in entry and b"\n_TRANSPORT=journal\n" in entry:
        return _of_pid1(entry)
    if b"\nSENDRECV_APP=" in entry and b"\n_TRANSPORT=journal\n" in entry:
        return _of_sender(entry)
    if b"\n_TRANSPORT=driver\n" in entry:
        return _of_journald(entry)
    return None


def _of_receiver(entry: bytes) -> Statement | None:
    message = field(entry, b"MESSAGE")
    at, ref = _head(entry)
    if b"\nPRIORITY=6\n" not in entry:
        return _remark(message, at, ref, text(entry, b"_STREAM_ID"))
    payload = _PAYLOAD.fullmatch(message)
    if not payload:
        return None if _PROBE.fullmatch(message) else Stray(at, ref)
    count, app, node = payload.groups()
    stream = text(entry, b"_STREAM_ID")
    return Counted(at, ref, stream, app.decode(), node.decode(), int(count))


def _remark(message: bytes, at: At, ref: str, stream: str) -> Statement | None:
    """What the receiver says beside its payloads, if it is evidence."""
    kind, _, rest = message.partition(b" ")
    parse = _REMARKS.get(kind)
    if parse is None:
        return None
    try:
        return parse(json.loads(rest), at, ref, stream)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _claim(said: Any, at: At, ref: str, stream: str) -> Claimed | None:
    claim = Claimed(
        *(at, ref, stream, said["appID"], said["nodeID"]), said["epoch"], said["run"], said["last"]
    )
    last = 0 if claim.last is None else claim.last
    is_one = _are_names(claim.app, claim.node, claim.run) and _are_numbers(claim.epoch, last)
    return claim if is_one else None


def _unproven(said: Any, at: At, ref: str, stream: str) -> Unproven | None:
    first, last = said["first"], said["last"]
    unproven = Unproven(at, ref, stream, said["appID"], said["nodeID"], first, last)
    is_one = _are_names(unproven.app, unproven.node) and _are_numbers(first, last)
    return unproven if is_one and first <= last else None


def _forgotten(said: Any, at: At, ref: str, stream: str) -> Forgotten | None:
    forgotten = Forgotten(at, ref, stream, said["appID"], said["incarnation"])
    is_one = _are_names(forgotten.app) and _are_numbers(forgotten.incarnation)
    return forgotten if is_one else None


_REMARKS: dict[bytes, Callable[[Any, At, str, str], Statement | None]] = {
    b"session": _claim,
    b"unproven": _unproven,
    b"forgotten": _forgotten,
}


def _are_names(*names: Any) -> bool:
    return all(isinstance(name, str) and _NAMED.fullmatch(name.encode()) for name in names)


def _are_numbers(*numbers: Any) -> bool:
    return all(type(number) is int and number >= 0 for number in numbers)


def _of_sender(entry: bytes) -> Spoke | None:
    unit = text(entry, b"_SYSTEMD_UNIT")
    if not _SENDER.fullmatch(unit):
        return None
    run, app = text(entry, b"_SYSTEMD_INVOCATION_ID"), text(entry, b"SENDRECV_APP")
    pid = _number(field(entry, b"_PID"))
    return Spoke(*_head(entry), unit, run, pid, app if _are_names(app) else "")


def _of_pid1(entry: bytes) -> UnitSaid | None:
    unit = text(entry, b"UNIT")
    if unit != RECEIVER and not _WITNESSED.fullmatch(unit):
        return None
    what, detail = _what(entry)
    run = text(entry, b"INVOCATION_ID")
    return UnitSaid(*_head(entry), unit, run, what, detail)


def _what(entry: bytes) -> tuple[str, str]:
    """Which of PID1's statements it is, and its detail: how a process, or a run, ended."""
    what = PID1.get(field(entry, b"MESSAGE_ID"), "said")
    if what == "exited":
        return what, _exit(entry)
    if what == "ended":
        return what, text(entry, b"UNIT_RESULT") or "success"
    if what == "started" and field(entry, b"JOB_TYPE") not in {b"start", b"restart"}:
        return "said", ""
    if what == "said" and _is_left_behind(entry):
        return LEFT_BEHIND, text(entry, b"MESSAGE")
    return what, ""


def _exit(entry: bytes) -> str:
    code = text(entry, b"EXIT_CODE")
    status = text(entry, b"EXIT_STATUS")
    command = text(entry, b"COMMAND")
    whose = "" if command == "ExecStart" else f"{command}: "
    return f"{whose}{code or 'ended'}, status {status or 'unknown'}"


def _is_left_behind(entry: bytes) -> bool:
    """There is no MESSAGE_ID for it. The text is looked at too, in case the function is renamed."""
    return (
        field(entry, b"CODE_FUNC") == b"unit_log_leftover_process_stop"
        or b"remains running after unit stopped" in entry
    )


def _of_journald(entry: bytes) -> Lost | Journald | None:
    message_id = field(entry, b"MESSAGE_ID")
    at, ref = _head(entry)
    if message_id in _JOURNALD:
        return Journald(at, ref, _JOURNALD[message_id])
    if message_id != _DROPPED:
        return None
    unit = text(entry, b"OBJECT_SYSTEMD_UNIT")
    return Lost(at, ref, unit, _number(field(entry, b"N_DROPPED")))
