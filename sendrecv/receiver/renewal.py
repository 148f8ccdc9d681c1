"""`systemctl reload receiver`: new tokens and a new certificate, without a restart.

/usr/lib/sendrecv/reload has the files copied by root, and then sends SIGHUP. The copy has the name
of this run, so a copy that was made for an earlier receiver is not mistaken for a new one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from sendrecv import systemd
from sendrecv.core.errors import ERROR, NOTICE, WARNING
from sendrecv.errors import CredentialError
from sendrecv.receiver.secrets import Secrets, named

HANDED_OVER = "/run/sendrecv-reload"
TOKEN = "/etc/sendrecv/token"
STARTING = 60.0
"""Seconds that a start takes at most."""
LOOK = 1.0
"""Seconds between two looks at whether an old token has ended."""


class SecuredConnections(Protocol):
    """The gateway, as this module sees it."""

    async def secure(self) -> None:
        """Take over a new certificate."""

    def shut_out(self) -> int:
        """End the connections of whoever is shut out. How many they are."""

    def apps_with(self, digest: str) -> list[str]:
        """The Apps whose senders have shown the token with that digest."""


class Renewal:
    """Takes over what is handed over in the file `path`. done: tells systemd that it is done."""

    def __init__(
        self,
        secrets: Secrets,
        connections: SecuredConnections,
        path: Path,
        done: Callable[[], None],
    ) -> None:
        self._secrets = secrets
        self._connections = connections
        self._path = path
        self._done = done
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """SIGHUP. Whatever is wrong, the receiver goes on with what it has."""
        self._spawn(self._renew())

    def watch(self) -> None:
        """From now on, say when an old token ends. And once, if the file may have changed during
        this start, which one this receiver has: systemd takes a reload during the start for a part
        of the start, and drops it.
        """
        self._spawn(self._watch())

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        try:
            said = self._secrets.said(self._secrets.renew(self._read()))
        except CredentialError as error:
            systemd.log(ERROR, f"{error}; the tokens stay as they were")
        else:
            ended = self._connections.shut_out()
            systemd.log(NOTICE, f"{said}; connections ended: {ended}" if ended else said)
        await self._connections.secure()
        self._done()

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                return systemd.token_text(file.read(systemd.MAX_TOKEN_FILE + 1))
        except FileNotFoundError:
            hint = "use: systemctl reload receiver"
            raise CredentialError("no token was handed over to this receiver", hint) from None
        except OSError as error:
            raise CredentialError(f"{self._path}: {error.strerror}") from None

    async def _watch(self) -> None:
        await asyncio.sleep(LOOK)
        if is_new(TOKEN, time.time() - STARTING):
            self._secrets.tell()
        while True:
            await asyncio.sleep(LOOK)
            for key in self._secrets.ended():
                apps = self._connections.apps_with(key.digest)
                text = f"the old token of {named(key.name)} is not valid any more"
                if apps:  # they stay connected: a missing token is no reason to end what works
                    text = f"{text}, and cannot connect again with it: {', '.join(apps)}"
                systemd.log(WARNING if apps else NOTICE, text)


def is_new(path: str, since: float) -> bool:
    """Whether the file, or a link to it, may have changed since then."""
    try:
        return max(os.stat(path).st_ctime, os.lstat(path).st_ctime) >= since
    except OSError:
        return True
