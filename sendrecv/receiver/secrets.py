"""The tokens that a receiver knows, and which of them a peer has shown."""

from __future__ import annotations

import hmac
import time
from hashlib import sha256

from sendrecv import systemd
from sendrecv.core.errors import WARNING
from sendrecv.core.tokens import Token, parse

REPORT_INTERVAL = 10.0
"""Seconds between two looks at whether our own token is old."""
EVERY_APP = Token("", None, "")
"""As if it had been shown by who has connected to a Unix socket."""


class Secrets:
    """The tokens. `text`: of their file; "" if there is none, and then nobody is admitted."""

    def __init__(self, text: str) -> None:
        found = parse(text)
        for problem in found.problems:
            systemd.log(WARNING, f"/etc/sendrecv/token: {problem}, ignoring")
        self.tokens = found.tokens
        self._digests = [_digest(token.secret) for token in found.tokens]
        self._report = systemd.TokenReport("receiver.service", text)
        self._quiet_until = 0.0

    def find(self, given: object) -> Token | None:
        """The token that the peer has shown. The time that this takes does not depend on which."""
        digest = _digest(given) if isinstance(given, str) else b""
        same = [hmac.compare_digest(digest, known) for known in self._digests]
        return self.tokens[same.index(True)] if any(same) else None

    def refused(self) -> None:
        """A peer has another one. It may be ours that is old, but anybody may have a wrong one."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + REPORT_INTERVAL
            self._report()


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="replace")).digest()
