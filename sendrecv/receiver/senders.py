"""The senders that are admitted and connected, and the runs of those on this machine."""

from __future__ import annotations

from typing import NamedTuple

from sendrecv.core.keyring import Key
from sendrecv.core.wire import Claim


class AdmittedSender(NamedTuple):
    """An admitted connection. session: what Admission calls it. since: wall clock, for people. key:
    what it has shown, None where nothing is needed.
    """

    claim: Claim
    session: str
    since: float
    key: Key | None


class AdmittedSenders(dict[str, AdmittedSender]):
    """By sid. Add with add(), and remove with remove()."""

    def __init__(self) -> None:
        super().__init__()
        self._here: dict[str, str] = {}  # run, and the newest sid that has it

    def add(self, sid: str, sender: AdmittedSender) -> None:
        """One more."""
        self[sid] = sender
        if sender.key is None:
            self._here[sender.claim.run] = sid

    def remove(self, sid: str) -> AdmittedSender | None:
        """The one that was there; None for none."""
        sender = self.pop(sid, None)
        if sender and self._here.get(sender.claim.run) == sid:
            del self._here[sender.claim.run]
        return sender

    def whose(self, run: str) -> str:
        """The App of the sender of this machine, connected on the Unix socket, that has this run;
        "" for none. There, a run is the invocation of a unit. Elsewhere, it is what a peer says,
        and may be the one run of a process that counts for several Apps.
        """
        sender = self.get(self._here.get(run, ""))
        return sender.claim.app_id if sender else ""
