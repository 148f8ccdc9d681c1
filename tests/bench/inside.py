"""Run inside the machine, by its own Python: clients of the receiver, and the plain peers' servers.

    python3 inside.py load CONNECTIONS SECONDS    1 Hz each; prints the times to answer, in ms
    python3 inside.py plain-server PORT           python-socketio, an event acknowledged, no more
    python3 inside.py plain-client PORT FLIGHT SECONDS     prints acknowledged events a second

The load is spoken by hand over aiohttp's websockets, and checks every answer: a generator made of a
thousand python-socketio clients would measure itself.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOKEN = Path("/etc/sendrecv/token")
URL = "http://127.0.0.1:3000/socket.io/?transport=websocket&EIO=4"


def load(connections: int, seconds: float) -> None:
    """Prints one line of JSON: a list of milliseconds, one for each count."""
    print(json.dumps(asyncio.run(_load(connections, seconds))))


async def _load(connections: int, seconds: float) -> list[float]:
    import aiohttp

    taken: list[float] = []
    gate = asyncio.Semaphore(50)  # so many handshakes at once
    begin = asyncio.get_running_loop().time() + 2 + connections / 150
    async with aiohttp.ClientSession() as session:
        work = [
            _sender(session, gate, f"load-{n:04}", begin + n / connections, seconds, taken)
            for n in range(connections)
        ]
        await asyncio.gather(*work)
    return taken


async def _sender(
    session: Any,
    gate: asyncio.Semaphore,
    app: str,
    begin: float,
    seconds: float,
    taken: list[float],
) -> None:
    loop = asyncio.get_running_loop()
    async with gate:
        socket = await session.ws_connect(URL, max_msg_size=0)
        last = await _handshake(socket, app)
    begin += max(0, int(loop.time() - begin + 1))  # late: join the beat
    for number in range(1, int(seconds) + 1):
        await _until(socket, begin + number)
        payload = {"count": last + number, "appID": app, "nodeID": "main"}
        sent = loop.time()
        answer = await _ask(socket, "count", payload, number)
        if answer != {"status": "accepted", "last": last + number}:
            raise SystemExit(f"{app}: {answer}")
        taken.append(1000 * (loop.time() - sent))
    await socket.close()


async def _handshake(socket: Any, app: str) -> int:
    await socket.receive()
    claim = {"appID": app, "nodeID": "main", "epoch": time.time_ns() // 1000, "run": f"{0:032x}"}
    token = TOKEN.read_text(encoding="ascii").strip()
    await socket.send_str("40" + json.dumps({**claim, "token": token}))
    reply = (await socket.receive()).data
    if not reply.startswith("40"):
        raise SystemExit(f"{app}: {reply}")
    last = (await _ask(socket, "resume", None, 0))["last"]
    return -1 if last is None else int(last)


async def _ask(socket: Any, event: str, payload: dict[str, Any] | None, number: int) -> Any:
    arguments: list[Any] = [event] if payload is None else [event, payload]
    await socket.send_str(f"42{number}{json.dumps(arguments)}")
    while True:
        text = (await socket.receive()).data
        if text == "2":
            await socket.send_str("3")
        elif text.startswith(f"43{number}["):
            return json.loads(text[text.index("[") :])[0]
        else:
            raise SystemExit(f"unexpected: {text}")


async def _until(socket: Any, at: float) -> None:
    """Sleeps, but answers pings."""
    loop = asyncio.get_running_loop()
    while (left := at - loop.time()) > 0:
        try:
            text = (await asyncio.wait_for(socket.receive(), left)).data
        except TimeoutError:
            return
        if text == "2":
            await socket.send_str("3")


def plain_server(port: int) -> None:
    """python-socketio as its manual shows it, on aiohttp."""
    import socketio
    from aiohttp import web

    server = socketio.AsyncServer(async_mode="aiohttp")

    async def count(_sid: str, _data: object) -> str:
        return "ok"

    server.on("count", count)
    app = web.Application()
    server.attach(app)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def plain_client(port: int, flight: int, seconds: float) -> None:
    """python-socketio's client, with so many events in flight."""
    import socketio

    client = socketio.Client()
    client.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
    free = threading.Semaphore(flight)
    acknowledged = 0

    def on_answer(*_: object) -> None:
        nonlocal acknowledged
        acknowledged += 1
        free.release()

    begin = time.monotonic()
    number = 0
    while (now := time.monotonic()) < begin + seconds:
        free.acquire()  # pylint: disable=consider-using-with  # the answer releases it
        number += 1
        payload = {"count": number, "appID": "plain", "nodeID": "main"}
        client.emit("count", payload, callback=on_answer)
    print(acknowledged / (now - begin))
    client.disconnect()


def main() -> None:
    """See above."""
    command, *arguments = sys.argv[1:]
    numbers = [int(argument) for argument in arguments]
    commands: dict[str, Callable[..., None]] = {
        "load": load,
        "plain-server": plain_server,
        "plain-client": plain_client,
    }
    commands[command](*numbers)


if __name__ == "__main__":
    main()
