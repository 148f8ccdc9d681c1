"""`sendrecv proof`: reads the journal, prints the timeline and the verdict."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from sendrecv.commandline import Parser
from sendrecv.errors import UsageError
from sendrecv.proof import conclusive, life
from sendrecv.proof.evidence import statements, time_of
from sendrecv.proof.judge.verdict import EXIT_STATUS, INCONCLUSIVE, VIOLATED, Judge, Verdict
from sendrecv.proof.read import bundle, holes
from sendrecv.proof.read.files import Vanished
from sendrecv.proof.read.journal import Source, choose_boot, read, timestamp
from sendrecv.proof.read.journalctl import sync
from sendrecv.proof.reading import Reading
from sendrecv.proof.show import drawing, report
from sendrecv.proof.statements import Booted, Missing

SPACE, SPACE_PER_FILE = 128 << 20, 10 << 20
"""Bytes that journalctl may map. It needs 8 MiB of each file, and is no faster with more."""
READINGS = 5
"""The journal is read again if a file was vacuumed before journalctl had opened it."""
PATIENCE = 1.0
"""Seconds after which progress is shown."""

DESCRIPTION = """\
Reads the journal. Shows the runs and takeovers of each App, and tells whether two senders ever ran
at the same time, and whether a count was lost, was repeated, or came from a run that had ended.
Only entries of PID 1 and of the receiver are evidence.
"""
EPILOG = """\
exit status: 0 PROVEN, 1 VIOLATED, 2 INCONCLUSIVE (evidence is missing, and the output names it);
64 and above: no verdict.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="sendrecv proof",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="INSTANCE", help="only these Apps (default: all)")
    add("--since", metavar="TIME", help="only from this time, such as '-1h' (systemd.time(7))")
    add("--until", metavar="TIME", help="only until this time")
    add("--boot", "-b", nargs="?", const="0", metavar="ID", help="only this boot: 0, -1, an ID")
    add("--directory", "-D", type=Path, metavar="DIR", help="journal files of another machine")
    add(
        *("--file", "-f"),
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a journal file, an export file, or a bundle; may be repeated",
    )
    add("--verify-key", metavar="KEY", help="trust only what a seal covers (journalctl(1))")
    add("--bundle", type=Path, metavar="FILE", help="write the verdict's entries, for --file")
    add("--json", action="store_true", help="print the verdict as JSON")
    add("--svg", type=Path, metavar="FILE", help="draw the timeline")
    add("--all", action="store_true", help="show every run, not only the first and last ones")
    add(
        "--full",
        action="store_true",
        help="read all of the journal, and compare it with what the audits have read",
    )
    return parser


class Damaged(Exception):
    """journalctl may have left out entries, and the verdict may come from that: judge once more."""

    def __init__(self, missing: list[Missing]) -> None:
        super().__init__()
        self.missing = missing


def main(argv: Sequence[str]) -> int:
    """Run with these arguments; returns the exit status. Raises SendrecvError."""
    arguments = _parser().parse_args(_with_times_attached(argv))
    if arguments.full and not _is_whole(arguments):
        raise UsageError(
            "--full is of all that this machine's journal has",
            "leave out --since, --until, --boot, --file, --directory and --verify-key",
        )
    verdict, notes, lines = _judged(arguments)
    if verdict.status == INCONCLUSIVE:
        notes += _conclusive(verdict, arguments)
    if arguments.svg:
        _write(arguments.svg, drawing.draw(verdict, lines))
    _show(verdict, notes, arguments)
    return EXIT_STATUS[verdict.status]


def _is_whole(arguments: argparse.Namespace) -> bool:
    """Whether all of this machine's journal is asked for."""
    names = ("since", "until", "boot", "directory", "file", "verify_key")
    return not any(getattr(arguments, name) for name in names)


def _conclusive(verdict: Verdict, arguments: argparse.Namespace) -> Iterator[str]:
    """What would be proven, if that was asked for."""

    def proves(app: str, since: int) -> Verdict:
        more = {"names": [app], "since": f"@{since / 1e6:.6f}", "bundle": None, "svg": None}
        return _judged(argparse.Namespace(**{**vars(arguments), **more})).verdict

    given = conclusive.options(arguments.directory, arguments.file)
    return conclusive.notes(verdict, proves, given)


class Judged(NamedTuple):
    """lines: of the chain of audits, if there is one and a picture is drawn."""

    verdict: Verdict
    notes: list[str]
    lines: Sequence[Mapping[str, Any]] = ()


def _judged(arguments: argparse.Namespace) -> Judged:
    """The verdict and notes of the first reading during which no file of the journal vanished."""
    source = _source(arguments)
    notes = [sync()] if source.live and os.geteuid() == 0 else []
    damages: list[Missing] = []
    for _ in range(READINGS):
        try:
            found = _judged_once(arguments, _source(arguments), damages)
            return found._replace(notes=[note for note in [*notes, *found.notes] if note])
        except Vanished:
            continue
        except Damaged as found:
            damages = found.missing
    judge = Judge()
    text = f"files of the journal were removed while it was read, {READINGS} times"
    judge.limit([Missing(text, somewhere=True)])
    return Judged(judge.verdict(arguments.names), notes)


def _judged_once(arguments: argparse.Namespace, source: Source, damages: list[Missing]) -> Judged:
    with ExitStack() as held:
        source.hold()
        held.callback(source.held.close)
        choose_boot(source)
        scope = bundle.Scope(tuple(arguments.names), source.scoped)
        reading = Reading(arguments, source)
        notes = _inspect(source, arguments.verify_key, reading)
        scope.missing += [*source.missing, *damages]
        if arguments.bundle:
            reading.writer = held.enter_context(bundle.BundleWriter(arguments.bundle))
        _feed(reading, source, scope)
        verdict = reading.verdict(scope.names)
        if verdict.status == VIOLATED and not damages and (found := holes.damaged(source)):
            raise Damaged(found)
        if reading.writer:
            digest = reading.writer.finish([f"sendrecv proof: {verdict.status}"])
            notes.append(f"{arguments.bundle}: SHA-256 {digest}")
        lines = tuple(reading.life.chain.lines()) if reading.life and arguments.svg else ()
    return Judged(verdict, [*notes, *reading.notes], lines)


def _with_times_attached(argv: Sequence[str]) -> list[str]:
    """Without this, argparse takes the "-1h" of "--since -1h" for an option."""
    attached: list[str] = []
    for word in argv:
        if attached and attached[-1] in {"--since", "--until"}:
            attached[-1] += f"={word}"
        else:
            attached.append(word)
    return attached


def _source(arguments: argparse.Namespace) -> Source:
    directory, files = arguments.directory, tuple(arguments.file)
    if directory and files:
        raise UsageError("--directory and --file exclude each other")
    if directory and not directory.is_dir():
        raise UsageError(f"--directory: {directory} is not a directory")
    since, until = (text and timestamp(text) for text in (arguments.since, arguments.until))
    source = Source(directory, files, since, until, arguments.boot)
    if arguments.verify_key and source.exports:
        raise UsageError("--verify-key: an export file has no seals, only journal files have")
    return source


def _inspect(source: Source, key: str | None, reading: Reading) -> list[str]:
    """Look for what is missing; returns notes."""
    if not source.has_journal:
        return []
    found = holes.headers(source)
    of_all: list[Missing] = []
    if reading.life is None or reading.all_of_it:
        of_all += holes.missing(source, found)
        holes.reach(source, found)
    source.missing += of_all
    if reading.life:
        life.look_for_holes(source, reading.life, found, of_all)
        if not reading.all_of_it:
            life.go_on(source, reading.life, found)
    source.address_space = SPACE + SPACE_PER_FILE * len(found)
    notes = []
    if holes.is_volatile(source, found):
        notes.append("this machine's journal is volatile: it ends with the boot (journald.conf(5))")
    if key:
        holes.rest_on_seals(source, holes.verify(source, key), found)
        if source.until is not None:
            until = time.ctime(source.until // 1_000_000)
            notes.append(f"sealed until {until}: nothing later is read")
    return notes


def _feed(reading: Reading, source: Source, scope: bundle.Scope) -> None:
    reading.limit(scope)
    known = len(source.missing)
    progress = ProgressLine()
    late = bundle.Scope()
    begun = time.time_ns() // 1000
    last = b""
    entries = _without_own(read(source), scope, reading)
    for entry, statement in statements(entries, late.ends):
        reading.feed(entry, statement)
        if not isinstance(statement, Booted):
            reading.copy(entry, None if last else scope)
            last = entry
        progress.step()
    progress.end()
    late.missing, late.unreached = source.missing[known:], source.period.unreached
    if last and source.live:
        late.ends[time_of(last).machine] = min(begun, source.until or begun)
    late.merge(bundle.Scope(ends=scope.ends))
    reading.limit(late)
    if reading.writer and last:
        reading.writer.add(late.entry(last))


def _without_own(stream: Iterator[bytes], scope: bundle.Scope, reading: Reading) -> Iterator[bytes]:
    """The entries without a bundle's own ones, whose contents limit the verdict."""
    for entry in stream:
        if said := bundle.scope_of(entry):
            scope.merge(said)
            reading.limit(bundle.Scope((), said.scoped, said.missing, said.unreached))
        elif not bundle.chain_of(entry):
            yield entry


class ProgressLine:
    """Shows progress on standard error, if the reading takes longer than PATIENCE."""

    def __init__(self) -> None:
        self._begun = self._shown = time.monotonic()
        self._steps = 0
        self._terminal = sys.stderr.isatty()

    def step(self) -> None:
        """One entry was read."""
        self._steps += 1
        if self._steps % 8192 == 0 and time.monotonic() - self._shown >= PATIENCE:
            self._shown = time.monotonic()
            end = "\r" if self._terminal else "\n"
            print(f"reading: {self._steps:,} entries", end=end, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clear the line."""
        if self._terminal and self._shown > self._begun:
            print("\x1b[K", end="", file=sys.stderr, flush=True)


def _show(verdict: Verdict, notes: list[str], arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps(report.as_json(verdict, notes), indent=1))
    else:
        print("\n".join(report.text(verdict, notes, whole=arguments.all)))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
