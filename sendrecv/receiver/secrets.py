"""The tokens that the receiver knows, and which of them a peer has shown.

The receiver keeps their digests in its runtime directory. So the next receiver of this boot knows
which old ones are valid for a while longer: see core/keyring.py.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import time
from pathlib import Path

from sendrecv import systemd
from sendrecv.core import keyring
from sendrecv.core.errors import NOTICE, WARNING, PeerError
from sendrecv.core.keyring import Change, Key, Keyring
from sendrecv.core.tokens import Tokens, parse
from sendrecv.errors import CredentialError

REPORT_INTERVAL = 10.0
"""Seconds between two looks at whether our own token is old."""
OVERLAP = 3600.0
FILE = "tokens"
"""In the runtime directory: the digests."""


class Secrets:
    """The tokens. `text`: of their file; "" if there is none, and then nobody is admitted. If a
    line is wrong, it is as in renew(), unless this is the first receiver of this boot. overlap: for
    how many seconds the old one of a changed token stays valid. kept: the file of the digests.

    Attribute texts: what no line in the journal may show.
    """

    def __init__(self, text: str, overlap: float = OVERLAP, kept: Path | None = None) -> None:
        self._overlap = overlap
        self._kept = kept
        self._quiet_until = 0.0
        self.texts: tuple[str, ...] = ()
        self._texts: tuple[str, ...] = ()
        self._report = systemd.TokenReport("receiver.service", text)
        found = parse(text)
        before = self._read().shortened(_now() + overlap)
        self._ring = before if found.problems else Keyring()
        then = "; the tokens stay as they were" if self._ring.keys else ", ignoring"
        for problem in found.problems:
            systemd.log(WARNING, f"/etc/sendrecv/token: {problem}{then}")
        if not self._ring.keys:
            self._ring = before
            change = self._take(text, found)
            if before.keys and change != keyring.NOTHING:
                systemd.log(NOTICE, self.said(change))

    def find(self, given: object) -> Key | None:
        """The key that the peer has shown. The time that this takes does not depend on which."""
        digest = keyring.digest_of(given if isinstance(given, str) else "")
        keys = self._ring.at(_now()).keys
        same = [hmac.compare_digest(digest, key.digest) for key in keys]
        return keys[same.index(True)] if any(same) else None

    def renew(self, text: str) -> Change:
        """Take over a new file. Raises CredentialError, and keeps the old tokens, if a line of it
        is wrong: whose line that is would be shut out.
        """
        found = parse(text)
        if found.problems:
            raise CredentialError(f"/etc/sendrecv/token: {'; '.join(found.problems)}")
        return self._take(text, found)

    def keeps(self, shown: Key, app_id: str) -> bool:
        """Whether a connection stays, which has shown that key for that App."""
        if not self._overlap:
            key = self._ring.at(_now()).find(shown.digest)
            return key is not None and key.is_for(app_id)
        return self._ring.keeps(shown, app_id)

    def ended(self) -> tuple[Key, ...]:
        """The old ones that have ended since the last call."""
        now = _now()
        ended = self._ring.ended(now)
        if ended:
            self._ring = self._ring.at(now)
            self._write()
        return ended

    def refused(self) -> None:
        """A peer has another one. It may be ours that is old, but anybody may have a wrong one."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + REPORT_INTERVAL
            self.tell()

    def tell(self) -> None:
        """Have it found out whether ours is old."""
        self._report()

    def said(self, change: Change) -> str:
        """One line about it, for the journal."""
        until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + self._overlap))
        old = f"valid until {until}" if self._overlap else "not valid any more"
        parts = [
            f"{what} {', '.join(map(named, names))}{more}"
            for what, names, more in (
                ("added", change.added, ""),
                ("changed", change.changed, f" (the old one is {old})"),
                ("removed", change.removed, " (shut out)"),
                ("for other Apps now:", change.rights, ""),
            )
            if names
        ]
        return f"tokens: {'; '.join(parts) or 'as before'}"

    def _take(self, text: str, found: Tokens) -> Change:
        now = _now()
        new = keyring.of(found.tokens)
        self._ring, change = self._ring.at(now).renewed(new, now + self._overlap)
        self._report = systemd.TokenReport("receiver.service", text)
        before, self._texts = self._texts, tuple(token.secret for token in found.tokens)
        self.texts = (*self._texts, *before)
        self._write()
        return change

    def _read(self) -> Keyring:
        """Of the receiver before this one."""
        if self._kept:
            with contextlib.suppress(OSError, PeerError, UnicodeDecodeError):
                return keyring.read(self._kept.read_text(encoding="ascii"))
        return Keyring()

    def _write(self) -> None:
        if not self._kept:
            return
        new = self._kept.with_name(f"{self._kept.name}.new")
        try:
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(file, "w", encoding="ascii") as stream:
                stream.write(self._ring.text())
            new.replace(self._kept)
        except OSError as error:
            problem = f"{error.filename or new}: {error.strerror}"
            text = f"{problem}, a restart ends the old tokens, ignoring"
            systemd.log(WARNING, text)


def named(name: str) -> str:
    """The token, for people."""
    return name or "the only one"


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
