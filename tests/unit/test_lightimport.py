"""Each in an interpreter of its own: what is imported can only be imported once."""

import subprocess
import sys

import pytest

START = "from sendrecv.lightimport import socketio_client; import sys; "
USE = "client = socketio_client(tls={tls}).Client(reconnection=False, handle_sigint=False); "


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", START + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("tls", [True, False])
def test_the_client_is_the_real_one(tls: bool) -> None:
    assert run(USE.format(tls=tls) + "print(type(client).__module__)") == "socketio.client"


def test_what_a_sender_never_uses_is_not_imported() -> None:
    unused = "requests aiohttp inspect typing ssl hashlib http.client email"
    code = f"print([name for name in '{unused}'.split() if name in sys.modules])"
    assert run(USE.format(tls=False) + code) == "[]"


def test_tls_has_the_real_ssl() -> None:
    code = "print(sys.modules['engineio.client'].ssl.create_default_context.__name__)"
    assert run(USE.format(tls=True) + code) == "create_default_context"


def test_what_is_imported_later_is_the_real_thing() -> None:
    code = (
        "import hashlib, hmac, http.client, http.cookies, ssl, typing; "
        "print(hashlib.sha256(b'').hexdigest()[:4], http.HTTPStatus(200).name, http.client.OK, "
        "http.cookies.SimpleCookie('a=b')['a'].value, typing.Optional[int], "
        "hmac.new(b'', b'', 'sha1').digest_size, ssl.CERT_NONE)"
    )
    assert run(USE.format(tls=False) + code).startswith("e3b0 OK 200 b typing.Optional[int] 20")


def test_the_accept_key_is_checked() -> None:
    """RFC 6455, section 1.3, has this pair of keys."""
    code = (
        "from websocket._handshake import _validate as check; "
        "key, accept = 'dGhlIHNhbXBsZSBub25jZQ==', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='; "
        "headers = {'upgrade': 'websocket', 'connection': 'upgrade'}; "
        "print([check({**headers, 'sec-websocket-accept': given}, key, None)[0] "
        "for given in (accept, 'x' + accept[1:])])"
    )
    assert run(USE.format(tls=False) + code) == "[True, False]"


def test_a_version_that_needs_more_is_imported_plainly() -> None:
    code = "from sendrecv import lightimport as it; it._stand_ins = lambda tls: {'socket': None}; "
    assert run(code + USE.format(tls=False) + "print(type(client).__module__)") == "socketio.client"


def test_the_receiver_does_without_the_clients_modules() -> None:
    code = (
        "from sendrecv.lightimport import without_clients\n"
        "with without_clients():\n    from sendrecv import receive\n"
        "print(receive.Gateway, [n for n in ('requests', 'websocket') if n in sys.modules])\n"
        "import requests, websocket; print(requests.get.__name__, websocket.WebSocket.__name__)"
    )
    assert run(code).splitlines() == ["<class 'sendrecv.gateway.Gateway'> []", "get WebSocket"]
