"""Files and directories: owner, mode, kind, and room on their disks."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable, Iterator

from sendrecv.admin.checks.unseen import Unseen
from sendrecv.admin.facts import Facts
from sendrecv.admin.problems import MAKE_TOKEN, Problem
from sendrecv.admin.screen import plain
from sendrecv.core import tokens
from sendrecv.core.values import Value
from sendrecv.core.wire import MAX_TOKEN_FILE

SENDER, RECEIVER = "sendrecv", "sendrecv-receiver"
TOKEN = "/etc/sendrecv/token"
MEGA = 1 << 20
LITTLE, NONE = 64 * MEGA, 4 * MEGA
"""Bytes that are free: a warning, and an error. A record has 8 kB, the ledger a few MB."""
FEW = 1000
"""Files that can still be made."""
_DIRECTORY, _FILE, _SOCKET = "a directory", "a file", "a socket"
_KINDS = {_DIRECTORY: stat.S_ISDIR, _FILE: stat.S_ISREG, _SOCKET: stat.S_ISSOCK}


class Place(Value):
    """How it must be. more: the bits of a mode that are too much; least: those that it must have.
    owner, group: "" for any. is_needed: whether something is wrong if it is not there. is_error:
    whether something does not work if it is otherwise.
    """

    path: str
    kind: str
    owner: str
    group: str
    more: int
    cost: str
    is_needed: bool = False
    is_error: bool = True
    least: int = 0


PLACES = (
    Place("/usr/bin/sendrecv", _FILE, "root", "", 0o022, "nothing can be started", True),
    Place("/etc/sendrecv", _DIRECTORY, "root", "", 0o022, "others can change what Apps do"),
    Place(
        TOKEN, _FILE, "root", "", 0o077, "whoever reads the token can send and acknowledge counts"
    ),
    Place("/var/lib/sendrecv", _DIRECTORY, SENDER, SENDER, 0o077, "no sender has its record", True),
    Place(
        "/var/lib/sendrecv-receiver",
        _DIRECTORY,
        RECEIVER,
        RECEIVER,
        0o077,
        "the receiver has no ledger, and accepts no counts",
        True,
    ),
    Place(
        "/var/lib/sendrecv-receiver/ledger.db",
        _FILE,
        RECEIVER,
        RECEIVER,
        0o077,
        "the receiver cannot write its ledger, and accepts no counts",
    ),
    Place("/run/sendrecv", _DIRECTORY, SENDER, SENDER, 0o077, "senders have no back-off"),
    Place(
        "/run/sendrecv-receiver",
        _DIRECTORY,
        RECEIVER,
        RECEIVER,
        0o077,
        "the receiver cannot keep its mark",
    ),
    Place(
        "/run/sendrecv-socket",
        _DIRECTORY,
        "root",
        "root",
        0o022,
        "somebody else can put a socket in the receiver's place",
    ),
    Place(
        "/run/sendrecv-socket/receiver.sock",
        _SOCKET,
        "root",
        SENDER,
        0o007,
        "senders cannot connect, or others can",
        least=0o660,
    ),
    Place(
        "/run/sendrecv-socket/status.sock",
        _SOCKET,
        "root",
        "adm",
        0o007,
        "sendrecv status shows counts to others than root and the group adm, or not to these",
        is_error=False,
        least=0o660,
    ),
)

DISKS = (
    ("/var/lib/sendrecv", "senders cannot write their records, and do not count"),
    ("/var/lib/sendrecv-receiver", "the receiver accepts no counts"),
    ("/run", "sockets, the receiver's mark and the back-off cannot be written"),
)
"""Where there must be room, and what it costs if there is none."""


class There(Value):
    """What is there. owner, group: their names, or their numbers as text."""

    kind: str
    owner: str
    group: str
    mode: int


class Disk(Value):
    """free: bytes; files: how many can be made, None if that has no limit."""

    free: int
    files: int | None
    is_read_only: bool = False


def look(path: str) -> There | None:
    """What is there, behind links; None for nothing. Raises PermissionError."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kinds = [kind for kind, is_one in _KINDS.items() if is_one(found.st_mode)]
    return There(
        (kinds or ["something else"])[0],
        _name(found.st_uid, pwd.getpwuid, "pw_name"),
        _name(found.st_gid, grp.getgrgid, "gr_name"),
        stat.S_IMODE(found.st_mode),
    )


def _name(number: int, look_up: object, field: str) -> str:
    assert callable(look_up)
    try:
        return str(getattr(look_up(number), field))
    except KeyError:
        return str(number)


def room(path: str) -> Disk:
    """Room there for who is not root. Raises OSError."""
    found = os.statvfs(path)
    return Disk(
        found.f_bavail * found.f_frsize,
        found.f_favail if found.f_files else None,
        bool(found.f_flag & os.ST_RDONLY),
    )


def problems(facts: Facts, instances: Iterable[str]) -> Iterator[Problem | Unseen]:
    """Of all places and disks, and of the files of these Apps."""
    yield from _users()
    for place in [*PLACES, *_of_apps(instances)]:
        try:
            there = look(place.path)
        except PermissionError:
            yield Unseen(place.path)
            continue
        yield from judge(place, there)
    yield from _token(facts)
    for path, cost in DISKS:
        try:
            yield from judge_room(path, room(path), cost)
        except OSError:
            pass  # it is not there, which was said


def _of_apps(instances: Iterable[str]) -> Iterator[Place]:
    """Settings, which root makes; a record, which a sender makes."""
    for instance in [*instances, "receiver"]:
        if "/" in instance:
            continue
        yield Place(
            f"/etc/sendrecv/{instance}.env", "", "root", "", 0o022, "others can change what it does"
        )


def _users() -> Iterator[Problem]:
    for user in (SENDER, RECEIVER):
        try:
            pwd.getpwnam(user)
        except KeyError:
            text = f"there is no user {user}"
            command = "systemd-sysusers /usr/lib/sysusers.d/sendrecv.conf"
            cost = f"no {'sender' if user == SENDER else 'receiver'} can be started"
            yield Problem("", "user", text, (command,), True, cost)


def judge(place: Place, there: There | None) -> Iterator[Problem]:
    """Whether what is there is as it must be."""
    path = place.path
    if there is None:
        if place.is_needed:
            text = f"{path} is missing"
            command = "apt install --reinstall sendrecv"
            if path.startswith(("/var/", "/run/")):
                command = "systemd-tmpfiles --create /usr/lib/tmpfiles.d/sendrecv.conf"
            yield Problem("", "missing", text, (command,), True, place.cost)
        return
    if place.kind and there.kind != place.kind:
        text = f"{path} is {there.kind}, and not {place.kind}"
        yield Problem("", "kind", text, (f"ls -ld {path}",), place.is_error, place.cost)
        return
    wrong = [
        f"belongs to {name} {is_}, and not to {must}"
        for name, is_, must in (
            ("user", there.owner, place.owner),
            ("group", there.group, place.group),
        )
        if must and is_ != must
    ]
    if wrong:
        owner = ":".join(filter(None, (place.owner, place.group)))
        text = f"{path} {' and '.join(map(plain, wrong))}"
        yield Problem("", "owner", text, (f"chown {owner} {path}",), place.is_error, place.cost)
    if too_much := there.mode & place.more:
        text = f"{path} has the mode {there.mode:04o}, and {_who(too_much)}"
        command = f"chmod {_bits('-', too_much)} {path}"
        yield Problem("", "mode", text, (command,), place.is_error, place.cost)
    if missing := place.least & ~there.mode:
        text = f"{path} has the mode {there.mode:04o}, and needs {place.least:04o}"
        command = f"chmod {_bits('+', missing)} {path}"
        yield Problem("", "mode", text, (command,), place.is_error, place.cost)


def _who(bits: int) -> str:
    whom = " and ".join(
        name for name, mask in (("its group", 0o070), ("everybody", 0o007)) if bits & mask
    )
    what = "write" if bits & 0o022 else "read"
    return f"{whom} can {what} it"


def _bits(sign: str, bits: int) -> str:
    """What chmod is to take away or to add."""
    parts = []
    for letter, shift in (("u", 6), ("g", 3), ("o", 0)):
        three = bits >> shift & 7
        rights = "".join(right for right, bit in zip("rwx", (4, 2, 1), strict=True) if three & bit)
        if rights:
            parts.append(f"{letter}{sign}{rights}")
    return ",".join(parts)


def _token(facts: Facts) -> Iterator[Problem | Unseen]:
    if not facts.has_token:
        return  # status says so, if one is needed
    try:
        with open(TOKEN, "rb") as file:
            data = file.read(MAX_TOKEN_FILE + 1).strip()
    except PermissionError:
        yield Unseen(f"what is in {TOKEN}")
        return
    except OSError:
        return  # judge() has said what it is
    cost = "it gives nobody a right: nothing that needs it connects by TCP"
    edit = f"sensible-editor {TOKEN}"
    text = data.decode() if data.isascii() else "\0"
    if not data or not text.translate({9: None, 10: None}).isprintable():
        yield Problem("", "token-file", f"{TOKEN} has no token", (MAKE_TOKEN,), True, cost)
        return
    found = tokens.parse(text)
    for problem in found.problems:
        yield Problem("", "token-file", f"{TOKEN}: {problem}", (edit,), not found.tokens, cost)


def judge_room(path: str, disk: Disk, cost: str) -> Iterator[Problem]:
    """Whether there is room."""
    if disk.is_read_only:
        text = f"the disk of {path} is mounted read-only"
        yield Problem("", "read-only", text, (f"findmnt -T {path}",), True, cost)
        return
    if disk.free < LITTLE:
        text = f"the disk of {path} has {disk.free / MEGA:.0f} MB left"
        is_error = disk.free < NONE
        cost_then = cost if is_error else f"once it is full, {cost}"
        yield Problem("", "disk", text, (f"df -h {path}",), is_error, cost_then)
    if disk.files is not None and disk.files < FEW:
        text = f"the disk of {path} has room for {disk.files} files more (inodes)"
        is_error = disk.files < 10
        cost_then = cost if is_error else f"once there is none, {cost}"
        yield Problem("", "inodes", text, (f"df -i {path}",), is_error, cost_then)
