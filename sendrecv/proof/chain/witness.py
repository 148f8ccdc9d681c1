"""A chain that was put back from a backup is whole in itself. The journal knows better.

Each audit logs the number and the hash of its last line, once that is on the disk. journald adds
_UID= to the entry, so nobody but the audit's user and root can log one. The newest such entry must
fit the chain. It proves nothing against root, who can remove entries and log others. Nothing is
noticed either if the journal has no entry of an audit any more, or is itself as old as the copy.
"""

from __future__ import annotations

from typing import NamedTuple

from sendrecv.proof.chain.store import Chain
from sendrecv.proof.evidence import text, time_of

MESSAGE_ID = "8f0bd2e7d4a34d5e9c0f6a86b1f43a52"
NUMBER, LAST = "SENDRECV_AUDIT", "SENDRECV_CHAIN"


class Witness(NamedTuple):
    """What an entry says: the number of an audit, and the hash of its last line. at: its wall
    clock, in microseconds.
    """

    number: int
    last: str
    at: int


def matches(user: int) -> tuple[str, ...]:
    """Of the entries, for journalctl. user: the one that audits."""
    return f"MESSAGE_ID={MESSAGE_ID}", f"_UID={user}"


def witness_of(entry: bytes | None) -> Witness | None:
    """What the entry says; None if it is none of an audit."""
    if entry is None:
        return None
    number, last = text(entry, NUMBER.encode()), text(entry, LAST.encode())
    if not number.isdecimal() or len(number) > 12:
        return None
    return Witness(int(number), last, time_of(entry).wall)


def fault(chain: Chain | None, newest: Witness | None) -> str:
    """What is wrong with the chain, by the newest witness that the journal has; "" if nothing is,
    or nothing can be known.
    """
    if newest is None:
        return ""
    if chain is None:
        return f"the chain was removed: the journal names audit {newest.number}, and there is none"
    if newest.number > chain.head.number:
        return (
            f"the chain is an old copy: its last audit is number {chain.head.number}, and the"
            f" journal names audit {newest.number}"
        )
    if newest.last != chain.head.last and newest.last not in chain.hashes():
        return f"the chain is not the one whose audit {newest.number} the journal names"
    return ""
