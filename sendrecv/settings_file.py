"""A file of settings: what of it has no effect, and where a setting that is wrong was made.

Nobody who starts waits for this. A sender and the receiver read their file when they are ready, and
when a setting is wrong; `sendrecv check` reads it with the rights of who types that. A file that
only root can read is read by systemd, which hands its settings to the senders; only root is
told of what is wrong with it.
"""

from __future__ import annotations

import os
import stat

from sendrecv.config import PREFIX, RECEIVER_SETTINGS, SENDER_SETTINGS
from sendrecv.core.env_file import MAX_FILE, Complaint, Read, parse
from sendrecv.core.errors import WARNING, quoted

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DIRECTORY = "/etc/sendrecv"
UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
MOST = 5
"""Warnings of one start."""


def path_of(instance: str) -> str:
    """The file of an App's settings; instance "receiver": the receiver's."""
    return f"{DIRECTORY}/{instance}.env"


def read(path: str) -> Read:
    """What systemd takes of that file: of one that is not there, nothing. Raises PermissionError if
    this user may not read it.
    """
    try:
        # A pipe would let its reader wait.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Read((), ())
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return Read((), (Complaint(0, "this is no file: nothing of it is read"),))
        return parse(os.pread(file, MAX_FILE + 1, 0))
    except OSError as error:
        return Read((), (Complaint(0, f"{error.strerror}: nothing of it is read"),))
    finally:
        os.close(file)


def complaints(found: Read, known: Iterable[str]) -> list[Complaint]:
    """What of that has no effect. known: the settings that there are."""
    wrong = [*found.complaints]
    for one in found.assignments:
        # Of one that begins with SENDRECV_ and is none, there is an error already.
        if not one.key.startswith(PREFIX) and (meant := _meant(one.key, known)):
            text = f"{quoted(one.key)} is no setting, so it has no effect; perhaps {meant} is meant"
            wrong.append(Complaint(one.line, text))
    return sorted(wrong, key=lambda one: one.line)


def tell(instance: str, log: Callable[[int, str], object]) -> None:
    """A warning for each line of that App's or the receiver's file that has no effect."""
    path = path_of(instance)
    known = RECEIVER_SETTINGS if instance == "receiver" else SENDER_SETTINGS
    try:
        wrong = complaints(read(path), known)
    except PermissionError:
        return
    for one in wrong[:MOST]:
        log(WARNING, f"{place(path, one.line)}: {one.text}, ignoring")
    if len(wrong) > MOST:
        log(WARNING, f"{path}: {len(wrong) - MOST} more lines have no effect, ignoring")


def place(path: str, line: int) -> str:
    """Where that is, for a person."""
    return f"{path}, line {line}" if line else path


def where(key: str, value: str | None, instance: str, unit: str) -> str:
    """Where the setting was made that this unit has: a line of its file, or of a drop-in. unit: ""
    for a command that somebody has typed.
    """
    path = path_of(instance)
    try:
        lines = [one.line for one in read(path).assignments if (one.key, one.value) == (key, value)]
    except PermissionError:
        return f"{path}, or Environment= of {unit}"
    if lines:
        return place(path, lines[-1])
    if not unit:
        return "the environment"
    for fragment in [*_fragments(unit)][::-1]:
        if line := _line_with(fragment, key):
            return place(fragment, line)
    return f"the environment of {unit}"


def _meant(key: str, known: Iterable[str]) -> str:
    """The setting that has nearly that name; "" for none."""
    name = key.upper().replace("-", "_")
    for setting in known:
        if name == setting.removeprefix(PREFIX) or _distance(name, setting) <= 2:
            return setting
    return ""


def _distance(one: str, other: str) -> int:
    """How many characters are missing, too many, or others (Levenshtein); 3 for many."""
    if abs(len(one) - len(other)) > 2:
        return 3
    row: list[int] = [*range(len(other) + 1)]
    for position, character in enumerate(one, 1):
        before, row[0] = row[0], position
        for at, wanted in enumerate(other, 1):
            changed = before + (character != wanted)
            before, row[at] = row[at], min(changed, row[at] + 1, row[at - 1] + 1)
    return min(row[-1], 3)


def _fragments(unit: str) -> Iterator[str]:
    """The files that may set something for that unit, in no order that matters much: a drop-in is
    for one unit, for its template, or for all of a prefix.
    """
    prefix, at, rest = unit.partition("@")
    template = f"{prefix}@.{rest.rpartition('.')[2]}" if at else unit
    for name in dict.fromkeys((template, unit)):
        for directory in UNITS[::-1]:
            yield f"{directory}/{name}"
            try:
                drop_ins = sorted(os.listdir(f"{directory}/{name}.d"))
            except OSError:
                continue
            yield from (f"{directory}/{name}.d/{one}" for one in drop_ins)


def _line_with(path: str, key: str) -> int:
    """The last line that may set it by Environment=; 0 for none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(MAX_FILE).split("\n")
    except OSError:
        return 0
    found = [number for number, line in enumerate(lines, 1) if f"{key}=" in line]
    return found[-1] if found else 0
