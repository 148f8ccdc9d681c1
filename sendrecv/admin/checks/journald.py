"""journald: whether it keeps what the receiver prints, and for how long.

`systemd-analyze cat-config` prints the files that are obeyed, in their order: journald.conf, and
the drop-ins of /usr/lib, /run and /etc. Of two settings the later one counts, and an empty one
means the default (journald.conf(5)).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping

from sendrecv.admin.checks.places import MEGA, Disk, room
from sendrecv.admin.checks.unseen import ROOT_OR_ADM, Unseen
from sendrecv.admin.facts import Facts
from sendrecv.admin.problems import Problem
from sendrecv.admin.screen import duration
from sendrecv.core.values import Value
from sendrecv.errors import NO_TOKEN

COMMAND = ("systemd-analyze", "cat-config", "systemd/journald.conf")
TIMEOUT = 10
PERSISTENT, VOLATILE = "/var/log/journal", "/run/log/journal"
DROP_IN = "/etc/systemd/journald.conf.d/sendrecv.conf"
RESTART = "systemctl restart systemd-journald"
ENTRY = 700
"""Bytes of the journal that a count takes at most, with its share of indexes."""
DAY = 86_400
LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
INFO = LEVELS.index("info")
LOST = "no count is kept, nothing can be proven, and the receiver cannot know what it printed"
_FILE = re.compile(r"# (/\S+\.conf)")
_SETTING = re.compile(r"\s*([A-Za-z]+)\s*=\s*(.*?)\s*")
_SIZES = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_TIMES = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("us", "usec"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604_800.0),
    **dict.fromkeys(("M", "month", "months"), 2_629_800.0),
    **dict.fromkeys(("y", "year", "years"), 31_557_600.0),
}
"""As systemd.time(7) has them, in seconds."""


class Setting(Value):
    """value: its text. file: the one that has it."""

    value: str
    file: str


class JournalStorage(Value):
    """What is known of it. settings: by name. is_kept: whether there is a directory on a disk.
    used: bytes that its files take, None if this user may not see. disk: where it is.
    """

    settings: Mapping[str, Setting]
    is_kept: bool
    used: int | None
    disk: Disk


def parse(text: str) -> dict[str, Setting]:
    """The settings in what COMMAND prints."""
    found: dict[str, Setting] = {}
    file, section = "", ""
    for line in text.split("\n"):
        if is_file := _FILE.fullmatch(line):
            file, section = is_file[1], ""
        elif line.strip().startswith("["):
            section = line.strip()
        elif line.lstrip().startswith(("#", ";")) or section != "[Journal]":
            continue
        elif match := _SETTING.fullmatch(line):
            found.pop(match[1], None)
            if match[2]:
                found[match[1]] = Setting(match[2], file)
    return found


def size(text: str) -> int | None:
    """Bytes; None if that is no size."""
    match = re.fullmatch(r"([0-9]+)(?:\.[0-9]+)?\s*([BKMGT]?)", text)
    return int(match[1]) * _SIZES[match[2]] if match else None


def seconds(text: str) -> float | None:
    """Seconds, of "1month 2h"; None if that is no time."""
    parts = re.findall(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", text)
    if not parts or re.sub(r"[0-9.A-Za-z\s]", "", text) or not all(u in _TIMES for _, u in parts):
        return None
    return sum(float(number) * _TIMES[unit] for number, unit in parts)


def problems(facts: Facts, expected: float) -> Iterator[Problem | Unseen]:
    """Of this machine's journal. expected: counts a second, by the Apps' settings."""
    try:
        done = subprocess.run(COMMAND, capture_output=True, timeout=TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        yield Unseen("journald's settings", "who can run systemd-analyze")
        return
    settings = parse(done.stdout.decode("utf-8", "replace"))
    is_kept = os.path.isdir(PERSISTENT)
    directory = PERSISTENT if is_kept else VOLATILE
    try:
        disk = room(directory)
    except OSError:
        disk = room("/var")
    used = _used(directory)
    if used is None:
        yield Unseen(f"the size of {directory}", ROOT_OR_ADM)
    rate = facts.receiver.rate
    if rate is None and facts.receiver.exit_status == NO_TOKEN:
        yield Unseen("how many counts a second are printed", ROOT_OR_ADM)
    yield from judge(JournalStorage(settings, is_kept, used, disk), max(rate or 0, expected))


def _used(directory: str) -> int | None:
    total, found = 0, False
    try:
        for top, _, names in os.walk(directory, onerror=_fail):
            for name in names:
                total += os.stat(os.path.join(top, name)).st_blocks * 512
                found = True
    except OSError:
        return None
    return total if found else None


def _fail(error: OSError) -> None:
    raise error


def judge(journal: JournalStorage, rate: float | None) -> Iterator[Problem]:
    """What is wrong with it. rate: counts a second, None if not known."""
    storage = journal.settings.get("Storage")
    kind = storage.value.lower() if storage else "auto"
    if kind == "none":
        yield _problem("journal-none", "the journal is not stored", storage, "Storage=persistent")
        return
    is_volatile = kind == "volatile" or (kind == "auto" and not journal.is_kept)
    if is_volatile:
        text = "the journal is in memory, and ends with the boot"
        cost = "after a reboot or a power cut, all counts and all evidence for a proof are gone"
        yield _problem(
            "journal-volatile", text, storage, "Storage=persistent", cost, is_error=False
        )
    yield from _level(journal)
    yield from _rate_limit(journal)
    yield from _line(journal)
    yield from _reach(journal, rate, is_volatile)
    if journal.disk.files is not None and journal.disk.files < 100:
        text = f"the journal's disk has room for {journal.disk.files} files more (inodes)"
        yield Problem(
            "", "journal-inodes", text, ("df -i /var/log/journal",), True, "no count is kept"
        )


def _problem(
    code: str,
    text: str,
    setting: Setting | None,
    better: str,
    cost: str = LOST,
    *,
    is_error: bool = True,
) -> Problem:
    """better: what to write; it goes into a drop-in that is read after all that there are."""
    where = f" (in {setting.file})" if setting and setting.file else ""
    last = (
        setting.file if setting and setting.file.startswith("/etc/systemd/journald.conf.d/") else ""
    )
    drop_in = DROP_IN if last.rpartition("/")[2] < "sendrecv.conf" else last
    commands = (
        f"install -d {os.path.dirname(DROP_IN)}",
        f"printf '[Journal]\\n{better}\\n' >> {drop_in}",
        RESTART,
    )
    return Problem("", code, text + where, commands, is_error, cost)


def _level(journal: JournalStorage) -> Iterator[Problem]:
    setting = journal.settings.get("MaxLevelStore")
    if not setting:
        return
    value = setting.value.lower()
    level = LEVELS.index(value) if value in LEVELS else int(value) if value.isdigit() else INFO
    if level < INFO:
        text = f"the journal stores nothing below {LEVELS[level]}: MaxLevelStore={value}"
        yield _problem("journal-level", text, setting, "MaxLevelStore=debug")


def _rate_limit(journal: JournalStorage) -> Iterator[Problem]:
    """receiver.service has limits of its own. systemd's and the senders' lines have these."""
    burst = journal.settings.get("RateLimitBurst")
    every = journal.settings.get("RateLimitIntervalSec", journal.settings.get("RateLimitInterval"))
    lines = int(burst.value) if burst and burst.value.isdigit() else 10_000
    time = seconds(every.value) if every else 30.0
    if lines and time and lines / time < 100 and lines < 1000:
        text = f"the journal takes {lines} lines in {time:g} s of each service"
        cost = "in a series of takeovers, lines of senders are lost that say why"
        better = "RateLimitIntervalSec=30s\\nRateLimitBurst=10000"
        yield _problem("journal-rate-limit", text, burst or every, better, cost, is_error=False)


def _line(journal: JournalStorage) -> Iterator[Problem]:
    setting = journal.settings.get("LineMax")
    most = size(setting.value) if setting else None
    if setting and most is not None and most < 512:
        text = f"the journal cuts lines at {most} bytes (LineMax=)"
        cost = "a count's line comes in two parts, which are no payload: no proof of it"
        yield _problem("journal-line", text, setting, "LineMax=48K", cost)


def _reach(journal: JournalStorage, rate: float | None, is_volatile: bool) -> Iterator[Problem]:
    """For how long it keeps a count."""
    names = ("MaxRetentionSec", "RuntimeMaxUse" if is_volatile else "SystemMaxUse")
    longest = journal.settings.get(names[0])
    kept = seconds(longest.value) if longest else None
    cost = "what is older cannot be looked at, and sendrecv proof is INCONCLUSIVE for it"
    if kept and kept < DAY:
        text = f"the journal keeps nothing longer than {duration(kept)} (MaxRetentionSec=)"
        yield _problem(
            "journal-retention", text, longest, "MaxRetentionSec=1month", cost, is_error=False
        )
    if not rate:
        return
    most, setting = limit(journal, is_volatile)
    reach = most / (rate * ENTRY)
    if reach < DAY:
        text = (
            f"the journal may take {most / MEGA:.0f} MB, which at {rate:.3g} counts a second is"
            f" about {duration(reach)}"
        )
        need = max(1, round(7 * DAY * rate * ENTRY / MEGA / 1024))
        better = f"{names[1]}={need}G"
        yield _problem("journal-size", text, setting, better, cost, is_error=False)


def limit(journal: JournalStorage, is_volatile: bool = False) -> tuple[int, Setting | None]:
    """Bytes that it may take, by whichever limit is the narrowest; and the setting that says so."""
    prefix = "Runtime" if is_volatile else "System"
    used = journal.used or 0
    total = journal.disk.free + used  # nearly: without what others have
    found = journal.settings.get(f"{prefix}MaxUse")
    most = size(found.value) if found else None
    if most is None:
        most, found = min(max(total // 10, MEGA), 4 << 30), None
    keep = journal.settings.get(f"{prefix}KeepFree")
    free = size(keep.value) if keep else None
    if free is None:
        free = min(total * 15 // 100, 4 << 30)
    return (most, found) if most <= total - free else (max(total - free, MEGA), keep)
