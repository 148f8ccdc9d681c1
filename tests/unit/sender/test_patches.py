"""What a sender does when a library has changed: one line, and the App is served all the same.

Each case changes a copy of the libraries in a way that leaves them whole: only what sendrecv puts
in their place no longer fits. The receiver is the real one, with the libraries as they are.
"""

import importlib.metadata
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sendrecv.patching import Library
from sendrecv.sender import light_client, patched_engineio, patched_websocket
from tests.lab.reception import TOKEN, Reception
from tests.unit.planted import Change, plant, renamed, run

# Connects, counts three times, and is cut off for a later run of its App.
SCRIPT = """
import sys
from queue import SimpleQueue
from sendrecv.core.wire import Claim
from sendrecv.sender.connection import Connection, prepare
from tests.lab.waiting import HANG

url, token, app_id = sys.argv[1:]
events = SimpleQueue()

def connect(epoch):
    return Connection(url, token, epoch, Claim(app_id, "main", epoch, "1" * 32), events.put)

def next_event():
    event = events.get(timeout=HANG)
    return f"{type(event).__name__}-{event.connection}"

prepare(url)
first = connect(1)
print(next_event())
first.resume(-1)
print(next_event())
first.emit(0, 2)
print(next_event())
second = connect(2)
print(*sorted([next_event(), next_event()]))
first.close()
second.close()
"""
SERVED = ["Connected-1", "Resumed-1", "Answered-1", "Closed-1", "Connected-2"]
PACKAGES = ("socketio", "engineio", "websocket")
CASES: dict[str, tuple[Change, str]] = {
    "websocket opens": (renamed("_open_socket"), "no function websocket._http._open_socket"),
    "websocket opens with": (
        renamed("addrinfo_list", files="websocket/_http.py"),
        "websocket._http._open_socket(addrinfo_list_renamed, ",
    ),
    "websocket resolves": (
        renamed("_get_addrinfo_list"),
        "no function websocket._http._get_addrinfo_list",
    ),
    "websocket resolves with": (
        renamed("is_secure", files="websocket/_http.py"),
        "websocket._http._get_addrinfo_list(hostname, port, is_secure_renamed, proxy)",
    ),
    "websocket imports": (
        Change(
            "websocket/_http.py",
            {r"^import socket$": "import socket as net", r"(?<![.\w])socket\.(?=\w)": "net."},
        ),
        "no module socket in websocket._http",
    ),
    "websocket reads": (
        Change("websocket/*.py", {r"(?<![.\w])recv\b(?!\(self[,)])": "receive"}),
        "no function websocket._socket.recv",
    ),
    "websocket reads with": (
        renamed("bufsize", files="websocket/_socket.py"),
        "websocket._socket.recv(sock, bufsize_renamed)",
    ),
    "websocket reads by": (
        Change(
            "websocket/_socket.py", {r"sock\.recv\(bufsize\)": 'sock.makefile("rb", 0).read(1)'}
        ),
        "websocket._socket.recv ",
    ),
    "websocket heads": (
        renamed("read_headers"),
        "no function websocket._http.read_headers",
    ),
    "websocket heads by": (
        Change(
            "websocket/_handshake.py",
            {r"\bread_headers\(sock\)": "globals()['READ_HEADERS'.lower()](sock)"},
        ),
        "websocket._handshake._get_resp_headers does not use read_headers",
    ),
    "websocket lines": (renamed("recv_line"), "no function websocket._http.recv_line"),
    "websocket secures": (renamed("_ssl_socket"), "no function websocket._http._ssl_socket"),
    "websocket connects": (
        renamed("create_connection"),
        "no function websocket.create_connection",
    ),
    "websocket connects with": (
        Change("websocket/_core.py", {r"'socket'|\"socket\"": "'open_socket'"}),
        "WebSocket.connect does not use socket",
    ),
    "websocket measures": (renamed("recv_length"), "no function frame_buffer.recv_length"),
    "websocket joins": (renamed("cont_data"), "continuous_frame.add does not use cont_data"),
    "websocket times out": (
        renamed("WebSocketTimeoutException"),
        "no type websocket.WebSocketTimeoutException",
    ),
    "websocket locks": (
        Change("websocket/_core.py", {r"\bself\.lock\b": "self.send_lock"}),
        "WebSocket.send_frame does not use lock",
    ),
    "engineio holds": (
        Change("engineio/*client.py", {r"\bself\.ws\b": "self.websocket"}),
        "Client._read_loop_websocket does not use ws",
    ),
    "engineio reads": (
        Change(
            "engineio/*client.py", {r"\bself\.ws\.recv\(\)": "getattr(self.ws, 'RECV'.lower())()"}
        ),
        "Client._read_loop_websocket does not use recv",
    ),
    "engineio connects": (
        Change(
            "engineio/client.py",
            {r"websocket\.create_connection": "getattr(websocket, 'CREATE_CONNECTION'.lower())"},
        ),
        "Client._connect_websocket does not use create_connection",
    ),
    "engineio imports": (
        Change(
            "engineio/client.py",
            {
                r"(?<![\w.'])import websocket$": "import websocket as net",
                r"(?<![\w.'])websocket\.(?=[\w])": "net.",
                r"websocket is None": "net is None",
                r"websocket = None": "net = None",
            },
        ),
        "no module websocket in engineio.client",
    ),
    "engineio triggers": (renamed("_trigger_event"), "no function Client._trigger_event"),
    "engineio triggers by": (renamed("run_async"), "Client._trigger_event does not use run_async"),
    "engineio receives": (renamed("_receive_packet"), "no function Client._receive_packet"),
    "engineio receives with": (renamed("pkt"), "Client._receive_packet(self, pkt_renamed)"),
    "engineio sends": (
        Change("engineio/*client.py", {r"self\.queue\b": "self.packets"}),
        "Client._send_packet does not use queue",
    ),
    "engineio queues": (
        Change("engineio/client.py", {r"(\w+)\.Queue\(": r"vars(\1)['QUEUE'.title()]("}),
        "Client.create_queue does not use Queue",
    ),
    "engineio ends": (renamed("abort"), "Client.disconnect(self, abort_renamed"),
    "socketio holds": (renamed("eio"), "Client.__init__ does not use eio"),
    "socketio imports": (
        Change("websocket/_core.py", {r"^import struct$": "from http import HTTPMethod, client"}),
        "ImportError: cannot import name 'HTTPMethod'",
    ),
    "socketio asks": (
        Change("socketio/client.py", {r"^( +)if self\.connected:$": r"\1engineio.Server\n\g<0>"}),
        "it asks for engineio.Server",
    ),
}
LIBRARIES = (light_client.LIBRARY, patched_engineio.LIBRARY, patched_websocket.LIBRARY)


@pytest.fixture(scope="module")
def reception(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reception]:
    with Reception(tmp_path_factory.mktemp("reception")) as reception:
        yield reception


def play(reception: Reception, app_id: str, libraries: Path) -> tuple[list[str], list[str]]:
    """What happened to the connections, and the lines that the sender wrote."""
    host, port = reception.address
    done = reception.do(run, SCRIPT, f"http://{host}:{port}", TOKEN, app_id, libraries=libraries)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr.splitlines()


@pytest.mark.parametrize("name", CASES)
def test_what_has_changed_is_said_once_and_left_alone(
    reception: Reception, tmp_path: Path, name: str
) -> None:
    change, problem = CASES[name]
    plant(tmp_path, PACKAGES, change)
    events, lines = play(reception, name.replace(" ", "-"), tmp_path)
    assert events == SERVED, lines
    assert len(lines) == 1 and problem in lines[0] and lines[0].endswith(", ignoring"), lines
    library = next(each for each in LIBRARIES if lines[0].startswith(f"{each.distribution} "))
    assert library.version() in lines[0] and library.read[0] in lines[0]


# Tries to connect, and says what came of it.
TRIES = """
import sys
from queue import SimpleQueue
from sendrecv.core.wire import Claim
from sendrecv.sender.connection import Connection, prepare

url, token = sys.argv[1:]
events = SimpleQueue()
prepare(url)
connection = Connection(url, token, 1, Claim("a", "main", 1, "1" * 32), events.put)
print(events.get(timeout=60).reason)
connection.close()
"""
BY = {
    "tls": Change(
        "websocket/_http.py", {r"= _ssl_socket\(": "= globals()['_SSL_SOCKET'.lower()]("}
    ),
    "redirections": Change(
        "websocket/_core.py", {r"in SUPPORTED_REDIRECT_STATUSES": "in (301, 302, 303, 307, 308)"}
    ),
}
NOT_CHECKED = "this python3-websocket cannot be told which certificates to trust"
REDIRECTED = "this python3-websocket may be sent elsewhere, with the token"


@pytest.mark.parametrize(
    ("change", "scheme", "problem", "cause"),
    [
        (renamed("_ssl_socket"), "https", "no function websocket._http._ssl_socket", NOT_CHECKED),
        (BY["tls"], "https", "websocket._http.connect does not use _ssl_socket", NOT_CHECKED),
        *[
            (change, scheme, problem, REDIRECTED)
            for change, problem in (
                (renamed("SUPPORTED_REDIRECT_STATUSES"), "no tuple websocket._core.SUPPORTED_RED"),
                (BY["redirections"], "WebSocket.connect does not use SUPPORTED_REDIRECT_STATUSES"),
            )
            for scheme in ("http", "https")
        ],
    ],
)
def test_nobody_is_talked_to_if_the_token_is_not_safe(
    tmp_path: Path, change: Change, scheme: str, problem: str, cause: str
) -> None:
    plant(tmp_path, PACKAGES, change)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        done = run(TRIES, url, TOKEN, libraries=tmp_path)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert done.stdout == f"no receiver at {url} ({cause})\n", done.stderr
    (line,) = done.stderr.splitlines()
    assert problem in line


def test_nothing_is_said_of_libraries_as_they_are(reception: Reception, tmp_path: Path) -> None:
    assert play(reception, "as-they-are", tmp_path) == (SERVED, [])


@pytest.mark.parametrize("library", LIBRARIES, ids=[each.distribution for each in LIBRARIES])
def test_the_version_that_is_here_was_read(library: Library) -> None:
    assert importlib.metadata.version(library.distribution) in library.read
