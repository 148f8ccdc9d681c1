"""What a process of an App on several hosts knows of a pause: a second key in etcd.

The rule is in core/lease.py. That nobody takes the App against it is the doing of the transaction
that takes it, see HeldLease.take(). What is known here says why nobody does, and when to try again.
"""

from __future__ import annotations

import os
import time

from sendrecv.core import lease
from sendrecv.core.errors import CRITICAL, NOTICE, WARNING
from sendrecv.core.lease import Pause
from sendrecv.sender.etcd import EtcdError

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.sender.etcd import Etcd, EtcdKey


def pause_path(app_id: str) -> str:
    """The key of a pause."""
    return f"/sendrecv/{app_id}/paused"


class Pauses:
    """Attribute path: of the key. pause: None if the App is not paused, as far as is known. said:
    what is to be logged.
    """

    def __init__(
        self,
        path: str,
        etcd: Etcd,
        answer: float,
        instance: str,
        note: str,
        *,
        by_person: Callable[[], bool],
    ) -> None:
        """`answer`: seconds for a request. `note`: a file of this host, for its next process.
        `by_person`: whether a person, or a boot, has started this process.
        """
        self.path = path
        self.pause: Pause | None = None
        self.said: list[tuple[int, str]] = []
        self._etcd = etcd
        self._answer = answer
        self._instance = instance
        self._note = note
        self._ask_by_person = by_person
        self._by_person: bool | None = None
        self._is_told = False
        self._has_looked = False
        self._is_held = False

    def changed(self, _key: EtcdKey | None = None) -> None:
        """Perhaps. Also for the thread of a watch."""
        self._is_told = True

    @property
    def is_told(self) -> bool:
        """Whether it may have changed since look()."""
        return self._is_told

    def by_person(self) -> bool:
        """Whether a person has started this process, and it has not held the App yet."""
        if self._by_person is None:
            self._by_person = self._ask_by_person()
        return self._by_person

    def spend(self) -> None:
        """This process holds the App now."""
        self._by_person = False
        self._is_held = False

    def look(self) -> None:
        """Read the key if it may have changed. While it exists, read it each time: a watch can fail
        silently. Raises EtcdError.
        """
        if not self._is_told and self.pause is None:
            return
        self._is_told = False
        try:
            key = self._etcd.get(self.path, self._answer)
        except EtcdError:
            self._is_told = True
            raise
        self._know(lease.decode_pause(key.value) if key else None)

    def holds(self, is_asked: Callable[[], bool], why: str) -> bool:
        """Whether this host must not take the App, which it could, for that reason: it is paused,
        and no person has asked for that. Says so once.
        """
        if self.pause is None or is_asked():
            self._is_held = False
            return False
        if not self._is_held:
            self._is_held = True
            text = f"App {self._instance} is paused, and nothing counts. To go on:"
            self.said.append((CRITICAL, f"{text} sendrecv resume {self._instance}"))
            self.said.append((WARNING, f"not taking over: {why}, and{self.words()[1:]}"))
        return True

    def holds_alone(self) -> bool:
        """The same without etcd: what this host was told of a pause is all that is known."""
        is_noted = self.pause is not None or os.path.exists(self._note)
        return is_noted and not self.by_person()

    def words(self) -> str:
        """The end of a status: see admin/told.py. "" if it is not paused."""
        if (pause := self.pause) is None:
            return ""
        by = f" by {pause.by}" if pause.by else ""
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(pause.since))
        reason = f" ({pause.reason})" if pause.reason else ""
        return f", paused{by} since {since}{reason}" if pause.since else f", paused{by}{reason}"

    def _know(self, pause: Pause | None) -> None:
        if self._has_looked and pause == self.pause:
            return
        before, self.pause, self._has_looked = self.pause, pause, True
        try:
            if pause is None:
                os.unlink(self._note)
            else:
                with open(self._note, "wb"):
                    pass
        except OSError:
            pass  # then a process that starts without etcd knows less
        if pause is not None:
            text = f"App {self._instance} is{self.words()[1:]}: no host takes it by itself"
            self.said.append((WARNING, f"{text}; to end that: sendrecv resume {self._instance}"))
        elif before is not None:
            self.said.append((NOTICE, f"App {self._instance} is not paused any more"))
