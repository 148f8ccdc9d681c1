"""What the receiver logs about its peers: one line for each fault, few lines, never the token."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable

from sendrecv import systemd
from sendrecv.core.errors import WARNING, PeerError, quoted
from sendrecv.core.wire import Claim, Refusal
from sendrecv.receiver.ledger import MAX_NAMES
from sendrecv.receiver.loop import MAX_APPS

BURST, WINDOW = 20, 10.0
REPEATS, MINUTE = 4, 60.0
"""A sender with a wrong token tries again every few seconds, for as long as it is wrong. What many
Apps meet at once is one trouble, too: complaints that differ in whom they are about, or in numbers,
are of one kind."""
_DIFFERS = re.compile(r"\d+|(?<=\bApp )[^\s',]+|'[^']*'")
SENDERS, OTHERS = "senders", "connections without the token"
FULL = (
    f"no room for one more App: {MAX_APPS} are connected, or the ledger knows {MAX_NAMES} (for"
    " those that are no more, see sendrecv forget), refused"
)
_REVEALING = 16
"""A line must not have so many successive characters of the token."""


def why_refused(reason: Refusal, claim: Claim) -> str:
    """What a person should know of it; "" for what happens all the time."""
    if reason is Refusal.INVALID:
        return f"epoch {claim.epoch} is too far above the App's last one, see sendrecv forget"
    return FULL if reason is Refusal.FULL else ""


def not_raised(have: int | None, said: int) -> str:
    """About a sender that says that the ledger is an old copy of one with another last count."""
    return (
        f"resume: the ledger had count {said}, and is an old copy: not believed, as it has {have},"
        " and the App has counted since the receiver's start, or cannot have come so far; if it is"
        " true, restart receiver.service, or else see sendrecv forget"
    )


class Complaints:
    """Lines in the journal. Whatever the peers do, at most BURST lines in WINDOW seconds, and of
    one kind at most REPEATS in a MINUTE.

    Senders have a budget of their own. So complaints about connections without the token do not
    hide the complaints about senders.
    """

    def __init__(self, *tokens: str) -> None:
        self.hide(tokens)
        self._budgets = {name: _Budget() for name in (SENDERS, OTHERS)}

    def hide(self, tokens: Iterable[str]) -> None:
        """Show nothing of these tokens."""
        self._hidden = {piece for token in tokens for piece in _pieces(token)}

    def __call__(self, text: str, claim: Claim | None = None) -> None:
        """Write "APP/NODE: TEXT, ignoring", or count it as suppressed. `claim`: the sender's."""
        whom = SENDERS if claim else OTHERS
        if any(piece in self._hidden for piece in _pieces(text)):
            text = "a complaint that would have shown the token"
        line = f"{claim.app_id}/{claim.node_id}: {text}" if claim else text
        kind = _DIFFERS.sub("", text)
        may_write, unsaid = self._budgets[whom].spend(time.monotonic(), kind)
        if unsaid:
            systemd.log(WARNING, f"{unsaid} more complaints about {whom}, suppressed")
        if may_write:
            systemd.log(WARNING, f"{line}, ignoring")


def _pieces(text: str) -> Iterable[str]:
    return (text[i : i + _REVEALING] for i in range(len(text) - _REVEALING + 1))


class _Budget:
    def __init__(self) -> None:
        self._until = self._minute = 0.0
        self._spent = self._unsaid = 0
        self._said: Counter[str] = Counter()

    def spend(self, now: float, kind: str) -> tuple[bool, int]:
        """Whether the line may be written; how many lines were not, in a minute that is over."""
        unsaid = 0
        if now >= self._until:
            self._until, self._spent = now + WINDOW, 0
        if now >= self._minute:
            unsaid, self._unsaid = self._unsaid, 0
            self._minute = now + MINUTE
            self._said.clear()
        if self._spent >= BURST or self._said[kind] >= REPEATS:
            self._unsaid += 1
            return False, unsaid
        self._spent += 1
        self._said[kind] += 1
        return True, unsaid


class _OneLine(logging.Handler):
    """Turns what the libraries log about peers into complaints: one line, no traceback.

    Of an error that is not ours, only the type is shown: its text may have anything that a peer has
    sent.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._complain = complain

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, PeerError):
            return self._complain(str(error))
        if isinstance(error, ConnectionError):
            return None  # a peer may hang up at any time
        text = (record.getMessage().splitlines() or [""])[0]
        cause = f" ({type(error).__name__})" if error else ""
        return self._complain(quoted(text)[1:-1] + cause)


def complain_of_what_is_logged(complain: Callable[[str], None]) -> None:
    """Turn everything that the libraries log into complaints."""
    logging.basicConfig(handlers=[_OneLine(complain)], level=logging.WARNING, force=True)
