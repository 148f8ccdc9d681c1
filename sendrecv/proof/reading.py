"""One reading of `sendrecv proof`: who judges what is read, and where else it goes.

If there is a chain of audits, its judge goes on with what is new, and is asked for the verdict. If
all of the journal is read beside it, another judge looks at that alone. What that one finds
violated is violated: an audit should have found it.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import replace
from itertools import islice

from sendrecv.proof import life
from sendrecv.proof.audit.audit import STATE
from sendrecv.proof.chain.pack import packed, unpacked
from sendrecv.proof.chain.store import ChainError
from sendrecv.proof.judge.outcome import worst
from sendrecv.proof.judge.verdict import VIOLATED, Judge, Verdict
from sendrecv.proof.life import AuditedLife, Comparison
from sendrecv.proof.read import bundle, exports
from sendrecv.proof.read.journal import Source
from sendrecv.proof.read.period import Period
from sendrecv.proof.statements import Statement

DOTS = 2000
"""Time spans that a picture has."""


class Reading:
    """Fed with all that is read. The source must be held."""

    def __init__(self, arguments: argparse.Namespace, source: Source) -> None:
        dots = DOTS if arguments.svg else 0
        self.writer: bundle.BundleWriter | None = None
        self.notes: list[str] = []
        self.life = self._life(arguments, source, dots)
        self.all_of_it = bool(arguments.full or arguments.bundle or source.files)
        """Whether also what the audits have read is read."""
        self._judge = Judge(dots, alone=source.live)
        compares = self.life and self.all_of_it and source.live
        self._comparison = Comparison(self.life.chain) if self.life and compares else None

    def _life(self, arguments: argparse.Namespace, source: Source, dots: int) -> AuditedLife | None:
        whole = not (source.scoped or source.until is not None or arguments.verify_key)
        if not whole or source.directory:
            return None
        if source.live:
            found, wrong = life.of_this_machine(source, STATE, dots)
        else:
            found, wrong = _of_bundle(source, dots)
        self.notes += [wrong] if wrong else []
        return found

    def limit(self, scope: bundle.Scope) -> None:
        """Say what is missing, to whoever judges."""
        if self.life:
            self.life.limit(scope.missing, scope.ends)
        self._judge.limit(
            scope.missing, scoped=scope.scoped, unreached=scope.unreached, ends=scope.ends
        )

    def feed(self, entry: bytes, said: Statement) -> None:
        """One statement, and its entry."""
        if self.life:
            self.life.feed(entry, said)
        if self.all_of_it or not self.life:
            self._judge.feed(said)
        if self._comparison:
            self._comparison.feed(entry, said)

    def copy(self, entry: bytes, scope: bundle.Scope | None) -> None:
        """Into the bundle. `scope`: for its first entry."""
        if self.writer and scope:
            self.writer.add(scope.entry(entry))
            if self.life:
                self.writer.add(bundle.chain_entry(entry, packed(self.life.chain, self.life.known)))
        if self.writer:
            self.writer.add(entry)

    def verdict(self, names: Collection[str]) -> Verdict:
        """Call once, at the end."""
        if not self.life:
            return self._judge.verdict(names)
        self.notes.append(self.life.note)
        if self._comparison:
            self._comparison.finish()
            self.notes.append(self._comparison.note)
            self.life.judge.limit(self._comparison.doubts)
        verdict = self.life.judge.verdict(names)
        return _with_violations(verdict, self._judge.verdict(names)) if self.all_of_it else verdict


def _of_bundle(source: Source, dots: int) -> tuple[AuditedLife | None, str]:
    """The chain that a bundle has. Several bundles are of several hosts, and are judged at once."""
    if len(source.files) != 1 or not source.exports:
        return None, ""
    path = source.exports[0]
    first = islice(exports.read(path, Period(), []), 3)
    found = next(filter(None, map(bundle.chain_of, first)), "")
    try:
        if not found:
            return None, ""
        chain, known = unpacked(found, path)
        of_chain = AuditedLife.of(chain, dots)
        if of_chain:
            of_chain.known = known
        return of_chain, ""
    except ChainError as error:
        return None, f"the chain of audits is not used: {error}"


def _with_violations(verdict: Verdict, of_journal: Verdict) -> Verdict:
    """The verdict, with the Apps that the journal alone shows to be violated."""
    violated = {app.app: app for app in of_journal.apps if app.status == VIOLATED}
    apps = tuple(
        app if app.status == VIOLATED else violated.get(app.app, app) for app in verdict.apps
    )
    return replace(verdict, apps=apps, status=worst([verdict.status, *(a.status for a in apps)]))
