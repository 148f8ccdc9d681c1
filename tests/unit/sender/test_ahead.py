"""A connection that is opened ahead is used once, and nobody waits for one that does not open."""

import socket
import threading
from collections.abc import Iterator

import pytest

from sendrecv.sender.ahead import Ahead
from tests.lab.waiting import wait_until


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    wait_until(lambda: threading.active_count() <= before, "its threads end")


@pytest.fixture(name="pair")
def fixture_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def is_closed(one: socket.socket) -> bool:
    return one.fileno() < 0


def test_it_is_taken_once(pair: tuple[socket.socket, socket.socket]) -> None:
    ahead = Ahead(lambda: pair[0])
    assert ahead.taken() is None
    ahead.begin()
    assert ahead.taken() is pair[0]
    assert ahead.taken() is None
    ahead.close()
    assert not is_closed(pair[0])


def test_what_cannot_be_opened_is_none() -> None:
    def fails() -> socket.socket:
        raise ConnectionRefusedError

    ahead = Ahead(fails)
    ahead.begin()
    assert ahead.taken() is None


@pytest.mark.parametrize("how", ["closed", "begun again"])
@pytest.mark.parametrize("is_open", [True, False])
def test_what_nobody_wants_is_closed(
    pair: tuple[socket.socket, socket.socket], how: str, is_open: bool
) -> None:
    """Whether it is open by then, or opens later."""
    may_open, is_opened = threading.Event(), threading.Event()
    others = iter([pair[0], pair[1]])

    def opens() -> socket.socket:
        one = next(others)
        if one is pair[0]:
            may_open.wait()
        is_opened.set()
        return one

    ahead = Ahead(opens)
    if is_open:
        may_open.set()
    ahead.begin()
    if is_open:
        is_opened.wait()
        wait_until(lambda: threading.active_count() == 1 or not _attempts(), "it is open")
    if how == "closed":
        ahead.close()
    else:
        ahead.begin()
        assert ahead.taken() is pair[1]
    may_open.set()
    wait_until(lambda: is_closed(pair[0]), "it is closed")


def _attempts() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]
