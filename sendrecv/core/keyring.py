"""Which tokens are valid: those of the file, and for a while the old ones that they have replaced.

    before                          in the new file                 from now on
    NAME, and its token             NAME with another token         the old token is valid for a
                                                                    while, for the Apps of the line
    an old token of NAME            NAME                            the same, until the same moment
    NAME, an old token of NAME      no NAME                         not valid: NAME is shut out
    the only thing in the file,     other tokens                    the old token is valid for a
    which has no name                                               while, for all Apps
    the same                        no token at all                 not valid

A token that the new file has is valid as the new file says, whatever it was before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256

from sendrecv.core.errors import PeerError
from sendrecv.core.tokens import Token
from sendrecv.core.values import Value

UNNAMED = ""
"""The name of a token that is the only thing in its file."""
MAX_OLD = 1000
"""Old tokens. Of more, the oldest give way."""


class Key(Value):
    """What is known of a token, without the token. digest: SHA-256, in hexadecimal digits. until:
    when an old one ends, in seconds since the boot; None for one in the file.
    """

    name: str
    apps: frozenset[str] | None
    digest: str
    until: float | None = None

    def is_for(self, app_id: str) -> bool:
        """Whether its holder may claim and see that App."""
        return self.apps is None or app_id in self.apps


class Change(Value):
    """What a new file has changed, by the names in it. removed: who is shut out. rights: the same
    token, for other Apps.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    rights: tuple[str, ...]


NOTHING = Change((), (), (), ())


class Keyring(Value):
    """The keys, each digest once: first those in the file."""

    keys: tuple[Key, ...] = ()

    def in_file(self) -> dict[str, Key]:
        """Those in the file, by name."""
        return {key.name: key for key in self.keys if key.until is None}

    def at(self, now: float) -> Keyring:
        """Without the old ones that have ended."""
        return Keyring(tuple(key for key in self.keys if key.until is None or now < key.until))

    def ended(self, now: float) -> tuple[Key, ...]:
        """The old ones that have ended."""
        return tuple(key for key in self.keys if key.until is not None and now >= key.until)

    def shortened(self, until: float) -> Keyring:
        """No old one is valid for longer than that."""
        return Keyring(
            tuple(
                key if key.until is None else key.replace(until=min(key.until, until))
                for key in self.keys
            )
        )

    def renewed(self, new: Sequence[Key], until: float) -> tuple[Keyring, Change]:
        """With the keys of a new file. until: when those that they replace are to end."""
        named = {key.name: key for key in new}
        digests = {key.digest for key in new}
        old = []
        for key in self.keys:
            place = named.get(key.name)
            if key.digest not in digests and named and (place or key.name == UNNAMED):
                apps = place.apps if place else key.apps
                old.append(key.replace(apps=apps, until=until if key.until is None else key.until))
        old.sort(key=lambda key: -(key.until or 0))
        return Keyring((*new, *old[:MAX_OLD])), _change(self.in_file(), named, digests)

    def find(self, digest: str) -> Key | None:
        """The key with this digest."""
        return next((key for key in self.keys if key.digest == digest), None)

    def keeps(self, shown: Key, app_id: str) -> bool:
        """Whether a connection stays, which has shown that key for that App, perhaps long ago."""
        named = self.in_file()
        key = self.find(shown.digest) or named.get(shown.name)
        return key.is_for(app_id) if key else bool(named) and shown.name == UNNAMED

    def text(self) -> str:
        """For a file. See read()."""
        return json.dumps(
            [
                [key.name, None if key.apps is None else sorted(key.apps), key.digest, key.until]
                for key in self.keys
            ]
        )


def read(text: str) -> Keyring:
    """The keyring of that text. Raises PeerError if it is none."""
    try:
        return Keyring(tuple(_key(*fields) for fields in json.loads(text)))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise PeerError("not a keyring") from None


def _key(name: object, apps: object, digest: object, until: object) -> Key:
    if not isinstance(name, str) or not isinstance(digest, str):
        raise TypeError("no name, or no digest")
    if not isinstance(apps, (list, type(None))) or not isinstance(until, (int, float, type(None))):
        raise TypeError("no Apps, or no time")
    end = None if until is None else float(until)
    return Key(name, None if apps is None else frozenset(map(str, apps)), digest, end)


def _change(before: dict[str, Key], after: dict[str, Key], digests: set[str]) -> Change:
    both = [name for name in after if name in before]
    gone = [name for name in before if name not in after]
    replaced = [name for name in gone if name == UNNAMED and after]
    return Change(
        added=tuple(name for name in after if name not in before),
        changed=tuple(name for name in (*both, *replaced) if before[name].digest not in digests),
        removed=tuple(name for name in gone if name not in replaced),
        rights=tuple(
            name
            for name in both
            if after[name].digest == before[name].digest and after[name].apps != before[name].apps
        ),
    )


def of(tokens: Sequence[Token]) -> tuple[Key, ...]:
    """The keys of a file's tokens."""
    return tuple(Key(token.name, token.apps, digest_of(token.secret)) for token in tokens)


def digest_of(secret: str) -> str:
    """See Key."""
    return sha256(secret.encode(errors="replace")).hexdigest()
