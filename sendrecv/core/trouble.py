"""Trouble with connections: how long the next one waits, and how often a person is told why."""

from __future__ import annotations

from sendrecv.core.values import MILLISECOND, SECOND, Value
from sendrecv.core.wire import Refusal, Status

RETRY_LEAST, RETRY_MOST = SECOND // 50, 2 * SECOND
"""A receiver that restarts is found at once, and one that is back after hours within 2 s."""
ANSWER_TIMEOUT = 5 * SECOND
"""Without an answer, the connection is dead. The receiver's watchdog kills a hung one earlier."""
RETRY = {
    Refusal.UNAVAILABLE: 500 * MILLISECOND,
    Refusal.FULL: SECOND,
    Refusal.TOKEN: 5 * SECOND,
    Refusal.INVALID: 5 * SECOND,
}
"""After each refusal, how long the next connection waits."""
RETRY_ANSWER = {
    # If two machines fence each other by mistake, they take turns each second, not at full speed.
    Status.FENCED: SECOND,
    Status.INVALID: 5 * SECOND,
}
"""After such an answer."""
RETRY_NUMBER = 5 * SECOND
"""After a number that is not believed."""
STEADY = SECOND
"""A connection that has lasted so long was none of the trouble."""
REPORTS, MINUTE = 5, 60 * SECOND
"""Another program in the receiver's place may have something else to say each time."""


def kept(behind: int, *, known: bool) -> str:
    """What becomes of the counts meanwhile. behind: those that are not acknowledged. known: whether
    there is a count at all.
    """
    if not known:
        return "the first count waits for it"
    if behind == 0:
        return "counting on, counts are kept to send later"
    return f"counting on, {behind} count{'s' * (behind > 1)} kept to send later"


class Trouble(Value):
    """What is known of it. since: when connections began to fail; None if they do not. up: when the
    last one was up. told: what was reported last, and is not over. reports: how many there were in
    the minute that ends at `reports_until`. Times are in nanoseconds.
    """

    since: int | None
    up: int
    told: str
    reports: int
    reports_until: int

    def failed(self, now: int, *, was_up: bool) -> Trouble:
        """A connection has ended, or was not opened."""
        is_new = self.since is None or (was_up and now >= self.up + STEADY)
        return self.replace(since=now) if is_new else self

    def over(self) -> Trouble:
        """It is over."""
        return self.replace(since=None, told="") if self.since is not None or self.told else self

    def retry(self, now: int) -> int:
        """How long the next connection waits: an eighth of the time for which this has lasted."""
        lasted = now - (now if self.since is None else self.since)
        return min(max(lasted // 8, RETRY_LEAST), RETRY_MOST)

    def report(self, text: str, now: int) -> Trouble:
        """This is what to report, if it comes back changed."""
        before = self
        if now >= self.reports_until:
            before = self.replace(reports=0, reports_until=now + MINUTE)
        if text == before.told or before.reports >= REPORTS:
            return self
        return before.replace(told=text, reports=before.reports + 1)
