"""The lease of an App on several hosts: which host may count. No I/O, no clock of its own.

Each App has one key in etcd. Its value is the App's record and who holds the lease (Holding). Its
revision grows with each write. Whoever writes compares the revision, so two can never both write.

Rules
    1. A holder writes the key anew with each count, and after an eighth of the lease. So a process
       that hangs is killed by its watchdog (0.425 of the lease, 0.85 s at least), and the other
       half of the host is there, before a lease of two seconds or more is over.
    2. It sends a count only until 0.7 of the lease after the *sending* of its last write that is
       known to have been carried out. What is in the key, and nothing else, is sent. Each write has
       a serial number of its own: a write that is found later is known by it, and counts from when
       that one was sent.
    3. A stand-by takes the App at once if there never was a key, if the key says that the lease
       was released for this host or for any, or if this very boot of this host held the lease: then
       this process has the host's lock, so the process that held the lease has ended. What was
       released for another host, and is not taken by that, goes back to the host that released it
       after a quarter of the lease, and to any after a half. If a key is gone that was seen before,
       somebody has deleted it, and its holder may not know that yet: then rule 4 holds.
    4. It takes the App from another host only when it has seen the same revision for the whole of
       the lease, from the *answer* that first showed it, and when etcd has answered throughout the
       last quarter of that, from the answer to the first request on. So after an outage of etcd a
       holder that lives is the first to write: it asks again each tenth of the lease or so.
    5. To take the App is to write the key with a greater epoch. The holder before sees that its
       next write is compared with another revision, and stands by.
    6. While a second key is there, the App is paused: no host takes it by itself. Each write that
       takes the App compares that there is no such key, in the same transaction; so once the key is
       written, only these processes take the App, for a person has asked them to:
       - one that a person or a boot has started, until it has held the App: on the host that held
         the App last, or on any host if there never was a key;
       - any of the host that the App was released for;
       - the one that has released the App for a host which does not take it.
       The process that counts does not look at that key, and counts on.

What this relies on: that clocks run at the same rate, within 30 %. What they show does not matter.
A holder that was stopped between rule 2 and its send may be late all the same. So the receiver
refuses every older epoch.

Times are nanoseconds of CLOCK_BOOTTIME, which goes on while a host is suspended.
"""

from __future__ import annotations

import json

from sendrecv.core.errors import UnknownFormat
from sendrecv.core.record import Record, read_values
from sendrecv.core.values import Value
from sendrecv.core.wire import is_name

FORMAT = 1
MAX_WHY = 200
"""Characters of a reason."""
LATEST = 1 << 33
"""Seconds since 1970, in the year 2242."""
MAX_VALUE = 4096
"""Bytes of a key's value. The longest possible has fewer."""


class LeaseLost(Exception):
    """This process does not hold the lease any more. The text is for people. found: what the key
    says instead, if that is known.
    """

    def __init__(self, text: str, found: Holding | None = None) -> None:
        super().__init__(text)
        self.found = found


class HandedOver(LeaseLost):
    """It has released the lease for another host, as it was asked to."""


class Holding(Value):
    """What the key says. host: the name of the host that holds the lease. place: 32 hexadecimal
    digits that name that host and this boot of it. since: what its wall clock said when it took the
    lease, in seconds. why: why it took it. lease: nanoseconds. released: nobody holds it, for the
    reason `why`. to: the name of the host that it was released for, "" for any. serial: the number
    of the write, of those of this run.
    """

    record: Record
    host: str
    place: str
    since: int
    lease: int
    why: str = ""
    released: bool = False
    to: str = ""
    serial: int = 0


class Move(Value):
    """A person's wish, for the holder: to hand the App over. epoch: the holder's. to: a host."""

    epoch: int
    to: str
    why: str


class Pause(Value):
    """A person's wish that no host takes the App by itself. since: what that person's wall clock
    said, in seconds. by: who it was. reason: "" if none was given. All of them may be unknown.
    """

    since: int = 0
    by: str = ""
    reason: str = ""


class Taken(Value):
    """How a process got the lease. record: of who had it before; None if nobody had. from_host: the
    host that had it, "" if none had. host: this one. code: why it was taken, "" if this host had
    it; see takeover.py. reason: a person's, "" if none was given. counted: the last count was taken
    after this time; -1 if nothing is known of that.
    """

    record: Record | None
    from_host: str
    host: str
    code: str = ""
    reason: str = ""
    counted: int = -1


def encode(holding: Holding) -> bytes:
    """The key's value."""
    values = holding.as_dict() | {"record": holding.record.as_dict()}
    return json.dumps({"format": FORMAT, **values}).encode("ascii")


def decode(value: bytes) -> Holding | None:
    """What the value of a key says; None if it is no such value.

    Raises UnknownFormat if it is of a newer version.
    """
    values = _values(value)
    if type(number := values.pop("format", None)) is not int:
        return None
    if number > FORMAT:
        raise UnknownFormat(f"key has format {number}, this version knows up to {FORMAT}")
    return _holding_of(values) if number == FORMAT else None


def _values(value: bytes) -> dict[str, object]:
    try:
        values = json.loads(value[:MAX_VALUE])
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _holding_of(values: dict[str, object]) -> Holding | None:
    given = values.pop("record", None)
    record = read_values(given) if isinstance(given, dict) else None
    match values:
        case {
            "host": str(host),
            "place": str(place),
            "since": int(since),
            "lease": int(lease),
            "why": str(why),
            "released": bool(released),
            "to": str(to),
            "serial": int(serial),
        } if (
            record and is_name(host) and is_reason(why) and (not to or is_name(to))
        ):
            is_right = since >= 0 and lease > 0
            holding = Holding(record, host, place, since, lease, why, released, to, serial)
            return holding if is_right else None
    return None


def encode_move(move: Move) -> bytes:
    """The value of the key of such a wish."""
    return json.dumps({"format": FORMAT, **move.as_dict()}).encode("ascii")


def decode_move(value: bytes) -> Move | None:
    """What that key says; None if it is no such value, or of another version."""
    match _values(value):
        case {"format": 1, "epoch": int(epoch), "to": str(to), "why": str(why)} if is_name(to):
            return Move(epoch, to, why[:MAX_WHY]) if is_reason(why) else None
    return None


def encode_pause(pause: Pause) -> bytes:
    """The value of the key of a pause."""
    return json.dumps({"format": FORMAT, **pause.as_dict()}).encode("ascii")


def decode_pause(value: bytes) -> Pause:
    """What that key says. Whatever it is, the App is paused."""
    match _values(value):
        case {"since": int(since), "by": str(by), "reason": str(reason)}:
            is_known = 0 <= since < LATEST and is_name(by) and is_reason(reason)
            return Pause(since, by, reason) if is_known else Pause()
    return Pause()


def is_reason(text: str) -> bool:
    """Whether it is one printable line that is not too long."""
    return text.isprintable() and len(text) <= MAX_WHY


class Tenure(Value):
    """A holder's lease. revision: of its last write. sent: when that was sent. lease: in
    nanoseconds.
    """

    revision: int
    sent: int
    lease: int

    def may_send(self, now: int) -> bool:
        """Whether a count may be sent (rule 2)."""
        return now < self.sent + self.lease * 7 // 10

    def renews_at(self) -> int:
        """When the key is to be written anew (rule 1)."""
        return self.sent + self.lease // 8


class Writes:
    """The writes of one run, by serial number. Attribute newest: the last number. unheard: what
    may be written, later than what is known to be. refused: why etcd did not take one, in words.
    """

    def __init__(self) -> None:
        self.newest = 0
        self.refused = ""
        self.unheard: Holding | None = None
        self._sent: dict[int, int] = {}  # when each was sent that is not known to be carried out

    def begin(self, now: int) -> int:
        """The number of a write that is sent now, or later."""
        self.newest += 1
        self._sent[self.newest] = now
        return self.newest

    def sent(self, serial: int) -> int:
        """When that one was sent, which was carried out; 0 if it is not known any more."""
        sent = self._sent.get(serial, 0)
        self._sent = {later: at for later, at in self._sent.items() if later > serial}
        return sent

    def forget(self) -> None:
        """Whatever of them is carried out, it counts for nothing."""
        self._sent = {}
        self.unheard = None


class Sight(Value):
    """What a stand-by has seen of the key. revision: 0 for no key, -1 if nothing was seen. since:
    when the first answer came in that showed this revision. answering: when the first answer came
    in since which each request was answered; -1 for none.
    """

    revision: int
    since: int
    answering: int

    def shown(self, revision: int, first: int, now: int) -> Sight:
        """etcd has answered now. first: when something else had shown this revision, or now."""
        answering = now if self.answering < 0 else self.answering
        since = self.since if revision == self.revision else first
        return Sight(revision, since, answering)

    def unanswered(self) -> Sight:
        """etcd has not answered."""
        return self.replace(answering=-1)

    def expires_at(self, lease: int) -> int:
        """When a lease of another host is over, if the key does not change (rule 4)."""
        if self.answering < 0:
            return self.since + lease
        return max(self.since + lease, self.answering + lease // 4)


NOTHING_SEEN = Sight(-1, 0, -1)


class Growth(Value):
    """What a stand-by has seen of the count in the key. count: -1 if nothing was seen. looked: when
    it looked last. since: when it looked last before that count was there; -1 if it did not.
    """

    count: int = -1
    looked: int = -1
    since: int = -1

    def shown(self, count: int, now: int) -> Growth:
        """The key has that count now."""
        if count <= self.count:
            return self.replace(looked=now)
        return Growth(count, now, self.looked)


class Here(Value):
    """Who stands by. host, place: as in Holding. lease: its own setting, in nanoseconds."""

    host: str
    place: str
    lease: int

    def why(self, sight: Sight, holding: Holding | None, now: int, *, seen: bool = False) -> str:
        """Why the App may be taken now, for people; "" if it may not (rules 3 and 4).

        seen: a key of this App was seen before.
        """
        if sight.revision < 0 or sight.answering < 0:
            return ""
        if holding is None:
            is_over = not seen or now >= sight.expires_at(self.lease)
            return "no host held the App" if is_over else ""
        if holding.released:
            return self._why_released(sight, holding, now)
        if holding.place == self.place:
            return "this host held the App"
        if now >= sight.expires_at(self.longest(holding)):
            return f"{holding.host} has not renewed its lease"
        return ""

    def _why_released(self, sight: Sight, holding: Holding, now: int) -> str:
        if holding.to in ("", self.host):
            return f"{holding.host} released the App"
        if now >= self.gives_up_at(sight, holding):
            return f"{holding.host} released the App for {holding.to}, which does not take it"
        return ""

    def is_asked(
        self, holding: Holding | None, run: str, *, by_person: bool, seen: bool = False
    ) -> bool:
        """Whether a person wants this process to take the App, paused or not (rule 6). by_person:
        a person, or a boot, has started it, and it has not held the App yet. seen: as above.
        """
        if holding is None:
            return by_person and not seen
        if (
            holding.released
            and holding.to
            and (holding.to == self.host or holding.record.run == run)
        ):
            return True
        return by_person and holding.host == self.host

    def taken(self, holding: Holding | None, known: Record | None) -> Taken:
        """How this host takes the App. known: the newest record of it, which the key may lack."""
        if holding is None:
            return Taken(known, "", self.host, "no-key" if known else "")
        if not holding.released:
            code = "" if holding.place == self.place else "lease-expired"
            return Taken(known, holding.host, self.host, code)
        if holding.to == self.host:
            return Taken(known, holding.host, self.host, "moved", holding.why)
        code = "returned" if holding.to else "released"
        return Taken(known, holding.host, self.host, code)

    def gives_up_at(self, sight: Sight, holding: Holding) -> int:
        """When the host that it was released for has had enough time to take it."""
        return sight.since + self.lease // (4 if holding.place == self.place else 2)

    def longest(self, holding: Holding) -> int:
        """The lease to wait for: two hosts may have different settings."""
        return max(self.lease, holding.lease)
