"""What an audit tells the journal. systemd.journal-fields(7); journald's native protocol.

Like all of the proof, it uses no code of the senders and the receiver.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress

from sendrecv.proof.chain import witness
from sendrecv.proof.chain.head import Head
from sendrecv.proof.chain.lines import Line

JOURNAL = "/run/systemd/journal/socket"
CRIT, WARNING, NOTICE = 2, 4, 5
"""sendrecv-audit.service drops what is below notice."""
VIOLATION_ID = "c0d9e4c1a6f24b0db6c3b0a3f5a1d7e8"
DOUBT_ID = "5a7c2f9e3d1b4e86a0f4c8d27be96130"
ACKNOWLEDGED_ID = "e3b1f7d05c924a17b86d2a90c4f3187e"
SMALL_ID = "9d4e6a1c7b3f4285a1c0e5d8f2b76394"
CHAIN_ID = "2b8d5f0a9c6e47d1b3a7e4f1086c9d52"
_MOST = 4000
"""Characters of a field: what is longer does not fit into a datagram with others."""


def log(priority: int, message_id: str, text: str, **fields: str) -> None:
    """One entry. If journald does not take it, nothing is said: the chain has it."""
    known = {"MESSAGE": text, "MESSAGE_ID": message_id, "PRIORITY": str(priority)}
    known["SYSLOG_IDENTIFIER"] = "sendrecv-audit"
    lines = (f"{name}={value[:_MOST]}\n" for name, value in {**known, **fields}.items())
    data = "".join(line.replace("\n", " ")[:-1] + "\n" for line in lines)
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(10)
        sender.sendto(data.encode("utf-8", "replace"), JOURNAL)


def tell_audited(head: Head, lines: Mapping[str, Line]) -> None:
    """That the audit is on the disk. The next one compares its chain with this entry."""
    apps = f"{len(lines)} App{'s' * (len(lines) != 1)}"
    text = f"audit {head.number}: {apps} with news, {head.last}"
    fields = {witness.NUMBER: str(head.number), witness.LAST: head.last}
    log(NOTICE, witness.MESSAGE_ID, text, **fields)


def tell_findings(lines: Mapping[str, Line]) -> None:
    """What is new of each App: violations, with the cursors of the entries that show them, and
    doubts.
    """
    for app, line in lines.items():
        for priority, message_id, kind, found in _findings(line):
            text = f"App {app}: {kind}: {found['check']}: {found['text']}"
            cursors = " ".join(found.get("cursors", ()))
            fields = {"SENDRECV_APP": app, "SENDRECV_CHECK": found["check"]}
            log(priority, message_id, text, **fields, SENDRECV_CURSORS=cursors)


def _findings(line: Line) -> Iterator[tuple[int, str, str, dict[str, str]]]:
    for found in line.get("witnesses", ()):
        yield CRIT, VIOLATION_ID, "VIOLATED", found
    for found in line.get("doubts", ()):
        yield WARNING, DOUBT_ID, "INCONCLUSIVE", found
