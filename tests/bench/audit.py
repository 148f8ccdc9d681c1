"""What the audit takes, and what `sendrecv proof` takes with its chain: a command.

    make bench ONLY=audit                               a year of an App, and 100 Apps
    python3 -m tests.bench.audit                        the same, alone
    python3 -m tests.bench.audit --days 30 --only year  a shorter life
    python3 -m tests.bench.audit --planted skips        with a violation in month 7, to be found
    python3 -m tests.bench.audit --svg year.svg         and the picture of it

A year of an App (31.5 million counts, 3,000 takeovers, 40 boots, 6 power cuts) goes through an
audit for each hour, with the code of `sendrecv audit`. What the last verdict says must be what
happened. The entries are made up as they are read. The last two days, and two hours of 100 Apps,
are real journal files: systemd-journal-remote writes them, and the commands themselves read them as
this machine's journal, in a mount namespace. Needs root for that.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO

from sendrecv.proof.evidence import time_of
from sendrecv.proof.judge.verdict import VIOLATED, Verdict
from sendrecv.proof.read.export import entries as exported
from tests.bench import audited, figures, joined, proof
from tests.bench.figures import Figure
from tests.bench.year import PLANTED, Happening, Year

HOUR = 3_600_000_000
MARKS = {30: "a month", 182: "half a year"}
REAL, NEWS = 48, 24
"""The last hours whose journal is real files, and those that are not audited."""
APPS = 100
LIMIT, LIMIT_PERCENT, LARGEST = 2.0, 1.0, 1000.0
"""Seconds of `sendrecv proof`; what of a core audits of 100 Apps may take; kB of a year's chain."""


@dataclass
class Audits:
    """The chain as it grows, and what that takes."""

    directory: Path
    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """CPU, in seconds."""
    violated: int | None = None
    """The first audit that found a violation."""

    def audit(self, entries: list[bytes]) -> Verdict:
        """One of them."""
        began, cpu = time.monotonic(), time.process_time()
        verdict = audited.audit(self.directory, joined.MACHINE, entries)
        self.seconds.append(time.monotonic() - began)
        self.busy.append(time.process_time() - cpu)
        if self.violated is None and verdict.status == VIOLATED:
            self.violated = len(self.busy)
        return verdict

    def figures(self, name: str) -> list[Figure]:
        """What it took until now."""
        chain = {True: 0, False: 0}  # what is of an App, and what is of the machine
        for path in self.directory.glob("[ad]*"):
            for line in path.read_bytes().splitlines(keepends=True):
                chain[b'"app":' in line] += len(line)
        state = sum(path.stat().st_size for path in self.directory.glob("state-*"))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        at = f"after {name}"
        busy = tuple(1000 * one for one in self.busy)
        return [
            Figure("audit", f"an audit of an hour, CPU, {at}", "ms", busy),
            Figure("audit", f"all audits, CPU, {at}", "s", (sum(self.busy),)),
            Figure("audit", f"the chain, of an App, {at}", "kB", (chain[True] / 1e3,), LARGEST),
            Figure("audit", f"the chain, of the machine, {at}", "kB", (chain[False] / 1e3,)),
            Figure("audit", f"the state, {at}", "kB", (state / 1e3,)),
            Figure("audit", f"memory, {at}", "MiB", (memory,)),
        ]


def hours(year: Year) -> Iterator[list[bytes]]:
    """The entries of each hour."""
    for _, pairs in groupby(year.entries(), key=lambda pair: pair[0] // HOUR):
        yield [entry for _, entry in pairs]


def live(happening: Happening, scratch: Path, svg: Path | None = None) -> list[Figure]:
    """A life, hour by hour."""
    found: list[Figure] = []
    year = Year(happening, joined.MACHINE)
    audits = Audits(scratch / "chain")
    audits.directory.mkdir(parents=True)
    journal = joined.Journal(scratch / "journal")
    real = year.begin + int(happening.days * 24 - REAL) * HOUR
    with journal.writer() as output:
        for number, entries in enumerate(hours(year), 1):
            if time_of(entries[0]).wall < real:
                audits.audit(entries)
            else:
                output.writelines(entry[1:] + b"\n" for entry in entries)
            if number % 24 == 0 and (name := MARKS.get(number // 24)):
                found += audits.figures(name)
    found += audits.figures(f"{happening.days:g} days")
    return [*found, *_joined(year, audits, journal, svg)]


def _joined(
    year: Year, audits: Audits, journal: joined.Journal, svg: Path | None
) -> Iterator[Figure]:
    """The last two days are in a journal: one is audited, and the proof joins the other one."""
    news = year.begin + int(year.happening.days * 24 - NEWS) * HOUR
    before, after = journal.split(news)
    audits.audit(before)
    wrong = audited.differences(audited.joined(audits.directory, after), year.truth)
    picture = ["--svg", str(svg.absolute())] if svg else []
    ran = joined.run(journal, audits.directory, "proof", *picture)
    print("\n".join([*ran.output.splitlines()[-2:], *wrong]), file=sys.stderr)
    yield Figure("audit", "sendrecv proof, chain and a day", "s", (ran.seconds,), LIMIT)
    yield Figure("audit", "the same, CPU", "s", (ran.cpu,))
    yield Figure("audit", "the same, memory", "MiB", (ran.memory,))
    if year.happening.planted:
        found = audits.violated or len(audits.busy) + 1
        last = int(year.happening.planted_on * 24) + 1
        yield Figure("audit", "the first audit that found the violation", "", (found,), last)
    else:
        yield Figure("audit", "figures that are not the truth", "", (len(wrong),), 0)


def many(scratch: Path) -> Iterator[Figure]:
    """100 Apps for two hours: an audit after each. The second one goes on from the first."""
    scratch.mkdir(parents=True)
    journal, chain = joined.Journal(scratch / "journal"), scratch / "chain"
    chain.mkdir()
    hour = Hour(scratch / "entries")
    all_ran = [_audit_of(hour, number, journal, chain) for number in (1, 2)]
    shares, memory = zip(*((ran.cpu / 36, ran.memory) for ran in all_ran), strict=True)
    name = f"sendrecv audit, an hour of {APPS} Apps"
    yield Figure("audit", f"{name}, per cent", "of a core", shares, LIMIT_PERCENT, "worst")
    yield Figure("audit", f"{name}, memory", "MiB", memory)


def _audit_of(hour: "Hour", number: int, journal: joined.Journal, chain: Path) -> joined.Ran:
    with journal.writer() as output:
        hour.write(output, number)
    ran = joined.run(journal, chain, "audit")
    if ran.status:
        sys.exit(f"sendrecv audit: exit {ran.status}: {ran.errors}{ran.output}")
    return ran


def section() -> list[Figure]:
    """For `make bench ONLY=audit`."""
    with tempfile.TemporaryDirectory(prefix="sendrecv-bench-") as scratch:
        return [*live(Happening(), Path(scratch) / "year"), *many(Path(scratch) / "apps")]


class Hour:
    """Two hours of many Apps, in a file: half of it at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("wb") as output:
            proof.write(output, APPS, 7200, 100)
        with path.open("rb") as entries:
            self._begin = time_of(next(exported(entries))).wall

    def write(self, output: IO[bytes], number: int) -> None:
        """The first one, or the second one."""
        end = self._begin + HOUR
        with self._path.open("rb") as entries:
            for entry in exported(entries):
                if (time_of(entry).wall < end) == (number == 1):
                    output.write(entry[1:] + b"\n")


def main() -> int:
    """Returns 0 if all figures are true, and within the limits."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.audit", description=__doc__)
    parser.add_argument("--days", type=float, default=365)
    parser.add_argument("--only", choices=("year", "apps"))
    parser.add_argument("--planted", choices=PLANTED)
    parser.add_argument("--svg", type=Path, metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where chain and journal stay")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    part = options.days / 365
    happening = Happening(
        options.days,
        round(3000 * part),
        max(round(40 * part), 8),
        seed=options.seed,
        planted=PLANTED.get(options.planted),
        planted_on=200 * part,
    )
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="sendrecv-bench-") as scratch:
        place = options.keep or Path(scratch)
        if options.only != "apps":
            found += live(happening, place / "year", options.svg)
        if options.only != "year":
            found += many(place / "apps")
    print(figures.table(found))
    return int(any(figure.met() is False for figure in found))


if __name__ == "__main__":
    sys.exit(main())
