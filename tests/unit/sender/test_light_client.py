"""Each in an interpreter of its own: what is imported can only be imported once."""

import subprocess
import sys

import pytest

START = "from sendrecv.sender.light_client import socketio_client; import sys; "
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
    unused = (
        "requests aiohttp inspect typing ssl hashlib http.client http.cookies email logging"
        " traceback ipaddress random"
    )
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


def test_what_is_deferred_is_imported_when_it_is_used() -> None:
    code = (
        "parse = sys.modules['urllib.parse']; "
        "print('ipaddress' in sys.modules, parse.urlsplit('http://[::1]:80/').hostname, "
        "sys.modules['ipaddress'].ip_address('::1').is_loopback, "
        "sys.modules['websocket._cookiejar'].http.cookies.SimpleCookie('a=b')['a'].value, "
        "sys.modules['websocket._logging'].logging.CRITICAL, sys.modules['logging'].CRITICAL)"
    )
    assert run(USE.format(tls=False) + code) == "False ::1 True b 50 50"


def test_a_connection_is_abandoned_that_has_no_socket_yet() -> None:
    """engineio is connected before it has one: found by the fuzzer, on a busy machine."""
    code = (
        "from queue import Queue; from sendrecv.sender.light_client import abandon; "
        "below = client.eio; below.queue = Queue(); "
        "below.state, below.current_transport = 'connected', 'websocket'; "
        "abandon(client); print(below.state)\n"
        "class Broken:\n"
        "    def close(self): raise AttributeError('its own')\n"
        "below.state, below.ws = 'connected', Broken()\n"
        "try: abandon(client)\n"
        "except AttributeError as error: print(error)"
    )
    assert run(USE.format(tls=False) + code) == "disconnecting\nits own"


def test_a_bad_address_in_brackets_is_refused_as_ever() -> None:
    code = (
        "import urllib.parse\ntry: urllib.parse.urlsplit('http://[nonsense]/')\n"
        "except ValueError as error: print(error)"
    )
    light = run(f"socketio_client(tls=False); {code}")
    assert light == run(code) != ""


def test_a_socket_for_tls_is_made_of_the_real_one() -> None:
    code = "import socket, ssl; print(ssl.SSLSocket.__bases__ == (socket.socket,), socket.socket)"
    assert run(USE.format(tls=True) + code) == "True <class 'socket.socket'>"


def test_modules_that_stood_aside_are_back() -> None:
    code = (
        "from sendrecv.sender.light_client import Deferred, InPlace; import json, types\n"
        "with InPlace({'json': None, 'string': Deferred('string', digits='none')}):\n"
        "    import string as deferred\n"
        "    assert sys.modules['json'] is None\n"
        "import string\n"
        "print(sys.modules['json'] is json, deferred is string, deferred.digits, string.digits,"
        " deferred.ascii_lowercase == string.ascii_lowercase)"
    )
    assert run(code) == "True False none 0123456789 True"


def test_a_module_that_is_fetched_meanwhile_stays() -> None:
    code = (
        "from sendrecv.sender.light_client import Deferred, InPlace\n"
        "with InPlace({'string': Deferred('string')}):\n"
        "    import string as deferred\n"
        "    real = deferred.Template.__module__ and sys.modules['string']\n"
        "import string\n"
        "print(real is not deferred, string is real)"
    )
    assert run(code) == "True True"


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
    code = (
        "from sendrecv.sender import light_client as it; "
        "it._stand_ins = lambda tls: {'socket': None}; "
    )
    assert run(code + USE.format(tls=False) + "print(type(client).__module__)") == "socketio.client"
