"""A receiver that is none: says what it is told to say, and prints what it is told and sent.

    python3 -m tests.peers.fake_receiver PORT '{"resume": ANSWER, "count": ANSWER, "refuse": DATA}'

"refuse": each connection is refused with this data. "count" left out: each batch is accepted. An
answer that is {"pad": N} is a string of N characters.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

import socketio
from aiohttp import web


def application(says: Mapping[str, Any]) -> web.Application:
    """The server as an application of aiohttp."""
    server = socketio.AsyncServer(async_mode="aiohttp", max_http_buffer_size=1 << 30)
    app = web.Application()
    server.attach(app)

    async def on_connect(_sid: str, _environ: object, auth: object) -> None:
        print("told", json.dumps(auth), flush=True)
        if "refuse" in says:
            raise socketio.exceptions.ConnectionRefusedError("refused", _padded(says["refuse"]))

    async def on_resume(_sid: str, *_: object) -> object:
        return _padded(says["resume"])

    async def on_count(_sid: str, *batch: dict[str, object]) -> object:
        print("sent", json.dumps(batch[-1]), flush=True)
        accepted = {"status": "accepted", "last": batch[-1]["count"]}
        return _padded(says.get("count", accepted))

    for name, handler in (("connect", on_connect), ("resume", on_resume), ("count", on_count)):
        server.on(name, handler)
    return app


def _padded(answer: Any) -> Any:
    return "x" * answer["pad"] if isinstance(answer, dict) and "pad" in answer else answer


if __name__ == "__main__":
    web.run_app(application(json.loads(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]))
