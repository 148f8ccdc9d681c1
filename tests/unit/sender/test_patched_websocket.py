"""Against the kernel's own sockets."""

import socket
from collections.abc import Iterator

import pytest

from sendrecv.sender import patched_websocket

Pair = tuple[patched_websocket.QuickSocket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with patched_websocket.QuickSocket(socket.AF_INET, socket.SOCK_STREAM) as quick:
            quick.settimeout(120)
            quick.connect(listener.getsockname())
            peer, _ = listener.accept()
            with peer:
                yield quick, peer


def test_bytes_come_in_order_however_they_are_asked_for(pair: Pair) -> None:
    quick, peer = pair
    sent = bytes(range(256)) * 64
    peer.sendall(sent)
    peer.close()
    found = b""
    for size in (1, 1, 2, 100, 5000, 3, 4096, 1):
        found += quick.recv(size)
    while data := quick.recv(7):
        assert len(data) <= 7
        found += data
    assert found == sent


def test_what_came_at_once_is_read_with_one_call(pair: Pair) -> None:
    quick, peer = pair
    peer.sendall(b"HTTP/1.1 101\r\n\r\n")
    assert quick.recv(1) == b"H"
    # Nothing is left in the kernel.
    quick.setblocking(False)
    with pytest.raises(BlockingIOError):
        socket.socket.recv(quick, 1)
    assert quick.recv(100) == b"TTP/1.1 101\r\n\r\n"
    with pytest.raises(BlockingIOError):
        quick.recv(1)


def test_the_end_and_a_time_out_are_the_kernels(pair: Pair) -> None:
    quick, peer = pair
    quick.settimeout(0.01)
    with pytest.raises(TimeoutError):
        quick.recv(1)
    peer.close()
    assert quick.recv(1) == b""


def test_all_else_is_the_real_module() -> None:
    module = patched_websocket.stand_in()
    assert getattr(module, "socket") is patched_websocket.QuickSocket
    for name in ("timeout", "SOCK_STREAM", "create_connection"):
        assert getattr(module, name) is getattr(socket, name)
    getaddrinfo = getattr(module, "getaddrinfo")
    there = ("localhost", 80, 0, socket.SOCK_STREAM)
    assert getaddrinfo(*there) == socket.getaddrinfo(*there)
    assert getaddrinfo(None, 80) == socket.getaddrinfo(None, 80)
    with pytest.raises(socket.gaierror):
        getaddrinfo("a.invalid", 80)
    # A name that is not ASCII is IDNA's.
    with pytest.raises(UnicodeError):
        getaddrinfo("ä" * 70, 80)
