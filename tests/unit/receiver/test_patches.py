"""What the receiver does when a library has changed: it says so, and serves every sender.

Each case changes a copy of the libraries in a way that leaves them whole: only what sendrecv puts
in their place no longer fits. The peer speaks by hand, without any library.
"""

import importlib.metadata
import json
from pathlib import Path

import pytest

from sendrecv.patching import AIOHTTP, ENGINEIO, SOCKETIO, Library
from tests.unit.planted import Change, plant, renamed, run

# A sender that counts longer than an HTTP request may be, and leaves more messages unread than are
# read ahead; a later run of its App, for which it is cut off; and a peer without the token.
SCRIPT = """
import json, os, sys
from pathlib import Path
from tests.lab.reception import TOKEN, Reception, assert_sound
from tests.peers.peer import auth, payload

def admitted(epoch):
    peer = reception.peer()
    assert peer.open() == 101
    assert "sid" in (peer.connect(auth("a", TOKEN, epoch=epoch)) or {})
    return peer

def scenario():
    with admitted(1) as old:
        assert old.call("resume")["status"] == "accepted"
        for start in range(0, 4096, 512):
            batch = [payload(start + n, "a") for n in range(512)]
            assert old.call("count", *batch) == {"status": "accepted", "last": start + 511}
        for _ in range(200):
            old.emit("resume")
        assert old.answer()["last"] == 4095
        with admitted(2) as new:
            assert new.call("count", payload(4096, "a")) == {"status": "accepted", "last": 4096}
            assert old.read() == "41"
    with reception.peer() as peer:
        assert peer.open() == 101
        assert peer.connect(auth("b", "0" * 64))["data"] == {"reason": "token"}
    with reception.peer() as peer:
        assert peer.open() == 101
        peer.emit("count", payload(0, "b"))
        with reception.peer() as other:
            assert other.request("GET /healthz HTTP/1.1\\r\\nHost: a")[0] == 200

with Reception(Path(sys.argv[1])) as reception:
    reception.do(scenario)
    assert_sound(reception.printed(), reception.said(), TOKEN)
    print(json.dumps({"printed": len(reception.printed()), "said": reception.said()}), flush=True)
    os._exit(0)  # the end of all tasks is not what is tested
"""
PACKAGES = ("socketio", "engineio", "aiohttp")
PINGS = {r"\b_?send_ping\b": "ping_soon"}
# By the library that has changed.
CASES: dict[str, tuple[Change, list[str]]] = {
    "socketio decodes": (
        renamed("decode", files="socketio/*packet.py"),
        ["no function Packet.decode"],
    ),
    "socketio decodes with": (
        renamed("encoded_packet", files="socketio/*.py"),
        ["Packet.decode(self, encoded_packet_renamed)"],
    ),
    "socketio takes": (renamed("serializer", files="socketio/*.py"), ["does not use serializer"]),
    "socketio handles": (renamed("_handle_eio_message"), ["AsyncServer._handle_eio_message"]),
    "socketio makes": (renamed("packet_class"), ["does not use packet_class"]),
    "socketio holds": (
        renamed("eio", files="socketio/*.py"),
        ["AsyncServer has no eio"],
    ),
    "socketio types": (renamed("packet_type", files="socketio/*.py"), ["not use packet_type"]),
    "engineio wraps": (
        renamed("WebSocket", files="engineio/async_drivers/aiohttp.py"),
        ["no type engineio.async_drivers.aiohttp.WebSocket"],
    ),
    "engineio responds": (
        Change(
            "engineio/async_drivers/aiohttp.py",
            {
                r"import Response, WebSocketResponse$": "import Response, WebSocketResponse as New",
                r"= WebSocketResponse\(": "= New(",
            },
        ),
        ["WebSocket.__call__ does not use WebSocketResponse"],
    ),
    "engineio reads": (
        Change(
            "engineio/async_drivers/aiohttp.py",
            {r"self\._sock\.receive\(\)": 'getattr(self._sock, "_receive"[1:])()'},
        ),
        ["WebSocket.wait does not use receive"],
    ),
    "engineio translates": (
        renamed("translate_request", files="engineio/**/*.py"),
        ["no function engineio.async_drivers.aiohttp.translate_request"],
    ),
    "engineio takes bodies": (renamed("wsgi.input", "body"), ["does not use wsgi.input"]),
    "engineio takes sizes": (
        renamed("CONTENT_LENGTH", files="engineio/**/*.py"),
        ["does not use CONTENT_LENGTH"],
    ),
    "engineio knows the scheme": (
        renamed("wsgi.url_scheme", "scheme", files="engineio/**/*.py"),
        ["AsyncServer._cors_allowed_origins does not use wsgi.url_scheme"],
    ),
    "engineio posts": (renamed("handle_post_request"), ["no function AsyncSocket.handle_post_req"]),
    "engineio names": (renamed("AsyncSocket"), ["AsyncSocket", "AsyncSocket"]),
    "engineio keeps": (renamed("sockets", files="engineio/*.py"), ["no dict AsyncServer.sockets"]),
    "engineio handles": (
        renamed("handlers", files="engineio/*.py"),
        ["no dict AsyncServer.handlers"],
    ),
    "engineio triggers": (
        renamed("_trigger_event", files="engineio/*.py"),
        ["AsyncServer._trigger_event"],
    ),
    "engineio closes": (renamed("abort"), ["AsyncSocket.close has no argument abort"]),
    "engineio is closed": (
        Change("engineio/*.py", {r"\.closed\b": ".is_over"}),
        ["AsyncSocket.__init__ does not use closed"],
    ),
    "engineio queues": (
        Change("engineio/*socket.py", {r"\.queue\b": ".outbox"}),
        ["AsyncSocket.__init__ does not use queue"],
    ),
    "engineio makes queues": (renamed("create_queue"), ["no function AsyncServer.create_queue"]),
    "engineio connects": (
        renamed("_handle_connect", files="engineio/*.py"),
        ["AsyncServer._handle_connect does not use sockets"],
    ),
    "engineio calls": (
        renamed("handler", files="engineio/*server.py"),
        ["AsyncServer.on(self, event, handler_renamed)"],
    ),
    "engineio pings": (Change("engineio/*.py", PINGS), ["AsyncSocket.schedule_ping does not use"]),
    "engineio schedules": (renamed("schedule_ping"), ["no function AsyncSocket.schedule_ping"]),
    "engineio starts": (renamed("start_background_task"), ["start_background_task"]),
    "engineio receives": (
        renamed("pkt", files="engineio/*.py"),
        ["AsyncSocket.receive(self, pkt_"],
    ),
    "engineio has types": (renamed("PING", files="engineio/*.py"), ["PING"]),
    "aiohttp limits": (renamed("max_msg_size"), ["has no argument max_msg_size"]),
    "aiohttp pings": (renamed("autoping"), ["WebSocketResponse.__init__ has no argument autoping"]),
    "aiohttp prepares": (renamed("prepared"), ["no property WebSocketResponse.prepared"]),
    "aiohttp pongs": (renamed("pong"), ["no function WebSocketResponse.pong"]),
    "aiohttp receives": (
        Change(
            "aiohttp/web_ws.py",
            {r"def receive\(self, timeout": "def receive(self, wait", r"\btimeout or ": "wait or "},
        ),
        ["WebSocketResponse.receive(self, wait)"],
    ),
    "aiohttp names": (renamed("WSMessage"), ["no type aiohttp.WSMessage"]),
    "aiohttp has fields": (
        Change(
            "aiohttp/**/*.py",
            {r'"data", "extra"\]': '"data", "more"]', r"^    extra: (?=Optional)": "    more: "},
        ),
        ["WSMessage('type', 'data', 'more')"],
    ),
    "aiohttp unpacks": (
        Change(
            "aiohttp/web_protocol.py",
            {r"auto_decompress: bool": "unpack: bool", r"=auto_decompress\b": "=unpack"},
        ),
        ["RequestHandler.__init__ has no argument auto_decompress"],
    ),
}
LIBRARIES = {"aiohttp": AIOHTTP, "engineio": ENGINEIO, "socketio": SOCKETIO}


def play(directory: Path, libraries: Path) -> list[str]:
    """What the receiver says of its libraries."""
    done = run(SCRIPT, str(directory), libraries=libraries)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["printed"] == 4097
    return [line for line in done.stderr.splitlines() + result["said"] if " is not as " in line]


@pytest.mark.parametrize("name", CASES)
def test_what_has_changed_is_said_and_left_alone(tmp_path: Path, name: str) -> None:
    change, problems = CASES[name]
    libraries, directory = tmp_path / "libraries", tmp_path / "receiver"
    directory.mkdir()
    plant(libraries, PACKAGES, change)
    lines = play(directory, libraries)
    assert len(lines) == len(problems), lines
    library = LIBRARIES[name.split()[0]]
    for line, problem in zip(lines, problems, strict=True):
        assert problem in line and line.endswith(", ignoring"), line
        assert f"{library.distribution} {library.version()} is not as" in line


@pytest.mark.parametrize(
    ("file", "more", "library", "why"),
    [
        ("engineio/client.py", "import requests", "python-engineio", "requests"),
        ("socketio/base_manager.py", "import requests", "python-socketio", "requests"),
        (
            "aiohttp/web.py",
            "from .client import ClientSession",
            "aiohttp",
            "aiohttp.web uses a part",
        ),
        ("aiohttp/web.py", "from . import resolver", "aiohttp", "aiohttp.web uses a part"),
    ],
)
def test_a_library_that_needs_its_clients_modules_gets_them(
    tmp_path: Path, file: str, more: str, library: str, why: str
) -> None:
    plant(tmp_path, PACKAGES, Change(file, {r"^import logging$": f"import logging\n{more}"}))
    script = 'import sys; from sendrecv.cli import main; sys.argv[1:] = ["receive"]; main()'
    done = run(script, libraries=tmp_path)
    changed, unused = done.stderr.splitlines()
    assert changed.startswith(f"{library} ") and why in changed, changed
    assert unused == "sendrecv: no listening socket was handed over: start receiver.socket"


def test_nothing_is_said_of_libraries_as_they_are(tmp_path: Path) -> None:
    assert play(tmp_path, tmp_path) == []


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
def test_the_version_that_is_here_was_read(library: Library) -> None:
    assert importlib.metadata.version(library.distribution) in library.read
