"""Serves the metrics to whoever connects to sendrecv-metrics.socket: GET /metrics, nothing else.

Rejected: a process for each connection (Accept=yes), since a peer that connects again and again
would keep PID 1 busy with units, and takeovers wait for PID 1. And http.server, which has no limit
on time, size or connections.

    what a peer may do      limit
    send a request          HEAD bytes, REQUEST seconds
    wait for and read       ANSWER seconds
    the answer
    connect                 PEERS at once. One more cuts the oldest that has sent no request yet,
                            or is cut itself if there is none
    ask                     the facts are read once in FRESH seconds, for all who ask

A reading that takes STUCK seconds will never end. Then this process does, and the next connection
starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence

from sendrecv import descriptors, systemd
from sendrecv.core.errors import ERROR
from sendrecv.errors import FAULT, UsageError

SOCKET = "sendrecv-metrics"
"""FileDescriptorName= of the socket."""
HEAD = 8192
REQUEST, ANSWER = 5.0, 30.0
PEERS = 16
FRESH = 1.0
STUCK = 60.0
IDLE = 300.0
"""Seconds without a connection after which this process ends; the next one starts it again."""
TYPE = "text/plain; version=0.0.4; charset=utf-8"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
}


def serve(make: Callable[[], str]) -> None:
    """Until nobody has connected for IDLE seconds. make: makes the text. Raises UsageError if this
    process was handed no socket.
    """
    try:
        listeners = descriptors.listening_sockets(SOCKET)
    except UsageError:
        hint = "systemctl start sendrecv-metrics.socket"
        raise UsageError("no listening socket was handed over", hint) from None
    asyncio.run(_serve(listeners, make))


async def _serve(listeners: Sequence[descriptors.Listener], make: Callable[[], str]) -> None:
    scrapes = Scrapes(make)
    for listener in listeners:
        await asyncio.start_server(scrapes.serve, sock=listener, limit=HEAD)
    await scrapes.over(IDLE)
    if scrapes.is_stuck():
        systemd.log(ERROR, f"metrics: not read in {STUCK:.0f} s, ending")
        os._exit(FAULT)  # or Python would wait for the thread that reads


class Scrapes:
    """All connections, and the text that they share."""

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make
        self._text: asyncio.Task[bytes] | None = None
        self._made = float("-inf")
        self._waiting: dict[asyncio.Task[None], None] = {}  # for their request, by age
        self._peers: set[asyncio.Task[None]] = set()
        self._used = time.monotonic()

    async def over(self, idle: float) -> None:
        """Returns when nobody has been connected for so many seconds, or a reading is stuck."""
        while self._peers or time.monotonic() < self._used + idle:
            await asyncio.sleep(min(idle, STUCK) / 10)
            if self.is_stuck():
                return

    def is_stuck(self) -> bool:
        """Whether the facts are read, and have been for too long."""
        reads = self._text is not None and not self._text.done()
        return reads and time.monotonic() > self._made + STUCK

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        task: asyncio.Task[None] | None = asyncio.current_task()
        assert task
        self._used = time.monotonic()
        writer.transport.set_write_buffer_limits(0)  # so that drain() waits for all of it
        if self._has_room():
            self._peers.add(task)
            self._waiting[task] = None
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
                await self._answer(task, reader, writer)
        self._waiting.pop(task, None)
        self._peers.discard(task)
        self._used = time.monotonic()
        writer.transport.abort()

    def _has_room(self) -> bool:
        """Whether one more may be served. If need be, another one is cut."""
        if len(self._peers) < PEERS:
            return True
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        del self._waiting[oldest]
        self._peers.discard(oldest)
        oldest.cancel()
        return True

    async def _answer(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        async with asyncio.timeout(REQUEST):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                head = b""
        self._waiting.pop(task, None)
        async with asyncio.timeout(ANSWER):
            status = status_of(head)
            body = b""
            if status == 200:
                status, body = await self._body()
            writer.write(_message(status, body))
            await writer.drain()
            writer.write_eof()
            await reader.read(1)  # until the peer has closed: what it has not read yet is not lost

    async def _body(self) -> tuple[int, bytes]:
        try:
            return 200, await self._shared()
        # Whatever it is: the next one who asks may be answered.
        except Exception as error:  # pylint: disable=broad-exception-caught
            systemd.log(ERROR, f"metrics: {type(error).__name__}: {error}")
            return 500, b""

    async def _shared(self) -> bytes:
        """That of another peer, if it was begun less than FRESH seconds ago, or is being made."""
        is_made = self._text is not None and self._text.done()
        if self._text is None or (is_made and time.monotonic() > self._made + FRESH):
            self._made = time.monotonic()
            self._text = asyncio.create_task(self._read())
        return await asyncio.shield(self._text)  # a peer that hangs up does not end it for others

    async def _read(self) -> bytes:
        return (await asyncio.to_thread(self._make)).encode()


def status_of(head: bytes) -> int:
    """What to answer to a request with that head; b"" if it was too long."""
    words = head.partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return 400
    if words[0] != b"GET":
        return 405
    return 200 if words[1].partition(b"?")[0] == b"/metrics" else 404


def _message(status: int, body: bytes) -> bytes:
    reason = _REASONS[status]
    body = body if status == 200 else f"{reason}\n".encode()
    fields = [
        f"HTTP/1.1 {status} {reason}",
        f"Content-Type: {TYPE if status == 200 else 'text/plain'}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(["Allow: GET"] if status == 405 else []),
    ]
    return "\r\n".join([*fields, "", ""]).encode() + body
