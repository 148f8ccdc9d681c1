"""The hash of the evidence, the same for an audit and for a reading of the whole journal.

It is a running hash, of the machine and of each App: each statement is hashed with the hash before
it. So a period is checked from the hash at its beginning to the one at its end, also if it was
merged from several: whoever reads the entries between two cursors of the chain must get from the
first hash to the second one.

Of an App, what the receiver says of it is hashed. Of the machine, all that is evidence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sendrecv.proof.statements import Booted, Claimed, Counted, Forgotten, Statement, Unproven

NOTHING = ""
"""The hash before the first statement."""


class Hashes:
    """Of what was fed, in hexadecimal. machine: all of it. of_app: by appID."""

    def __init__(self, machine: str = NOTHING, of_app: Mapping[str, str] | None = None) -> None:
        self._machine = _binary(machine)
        self._of_app = {app: _binary(text) for app, text in (of_app or {}).items()}

    def feed(self, said: Statement) -> None:
        """One statement more. What the reader itself adds (Booted) is no evidence."""
        if type(said) is Booted:
            return
        at, *rest = said
        text = repr((type(said).__name__, *at, *rest)).encode()
        self._machine = hashlib.sha256(self._machine + text).digest()
        if isinstance(said, Counted | Claimed | Unproven | Forgotten):
            before = self._of_app.get(said.app, b"")
            self._of_app[said.app] = hashlib.sha256(before + text).digest()

    @property
    def machine(self) -> str:
        """Of all statements."""
        return self._machine.hex()

    @property
    def of_app(self) -> dict[str, str]:
        """Of each App."""
        return {app: digest.hex() for app, digest in self._of_app.items()}


def _binary(text: str) -> bytes:
    return bytes.fromhex(text)
