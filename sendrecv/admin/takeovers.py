"""The takeovers of Apps, as the journal has them: the entries that senders write (sender/story.py).

Anybody on the machine may write entries with such fields. But journald itself adds which unit has
written an entry, and only those of a sender's unit count. The instance is that of the unit, too.

Everything that shows takeovers reads them here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sendrecv.core.errors import quoted
from sendrecv.core.takeover import BEGUN, TAKEOVER
from sendrecv.errors import CredentialError, StoreUnusable, UsageError

DIRECTORIES = ("/var/log/journal", "/run/log/journal")
MOST = 20_000
"""Entries that news() reads at once."""
TRIES = 3
"""How often the journal is read, if its files change meanwhile."""
_UNIT = re.compile(r"sender(?:-failover)?@(.+)\.service")
_FIELDS = (
    "MESSAGE_ID,_SYSTEMD_UNIT,SENDRECV_APP,SENDRECV_FROM,SENDRECV_TO,SENDRECV_FROM_HOST"
    ",SENDRECV_TO_HOST,SENDRECV_WHY,SENDRECV_WHY_TEXT,SENDRECV_REASON,SENDRECV_SILENCE_USEC"
    ",SENDRECV_COUNT,SENDRECV_EPOCH"
)
_MOST = 400
"""Characters of a field: a reason has at most 200."""
_NOT_ALLOWED = "insufficient permissions"
"""What journalctl says to a user who may read no file of the journal."""


@dataclass(frozen=True)
class Takeover:
    """A process has gone on with an App's counts.

    when: seconds since 1970. from_node: "" if the App began. from_host, to_host: "" if the App is
    one of a single machine. why: in words. code: see core/takeover.py. silence: seconds from the
    last count before to the first one after; None if it is not known. count: the first count; None
    if there was none yet. reason: a person's, or "".
    """

    when: float
    app_id: str
    instance: str
    from_node: str
    to_node: str
    from_host: str
    to_host: str
    why: str
    code: str
    silence: float | None
    epoch: int
    count: int | None
    reason: str

    @property
    def is_start(self) -> bool:
        """Whether it is no takeover: the same half has counted before, or nobody has."""
        is_here = self.from_host in ("", self.to_host)
        return not self.from_node or (is_here and self.from_node == self.to_node)


def takeovers(
    instances: Sequence[str] = (), since: str = "", newest: int = 0
) -> Sequence[Takeover]:
    """The takeovers of these Apps (of all, if none is named), the newest last. See events()."""
    return [event for event in events(instances, since, newest) if not event.is_start]


def events(instances: Sequence[str] = (), since: str = "", newest: int = 0) -> Sequence[Takeover]:
    """The takeovers and the starts of these Apps, the newest last.

    since: as systemd.time(7) has it, "" for all. newest: how many entries at most, 0 for all.
    Raises CredentialError if this user may not read the journal; UsageError for a wrong `since`.
    """
    options = [f"--since={since}"] if since else []
    options += [f"--lines={newest}"] if newest else []
    units = (f"{half}@{name}.service" for name in instances for half in _HALVES)
    matches = [f"MESSAGE_ID={TAKEOVER}", f"MESSAGE_ID={BEGUN}"]
    matches += [f"_SYSTEMD_UNIT={unit}" for unit in units]
    return list(events_of(_entries([*options, *matches])))


def news(cursor: str) -> tuple[Sequence[Takeover], str]:
    """Those after that entry, the oldest first, and the cursor of the last entry that was read.

    cursor: "" for all that the journal has; if the entry is not there any more, what is newer than
    it was. At most MOST entries are read, so call it again later. Raises as events() does.
    """
    # Not --after-cursor=, which skips one entry even if that is not the one of the cursor.
    options = [f"--cursor={cursor}"] if cursor else []
    lines = _entries([*options, f"--lines={MOST}", f"MESSAGE_ID={TAKEOVER}", f"MESSAGE_ID={BEGUN}"])
    if lines and _cursor(lines[0]) == cursor:
        lines = lines[1:]
    return list(events_of(lines)), _cursor(lines[-1]) if lines else cursor


def _cursor(line: str) -> str:
    return str(json.loads(line).get("__CURSOR", ""))


_HALVES = ("sender", "sender-failover")


def events_of(lines: Iterable[str]) -> Iterator[Takeover]:
    """What these entries say, each a line of `journalctl --output=json`."""
    for line in lines:
        entry = json.loads(line) if line.startswith("{") else {}
        if event := _event(entry):
            yield event


def _event(entry: Mapping[str, object]) -> Takeover | None:
    """None if no sender has written that."""
    unit = _UNIT.fullmatch(_text(entry, "_SYSTEMD_UNIT"))
    when, epoch = (_number(entry, name) for name in ("__REALTIME_TIMESTAMP", "SENDRECV_EPOCH"))
    silence = _number(entry, "SENDRECV_SILENCE_USEC")
    if not unit or when is None or epoch is None:
        return None
    return Takeover(
        when=when / 1e6,
        app_id=_text(entry, "SENDRECV_APP"),
        instance=unit[1],
        from_node=_text(entry, "SENDRECV_FROM"),
        to_node=_text(entry, "SENDRECV_TO"),
        from_host=_text(entry, "SENDRECV_FROM_HOST"),
        to_host=_text(entry, "SENDRECV_TO_HOST"),
        why=_text(entry, "SENDRECV_WHY_TEXT"),
        code=_text(entry, "SENDRECV_WHY"),
        silence=None if silence is None else silence / 1e6,
        epoch=epoch,
        count=_number(entry, "SENDRECV_COUNT"),
        reason=_text(entry, "SENDRECV_REASON"),
    )


def _text(entry: Mapping[str, object], name: str) -> str:
    """A field that is there once, and is one printable line; else "", or escaped."""
    value = entry.get(name)
    if not isinstance(value, str):  # several fields of that name, or bytes that are no text
        return ""
    return value if value.isprintable() and len(value) <= _MOST else quoted(value)


def _number(entry: Mapping[str, object], name: str) -> int | None:
    value = entry.get(name)
    is_number = isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value)
    return int(str(value)) if is_number else None


def _entries(arguments: Sequence[str]) -> Sequence[str]:
    """journalctl leaves out, without a word, a file that is renamed while it lists them."""
    for _ in range(TRIES - 1):
        before = _files()
        _assert_readable(before)
        lines = _journalctl(arguments)
        if _files() == before:
            return lines
    return _journalctl(arguments)


def _files() -> set[str]:
    """Those of the journal: a rotation changes their names."""
    return {
        os.path.join(directory, name)
        for top in DIRECTORIES
        for directory, _, names in os.walk(top)
        for name in names
    }


def _assert_readable(files: Iterable[str]) -> None:
    """A user who has written to the journal may read that. With --output=json, journalctl does not
    say that the rest is missing.
    """
    for path in files:
        if os.path.basename(path).startswith("system"):
            try:
                os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except PermissionError:
                raise _not_allowed() from None
            except OSError:
                pass  # it was renamed meanwhile


def _not_allowed() -> CredentialError:
    return CredentialError(
        "the journal: you may not read it",
        "it is shown to root and to members of the groups adm and systemd-journal",
    )


def _journalctl(arguments: Sequence[str]) -> Sequence[str]:
    """Its lines. Raises as events() does."""
    command = ["journalctl", "--no-pager", "--output=json", f"--output-fields={_FIELDS}"]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            [*command, *arguments], capture_output=True, env=environment, check=False
        )
    except OSError as error:
        raise StoreUnusable(f"journalctl: {error.strerror}") from None
    complaint = done.stderr.decode("utf-8", "replace").strip()
    if _NOT_ALLOWED in complaint:
        raise _not_allowed()
    if "Failed to parse timestamp" in complaint:
        raise UsageError("--since: not a time", "see systemd.time(7), such as '-1h' or '12:00'")
    if done.returncode and "No journal files were found" not in complaint:
        raise StoreUnusable(f"journalctl: {complaint.splitlines()[-1] if complaint else 'failed'}")
    return done.stdout.decode("utf-8", "replace").splitlines()
