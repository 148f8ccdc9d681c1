"""A settings file as systemd reads it, and what is left out: EnvironmentFile= in systemd.exec(5).

systemd drops a line that has no "=", and a name that cannot be one of a variable. Of a file with a
byte that is no UTF-8 it reads nothing at all. The unit starts all the same, with other settings
than its file seems to have. So each of these is a Complaint here.
"""

from __future__ import annotations

import re

from sendrecv.core.errors import quoted
from sendrecv.core.values import Value

MAX_FILE = 65_536
_WHITE, _ENDS = " \t\n\r", "\n\r"
_ESCAPED = '"\\`$'
"""What a backslash between double quotes takes its meaning from."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Assignment(Value):
    """KEY=VALUE, as systemd has it. line: where it begins."""

    line: int
    key: str
    value: str


class Complaint(Value):
    """What is not as its writer meant it. line: 0 for the file as a whole."""

    line: int
    text: str


class Read(Value):
    """What systemd takes of a file, in order, and what is wrong with it."""

    assignments: tuple[Assignment, ...]
    complaints: tuple[Complaint, ...]

    def values(self) -> dict[str, str]:
        """By key: of several lines the last one."""
        return {one.key: one.value for one in self.assignments}


def parse(data: bytes) -> Read:
    """The settings in the bytes of a file."""
    if whole := _unreadable(data):
        return Read((), (whole,))
    reader = _Parser()
    for character in data.decode():
        reader.step(character)
    reader.end()
    complaints = sorted(reader.complaints, key=lambda one: one.line)
    return Read(tuple(reader.found), tuple(complaints))


def _unreadable(data: bytes) -> Complaint | None:
    """Why systemd reads nothing of it."""
    if len(data) > MAX_FILE:
        return Complaint(0, f"it is longer than {MAX_FILE} bytes, which is no file of settings")
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        return Complaint(line, "a byte that is zero: nothing of the whole file is read")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = data[error.start]
        return Complaint(line, f"byte {byte:#x} is no UTF-8: nothing of the whole file is read")
    return None


class _Parser:
    """The states are those of parse_env_file_internal() in systemd's env-file.c, 252 to 257."""

    def __init__(self) -> None:
        self.found: list[Assignment] = []
        self.complaints: list[Complaint] = []
        self._state = self._before_key
        self._line = self._begins = 1
        self._key = self._value = self._blank = ""

    def step(self, character: str) -> None:
        """One character more."""
        self._state(character)
        self._line += character == "\n"

    def end(self) -> None:
        """Of the file."""
        if self._state in (self._in_single, self._in_double, self._after_double_escape):
            self.complaints.append(
                Complaint(self._begins, "a quote that never ends takes all that follows")
            )
        if self._state == self._in_key:
            self._drop_line()
        elif self._state not in (self._before_key, self._in_comment, self._after_comment_escape):
            self._assign()

    def _before_key(self, character: str) -> None:
        if character in "#;":
            self._state = self._in_comment
        elif character not in _WHITE:
            self._begins, self._key = self._line, character
            self._state = self._in_key

    def _in_key(self, character: str) -> None:
        if character in _ENDS:
            self._drop_line()
            self._state = self._before_key
        elif character == "=":
            self._value = self._blank = ""
            self._state = self._before_value
        else:
            self._key += character

    def _before_value(self, character: str) -> None:
        if character in _ENDS:
            self._assign()
        elif character == "'":
            self._state = self._in_single
        elif character == '"':
            self._state = self._in_double
        elif character == "\\":
            self._state = self._after_escape
        elif character not in _WHITE:
            self._value += character
            self._state = self._in_value

    def _in_value(self, character: str) -> None:
        if character in _ENDS:
            self._assign()
        elif character == "\\":
            self._add("")
            self._state = self._after_escape
        elif character in _WHITE:
            self._blank += character  # left out at the end of the line
        else:
            self._add(character)

    def _after_escape(self, character: str) -> None:
        """An end of the line is left out, and the next line belongs to this one."""
        self._state = self._in_value
        if character not in _ENDS:
            self._add(character)

    def _in_single(self, character: str) -> None:
        if character == "'":
            self._state = self._before_value
        else:
            self._value += character

    def _in_double(self, character: str) -> None:
        if character == '"':
            self._state = self._before_value
        elif character == "\\":
            self._state = self._after_double_escape
        else:
            self._value += character

    def _after_double_escape(self, character: str) -> None:
        self._state = self._in_double
        if character in _ESCAPED:
            self._value += character
        elif character != "\n":
            self._value += f"\\{character}"

    def _in_comment(self, character: str) -> None:
        if character == "\\":
            self._state = self._after_comment_escape
        elif character in _ENDS:
            self._state = self._before_key

    def _after_comment_escape(self, character: str) -> None:
        self._state = self._in_comment
        if character in _ENDS:  # up to systemd 253 the comment goes on
            text = "a comment that ends in \\ may take the next line with it (systemd before 254)"
            self.complaints.append(Complaint(self._line, text))
            self._state = self._before_key

    def _add(self, text: str) -> None:
        self._value += self._blank + text
        self._blank = ""

    def _assign(self) -> None:
        self._state = self._before_key
        key = self._key.rstrip(_WHITE)
        if problem := _wrong_name(key):
            self.complaints.append(Complaint(self._begins, problem))
        else:
            self.found.append(Assignment(self._begins, key, self._value))

    def _drop_line(self) -> None:
        key = self._key.lstrip("\ufeff").rstrip(_WHITE)
        name, colon, _ = key.partition(":")
        better = f": write {name.strip()}=..." if colon and _NAME.fullmatch(name.strip()) else ""
        self.complaints.append(
            Complaint(self._begins, f"{quoted(key)} has no =, so nothing is set{better}")
        )


def _wrong_name(key: str) -> str:
    """Why systemd does not take that for the name of a variable; "" if it does."""
    if _NAME.fullmatch(key):
        return ""
    bare = key.removeprefix("\ufeff")
    if bare != key:
        also = "" if _NAME.fullmatch(bare) else f" and {quoted(bare)}"
        return f"a byte-order mark stands before the first name{also}, so it is not set"
    first, _, name = key.partition(" ")
    if first == "export" and _NAME.fullmatch(name.strip()):
        name = name.strip()
        return f"this is no shell, so {name} is not set: write {name}=... without export"
    return f"{quoted(key)} is no name of a setting, so it is not set"
