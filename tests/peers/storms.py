"""What an ill-willed, or broken, program on this machine can do to the receiver.

    python3 -m tests.peers.storms NAME SECONDS [LEAST]

runs in a machine, as tests/system/test_abuse.py does.

Each storm goes on for that long, and until there was at least so much of it (a JSON object like the
one that it prints), whatever the receiver does to its connections: one that is closed is opened
anew. What it prints at the end says how much of it there was.
"""

import asyncio
import contextlib
import functools
import gzip
import json
import os
import resource
import socket
import ssl
import sys
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tests.peers.peer import BINARY, PING, RECEIVER, auth, frame, payload, upgrade

IDLE = 2000
BOMB = 100_000_000
PINGED = b"\x81\x012"
"""Engine.IO's heartbeat, in a frame."""
BY_TLS = ("192.0.2.1", 3443)
Task = Callable[["Storm", int], Awaitable[None]]


class Storm:
    """What the tasks of one storm share."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.tally: Counter[str] = Counter()
        self.held: list[Writer] = []
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._sessions = 0

    async def connect(self, receive_buffer: int = 0) -> tuple[asyncio.StreamReader, "Writer"]:
        """A TCP connection. Reads at most 64 kB ahead of whoever reads."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, RECEIVER)
        self.tally["connections"] += 1
        return await asyncio.open_connection(sock=sock)

    async def tls(self) -> tuple[asyncio.StreamReader, "Writer"]:
        """A TLS connection."""
        streams = await asyncio.open_connection(*BY_TLS, ssl=self._context)
        self.tally["by TLS"] += 1
        return streams

    async def session(self) -> str:
        """The path of a session of long polling that is admitted."""
        self._sessions += 1
        app_id = f"polling{self._sessions % 500}"
        path = "/socket.io/?EIO=4&transport=polling"
        opened = await self._asked(f"GET {path}")
        path += f"&sid={json.loads(opened[1:])['sid']}"
        epoch = time.monotonic_ns() // 1000
        claim = auth(app_id, self.token, epoch=epoch)
        await self._asked(f"POST {path}", f"40{json.dumps(claim)}".encode())
        if b'40{"sid"' not in await self._asked(f"GET {path}"):
            raise ConnectionError
        self.tally["admitted"] += 1
        return path

    async def _asked(self, what: str, body: bytes = b"") -> bytes:
        stream = await self.connect()
        head = f"{what} HTTP/1.1\r\nHost: a\r\nConnection: close"
        answer = await asyncio.wait_for(exchanged(stream, head, body), 5)
        stream[1].close()
        return answer

    async def websocket(self, receive_buffer: int = 0) -> tuple[asyncio.StreamReader, "Writer"]:
        """A WebSocket, open, that has not said who it is."""
        reader, writer = await self.connect(receive_buffer)
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        self.tally["websockets"] += 1
        return reader, writer

    async def admitted(
        self, app_id: str, receive_buffer: int = 0
    ) -> tuple[asyncio.StreamReader, "Writer"]:
        """A WebSocket of a sender that was admitted."""
        epoch = time.monotonic_ns() // 1000  # it may be the storm's hundredth
        reader, writer = await self.websocket(receive_buffer)
        writer.write(text(f"40{json.dumps(auth(app_id, self.token, epoch=epoch))}"))
        while b'40{"sid"' not in (data := await reader.read(65536)):
            if not data:
                raise ConnectionError
        self.tally["admitted"] += 1
        return reader, writer

    async def send(self, writer: "Writer", data: bytes, what: str) -> None:
        """Those bytes, as soon as the connection takes them."""
        writer.write(data)
        await writer.drain()
        self.tally[what] += 1


Writer = asyncio.StreamWriter


def text(message: str) -> bytes:
    """A message as a frame."""
    return frame(message.encode())


async def exchanged(
    stream: tuple[asyncio.StreamReader, "Writer"], head: str, body: bytes = b""
) -> bytes:
    """The body of the answer to a request, whose connection stays as it is."""
    reader, writer = stream
    writer.write(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if " 200 " not in answer.partition("\r\n")[0]:
        raise ConnectionError(answer)
    return await reader.readexactly(int(answer.partition("content-length: ")[2].split()[0]))


async def until_closed(reader: asyncio.StreamReader) -> None:
    """Reads and forgets."""
    while await reader.read(65536):
        pass


# Those who do nothing, or do it slowly


async def idle_tcp(storm: Storm, _: int) -> None:
    """Connects, and says nothing."""
    reader, _writer = await storm.connect()
    await until_closed(reader)


async def idle_websocket(storm: Storm, _: int) -> None:
    """Opens a WebSocket, and does not say who it is."""
    reader, _writer = await storm.websocket()
    await until_closed(reader)


async def slow_writer(storm: Storm, number: int) -> None:
    """Sends a request head, a request body, or a frame that never end, a byte at a time."""
    starts = (
        b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
        b"POST /socket.io/?EIO=4&sid=a HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n",
        frame(b"40", length=10_000),
    )
    start = starts[number % 3]
    _, writer = await (storm.websocket() if number % 3 == 2 else storm.connect())
    writer.write(start)
    while True:
        await storm.send(writer, b"x", "slow bytes")
        await asyncio.sleep(0.2)


async def slow_reader(storm: Storm, number: int) -> None:
    """Asks for ever and never reads the answers: without the token, and with it."""
    kinds: list[tuple[Callable[[], Awaitable[tuple[asyncio.StreamReader, Writer]]], bytes]] = [
        (lambda: storm.connect(4096), b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
        (lambda: storm.websocket(4096), text("40/elsewhere,")),
        (lambda: storm.admitted(f"reader{number}", 4096), text('421["unheard of"]')),
        (lambda: storm.admitted(f"reader{number}", 4096), text('421["resume"]')),
    ]
    connect, question = kinds[number % 4]
    _, writer = await connect()
    while True:
        await storm.send(writer, question * 20, "questions")


async def idle_tls(storm: Storm, _: int) -> None:
    """Speaks TLS, and says nothing."""
    reader, _writer = await storm.tls()
    await until_closed(reader)


async def half_open(storm: Storm, number: int) -> None:
    """Is admitted, and then is gone without a word, as a host that lost its power is."""
    _, writer = await storm.admitted(f"gone{number % 50}")
    raw = writer.get_extra_info("socket")
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()
    # TCP_REPAIR: the kernel forgets the connection and sends no FIN (tcp(7) does not tell).
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.IPPROTO_TCP, 19, 1)
    writer.transport.abort()
    storm.tally["gone"] += 1
    await asyncio.sleep(0.5)


# Floods


async def flood_without_token(storm: Storm, number: int) -> None:
    """As many connections as it can, none of which has a token."""
    reader, writer = await storm.websocket()
    auths = ["", "{}", '{"token":null}', '{"token":[]}', '{"token":""}', "[]", "7"]
    writer.write(text(f"40{auths[number % len(auths)]}"))
    await asyncio.wait_for(reader.read(1000), 5)
    writer.write(text("420" + json.dumps(["count", payload(1, "main")])))
    await asyncio.wait_for(reader.read(1000), 5)
    storm.tally["tries"] += 1


async def flood_polling(storm: Storm, _: int) -> None:
    """As many sessions of long polling as it can, each forgotten at once."""
    reader, writer = await storm.connect()
    writer.write(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.wait_for(reader.read(1000), 5)
    storm.tally["sessions"] += 1


async def flood_wrong_token(storm: Storm, number: int) -> None:
    """As many guesses of the token as it can."""
    guess = f"{number % 256:02x}" + storm.token[2:][::-1]
    if number % 2:
        reader, writer = await storm.connect()
        line = f"GET /apps HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {guess}\r\n\r\n"
        writer.write(line.encode())
    else:
        reader, writer = await storm.websocket()
        writer.write(text("40" + json.dumps(auth("main", guess, epoch=2**60))))
    await asyncio.wait_for(reader.read(1000), 5)
    storm.tally["tries"] += 1


async def flood_connections(storm: Storm, _: int) -> None:
    """Connects, and hangs up."""
    _reader, writer = await storm.connect()
    writer.transport.abort()


async def flood_rubbish(storm: Storm, number: int) -> None:
    """Requests that are none."""
    lines = [
        bytes(range(256)) * 20,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /socket.io/?EIO=3 HTTP/1.1\r\nHost: a\r\n\r\n" * 300,
        b"GET /" + b"a" * 20_000,
        b"POST /socket.io/?EIO=4&sid=a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ]
    reader, writer = await storm.connect()
    await storm.send(writer, lines[number % len(lines)], "requests")
    await asyncio.wait_for(until_closed(reader), 5)


# Too much at once


async def oversized(storm: Storm, number: int) -> None:
    """A hundred megabytes, or more, in one frame, one request, one head."""
    block = b"x" * 1_000_000
    endless = b"POST /socket.io/?EIO=4&transport=polling&sid=a HTTP/1.1\r\nHost: a\r\n"
    ways: list[tuple[bool, bytes]] = [
        (True, frame(b"40", length=BOMB)),
        (True, frame(b"", length=2**62)),
        (True, frame(b"4", fin=False)),
        (False, endless + b"Content-Length: 100000000\r\n\r\n"),
        (False, endless + b"Transfer-Encoding: chunked\r\n\r\n5f5e100\r\n"),
        (False, b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 100_000),
        (False, b"GET /healthz HTTP/1.1\r\nA: "),
    ]
    is_websocket, start = ways[number % len(ways)]
    _, writer = await (storm.websocket() if is_websocket else storm.connect())
    writer.write(start)
    while True:
        await storm.send(writer, block, "megabytes")


async def oversized_admitted(storm: Storm, number: int) -> None:
    """The same with the token: one message of 100 MB, or fragments without an end."""
    _, writer = await storm.admitted(f"large{number}")
    if number % 2:
        await storm.send(writer, text(f'42["count","{"x" * BOMB}"]'), "messages of 100 MB")
    while True:
        await storm.send(writer, frame(b"4" * 60_000, fin=False), "fragments")


@functools.cache
def squeezed(encoding: str) -> bytes:
    """BOMB zero bytes. Made once: it takes most of a second, in which no storm would go on."""
    if encoding == "gzip":
        return gzip.compress(bytes(BOMB))
    # What permessage-deflate sends is raw, and ends without its flush's last four bytes.
    raw = encoding == "permessage-deflate"
    deflate = zlib.compressobj(wbits=-15 if raw else 15)
    data = deflate.compress(bytes(BOMB))
    return data + (deflate.flush(zlib.Z_SYNC_FLUSH)[:-4] if raw else deflate.flush())


async def bomb(storm: Storm, number: int) -> None:
    """A hundred megabytes that are a hundred kilobytes on the wire."""
    encoding = ("gzip", "deflate", "permessage-deflate")[number % 3]
    data = squeezed(encoding)
    reader, writer = await storm.connect()
    if encoding == "permessage-deflate":
        writer.write(upgrade(extra=f"Sec-WebSocket-Extensions: {encoding}\r\n"))
        await reader.readuntil(b"\r\n\r\n")
        await storm.send(writer, frame(data, rsv=4), "bombs")
    else:
        head = (
            "POST /socket.io/?EIO=4&transport=polling&sid=a HTTP/1.1\r\nHost: a\r\n"
            f"Content-Encoding: {encoding}\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        await storm.send(writer, head.encode() + data, "bombs")
    await asyncio.wait_for(until_closed(reader), 5)


# One who has the token


async def hold_a_session(storm: Storm, _: int) -> None:
    """As many connections as it can, in the name of a session that is admitted, and stays."""
    path = await storm.session()
    head = f"GET /healthz?{path.rpartition('&')[2]} HTTP/1.1\r\nHost: a"
    living = asyncio.ensure_future(_answer_pings(storm, path))
    try:
        while not living.done():
            with contextlib.suppress(OSError, EOFError):
                stream = await storm.connect()
                await asyncio.wait_for(exchanged(stream, head), 5)
                storm.held.append(stream[1])
                storm.tally["in its name"] += 1
            await asyncio.sleep(0.001)
    finally:
        living.cancel()


async def _answer_pings(storm: Storm, path: str) -> None:
    polling, answering = await storm.connect(), await storm.connect()
    with contextlib.suppress(OSError, EOFError):
        await exchanged(answering, f"POST {path} HTTP/1.1\r\nHost: a", b"3")
        while ping := await exchanged(polling, f"GET {path} HTTP/1.1\r\nHost: a"):
            if ping == b"2":
                await exchanged(answering, f"POST {path} HTTP/1.1\r\nHost: a", b"3")


async def hold_bodies(storm: Storm, _number: int) -> None:
    """Long requests that never end, on as many connections as a session may have."""
    path = await storm.session()
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 131072\r\n\r\n".encode()
    connections = [await storm.connect() for _ in range(4)]
    for _reader, writer in connections:
        await storm.send(writer, head + b"x" * 131_000, "bodies")
    for reader, _writer in connections:
        await until_closed(reader)


async def hold_tls(storm: Storm, number: int) -> None:
    """A sender by TLS, which stays."""
    reader, writer = await storm.tls()
    writer.write(upgrade())
    await reader.readuntil(b"\r\n\r\n")
    epoch = time.monotonic_ns() // 1000
    writer.write(text(f"40{json.dumps(auth(f'tls{number}', storm.token, epoch=epoch))}"))
    while b'40{"sid"' not in (data := await reader.read(65536)):
        if not data:
            raise ConnectionError
    storm.tally["admitted"] += 1
    storm.tally["held"] += 1
    try:
        while data := await reader.read(65536):
            if PINGED in data:
                writer.write(text("3"))
    finally:
        storm.tally["held"] -= 1


async def event_storm(storm: Storm, number: int) -> None:
    """All that an admitted sender can send, as fast as it can."""
    app_id = f"storm{number}"
    batch = [payload(n, app_id) for n in range(512)]
    messages = [
        text('42["unheard of"]'),
        text("42" + json.dumps(["count", *batch])),
        frame(b""),
        frame(b"", PING),
        frame(b"\x00", BINARY),
        text('42["count",7]'),
        text("3"),
        text('451-["count",{"_placeholder":true,"num":0}]'),
        text("42" + "[" * 60_000),
    ]
    message = messages[number % len(messages)]
    reader, writer = await storm.admitted(app_id)
    reading = asyncio.ensure_future(until_closed(reader))
    many = message * max(1, 16_384 // len(message))
    try:
        while not reading.done():
            await storm.send(writer, many, "chunks")
    finally:
        reading.cancel()


STORMS: dict[str, tuple[Task, int]] = {
    "idle-tcp": (idle_tcp, IDLE),
    "idle-tls": (idle_tls, IDLE),
    "idle-websocket": (idle_websocket, IDLE),
    "slow-writers": (slow_writer, 300),
    "slow-readers": (slow_reader, 40),
    "half-open": (half_open, 100),
    "flood-connections": (flood_connections, 100),
    "flood-without-token": (flood_without_token, 100),
    "flood-polling": (flood_polling, 100),
    "flood-wrong-token": (flood_wrong_token, 100),
    "flood-rubbish": (flood_rubbish, 100),
    "oversized": (oversized, 14),
    "oversized-admitted": (oversized_admitted, 4),
    "bombs": (bomb, 12),
    "events": (event_storm, 9),
    "hold-session": (hold_a_session, 50),
    "hold-bodies": (hold_bodies, 250),
    "hold-tls": (hold_tls, 1100),
}
"""What each of so many tasks does again and again."""


async def _again(storm: Storm, task: Task, number: int) -> None:
    while True:
        try:
            await task(storm, number)
            storm.tally["ended"] += 1
        except (OSError, EOFError) as error:
            storm.tally[type(error).__name__] += 1
            await asyncio.sleep(0.05)


async def _say_when(storm: Storm, least: Mapping[str, int]) -> None:
    """For who waits until there was so much of it, and lets it go on."""
    while any(storm.tally[key] < least[key] for key in least):
        await asyncio.sleep(0.1)
    print("enough of the storm", file=sys.stderr, flush=True)


async def rage(name: str, seconds: float, least: Mapping[str, int], token: str) -> Counter[str]:
    """That storm, for so long, and for as long as there was not the least of it."""
    task, number = STORMS[name]
    storm = Storm(token)
    tasks = [asyncio.ensure_future(_again(storm, task, n)) for n in range(number)]
    saying = asyncio.ensure_future(_say_when(storm, least))
    end = time.monotonic() + seconds
    while time.monotonic() < end or any(storm.tally[key] < least[key] for key in least):
        done, _ = await asyncio.wait(tasks, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*done)  # says what is wrong with the storm: none ends by itself
    saying.cancel()
    return storm.tally


def main() -> None:
    """Runs a storm."""
    name, seconds, *least = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    token = Path("/etc/sendrecv/token").read_text(encoding="ascii").strip()
    loop = asyncio.new_event_loop()
    tally = loop.run_until_complete(rage(name, float(seconds), json.loads(*least or ["{}"]), token))
    print(json.dumps(tally), flush=True)
    os._exit(0)  # what is still open is the kernel's to close, all at once


if __name__ == "__main__":
    main()
