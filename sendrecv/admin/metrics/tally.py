"""How many takeovers there were: what the journal had when it was last read, and what is new.

The journal forgets, and a counter must not. So the numbers are kept in a file, with the cursor of
the last entry that is in them. Rejected: to count what the journal has of this boot, which becomes
less when old files are removed, and costs more the longer the machine is up.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sendrecv import systemd
from sendrecv.admin import takeovers
from sendrecv.admin.metrics.table import OTHER, REASONS, SILENCES
from sendrecv.admin.takeovers import Takeover
from sendrecv.core.errors import WARNING
from sendrecv.core.values import Value

STATE = Path("/var/lib/sendrecv-metrics")
FILE = "takeovers.json"
SCHEMA = 1
MAX_FILE = 1 << 24
"""Bytes. 10,000 Apps are 2 MB."""
MAX_APPS = 10_000
_EMPTY = (0,) * (len(SILENCES) + 1)


class OfApp(Value):
    """takeovers, starts: how many, by reason. silences: for each of SILENCES, how many were in its
    bucket; the last number: how many were longer. seconds: of all of them.
    """

    takeovers: Mapping[str, int] = {}
    starts: Mapping[str, int] = {}
    silences: tuple[int, ...] = _EMPTY
    seconds: float = 0.0


class Tally(Value):
    """apps: by instance. cursor: of the last entry of the journal that is in it, "" for none."""

    apps: Mapping[str, OfApp] = {}
    cursor: str = ""


def current() -> Tally:
    """With what the journal has now. Raises SendrecvError if that cannot be read.

    It is kept if systemd has given this process a directory for that. A run by hand only reads what
    was kept there, if it may.
    """
    own = os.environ.get("STATE_DIRECTORY")
    if not own:
        return _with_news(kept(STATE))
    with _locked(Path(own)):
        tally = _with_news(kept(Path(own)))
        with contextlib.suppress(OSError):  # a full disk: the next reading reads the same again
            _keep(tally, Path(own))
    return tally


def _with_news(tally: Tally) -> Tally:
    events, cursor = takeovers.news(tally.cursor)
    return counted(tally, events).replace(cursor=cursor)


def counted(tally: Tally, events: Iterable[Takeover]) -> Tally:
    """With these, too."""
    apps = dict(tally.apps)
    for event in events:
        if event.instance in apps or len(apps) < MAX_APPS:
            apps[event.instance] = _one_more(apps.get(event.instance, OfApp()), event)
    return tally.replace(apps=apps)


def _one_more(app: OfApp, event: Takeover) -> OfApp:
    reason = event.code if event.code in REASONS else OTHER
    if event.is_start:
        return app.replace(starts=_increased(app.starts, reason))
    app = app.replace(takeovers=_increased(app.takeovers, reason))
    if event.silence is None:
        return app
    silences = [*app.silences]
    silences[bisect_left(SILENCES, event.silence)] += 1
    return app.replace(silences=tuple(silences), seconds=app.seconds + event.silence)


def _increased(counts: Mapping[str, int], reason: str) -> Mapping[str, int]:
    return {**counts, reason: counts.get(reason, 0) + 1}


# The file.


def kept(directory: Path) -> Tally:
    """What is in the file; nothing if there is none that can be read."""
    try:
        with open(directory / FILE, encoding="utf-8") as file:
            return _decoded(json.loads(file.read(MAX_FILE)))
    except OSError:
        return Tally()
    except (ValueError, KeyError, TypeError, AttributeError):
        systemd.log(WARNING, f"{directory / FILE}: damaged, counting what the journal has")
        return Tally()


def _decoded(found: Mapping[str, object]) -> Tally:
    """Raises ValueError, KeyError, TypeError or AttributeError if it is not what _encoded() wrote.

    With other bounds than these, the histogram would be wrong: then all is counted anew.
    """
    apps, cursor = found["apps"], found["cursor"]
    if found["schema"] != SCHEMA or found["bounds"] != [*SILENCES] or not isinstance(cursor, str):
        raise ValueError
    if not isinstance(apps, dict):
        raise ValueError
    return Tally({name: _app(app) for name, app in apps.items()}, cursor)


def _app(found: Mapping[str, object]) -> OfApp:
    silences, seconds = found["silences"], found["seconds"]
    if not isinstance(silences, list) or len(silences) != len(_EMPTY):
        raise ValueError
    if not isinstance(seconds, (int, float)):
        raise ValueError
    return OfApp(
        takeovers=_counts(found["takeovers"]),
        starts=_counts(found["starts"]),
        silences=tuple(int(number) for number in silences),
        seconds=float(seconds),
    )


def _counts(found: object) -> Mapping[str, int]:
    if not isinstance(found, dict):
        raise ValueError
    return {reason: int(number) for reason, number in found.items() if reason in (*REASONS, OTHER)}


def _encoded(tally: Tally) -> str:
    apps = {name: app.as_dict() for name, app in tally.apps.items()}
    known = {"schema": SCHEMA, "cursor": tally.cursor, "bounds": SILENCES, "apps": apps}
    return json.dumps(known) + "\n"


def _keep(tally: Tally, directory: Path) -> None:
    """Not synced: after a power cut, what is missing is read from the journal again."""
    text = _encoded(tally)
    with contextlib.suppress(OSError):
        if (directory / FILE).read_text(encoding="utf-8") == text:
            return
    replace(directory / FILE, text, 0o640)


def replace(path: Path, text: str, mode: int) -> None:
    """Write that file as a whole: whoever reads it sees the text of before, or this one. Raises
    OSError.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """The timer's service and the socket's have one file."""
    with open(directory / "lock", "a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
