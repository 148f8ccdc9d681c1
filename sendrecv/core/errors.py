"""What can be wrong with what the core is given, a peer's message or the bytes of a file; and how
a line in the journal says so.
"""

from __future__ import annotations


CRITICAL, ERROR, WARNING, NOTICE, INFO = 2, 3, 4, 5, 6
"""Severities of journal lines: those of syslog(3) that are used here."""


class PeerError(Exception):
    """What a peer sent does not follow the protocol: the peer's fault, never ours.

    The text names the fault. If it quotes what the peer has sent, it does so with quoted().
    """


class UnknownFormat(ValueError):
    """A newer version of this program has written these bytes."""


def quoted(value: object) -> str:
    """`value` as it may stand in a journal line: on one line, escaped, at most 60 characters."""
    text = ascii(value[:64] if isinstance(value, (str, bytes)) else value)
    return text if len(text) <= 60 else text[:57] + "..."
