"""What a program in the receiver's place can do to whoever asks it: nothing, for ever or in memory.

A limit that did not hold would keep a test from ending, or the program from being cut off.
"""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sendrecv.admin import ask, ask_port
from sendrecv.admin.exchange import NoAnswer
from sendrecv.errors import ReceiverUnavailable

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
SOON = 1.0
"""Seconds after which the answer is to be complete."""


@contextmanager
def in_its_place(answer: Callable[[socket.socket], None], scheme: str = "http") -> Iterator[str]:
    """The address of a program that answers one connection so, until it is cut off."""

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            try:
                answer(peer)
            except OSError:
                was_cut.set()

    was_cut = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()
    assert was_cut.is_set()


def again_and_again(first: bytes, data: bytes, pause: float) -> Callable[[socket.socket], None]:
    """Says that, and then the same for ever."""
    pauses = threading.Event()

    def answer(peer: socket.socket) -> None:
        peer.sendall(first)
        while not pauses.wait(pause):
            peer.sendall(data)

    return answer


def silent(peer: socket.socket) -> None:
    """Reads, until it is cut off."""
    while peer.recv(4096):
        pass
    raise ConnectionResetError


@pytest.mark.parametrize("first", [HEAD, b"HTTP/1.1 200 OK\r\n", b"H"])
def test_an_answer_without_end(first: bytes) -> None:
    with in_its_place(again_and_again(first, b" " * 65_536, 0.0)) as url:
        with pytest.raises(NoAnswer, match="its answer has more than 1000000 bytes"):
            ask_port.get(url, "/status", "x", "", most=1_000_000)


@pytest.mark.parametrize("first", [HEAD, b"HTTP/1.1 200 OK\r\n", b""])
def test_an_answer_that_comes_byte_by_byte(first: bytes) -> None:
    """No two bytes are far apart."""
    with in_its_place(again_and_again(first, b"\n", 0.01)) as url:
        with pytest.raises(NoAnswer, match="its answer takes too long|no answer"):
            ask_port.get(url, "/status", "x", "", whole=SOON)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_answer(scheme: str) -> None:
    """Neither to the request nor in the handshake."""
    with in_its_place(silent, scheme) as url:
        with pytest.raises(NoAnswer, match="^no answer$"):
            ask_port.get(url, "/status", "x", "", whole=SOON)


ZIPPED = gzip.compress(b'{"apps": {}}' + b" " * 10_000_000)
ODD = {
    "zipped": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + ZIPPED,
    "nested": HEAD + b"[" * 200_000,
    "a long number": HEAD + b"9" * 200_000,
    "a long status": b"HTTP/1.1 " + b"9" * 200_000 + b" OK\r\n\r\n{}",
    "no status": b"HTTP/1.1\r\n\r\n{}",
    "lines": b"\r\n" * 200_000,
}


@contextmanager
def answering(data: bytes, path: Path | None) -> Iterator[tuple[str, list[bytes]]]:
    """The address of a program that answers that, and the request that it gets."""
    requests: list[bytes] = []

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            requests.append(peer.recv(4096))
            peer.sendall(data)

    family = socket.AF_UNIX if path else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind(str(path) if path else ("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        port = f"http://127.0.0.1:{0 if path else listener.getsockname()[1]}"
        yield f"unix://{path}" if path else port, requests
        thread.join()


@pytest.mark.parametrize("by", ["port", "socket"])
@pytest.mark.parametrize("what", ODD)
def test_an_odd_answer_is_none(
    what: str, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "TOKEN", tmp_path / "token")
    (tmp_path / "token").write_text("a-token-of-our-own-machine\n", encoding="ascii")
    with answering(ODD[what], tmp_path / "socket" if by == "socket" else None) as (url, requests):
        with pytest.raises(ReceiverUnavailable, match="no answer|not a receiver's answer"):
            ask.receiver(url)
    assert b"\r\nAccept-Encoding: identity\r\n" in requests[0]


def test_what_is_packed_stays_so() -> None:
    with answering(ODD["zipped"], None) as (url, _):
        assert ask_port.get(url, "/status", "x", "") == ZIPPED
