"""What the service manager hands over, on real sockets and descriptors."""

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sendrecv import descriptors

# Puts the descriptors it is given at 3, 4, ..., as systemd does, and asks for one by its name.
# Says where that one listens, whether it blocks, and what is left of the variables.
INHERIT = """
import os, sys
from sendrecv import descriptors
from sendrecv.errors import UsageError

pid, names, wanted, *given = sys.argv[1:]
for target, descriptor in enumerate(given, 3):
    os.dup2(int(descriptor), target)
os.environ.update(LISTEN_PID=pid or str(os.getpid()), LISTEN_FDS=str(len(given)))
os.environ["LISTEN_FDNAMES"] = names
try:
    for listener in descriptors.listening_sockets(*wanted.split()):
        print(listener.getsockname()[1], listener.getblocking(), end=" ")
except UsageError as error:
    print(error, end=" ")
print([name for name in os.environ if name.startswith("LISTEN_")])
"""


# What a process hands to the next one.


def test_the_next_process_has_what_was_stored(manager: socket.socket) -> None:
    one, other = socket.socketpair()
    with one, other:
        descriptors.store("stdout", one.fileno())
        assert manager.recv(100) == b"FDSTOREREMOVE=1\nFDNAME=stdout"
        text, (stored, *more), _, _ = socket.recv_fds(manager, 100, 4)
        assert text == b"FDSTORE=1\nFDNAME=stdout" and not more
        assert os.path.sameopenfile(stored, one.fileno())
        os.close(stored)


def test_nothing_is_stored_where_nobody_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    descriptors.store("stdout", 0)


@pytest.mark.parametrize(
    ("names", "count", "found"),
    [
        ("receiver:stdout", "2", [4]),
        ("receiver:stdout:stdout", "3", [4, 5]),
        ("receiver:stdout", "1", []),
        ("receiver", "1", []),
        ("stdout", "many", []),
    ],
)
def test_what_is_stored_has_a_name(
    names: str, count: str, found: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid, expected in ((os.getpid(), found), (1, [])):
        monkeypatch.setenv("LISTEN_PID", str(pid))
        monkeypatch.setenv("LISTEN_FDS", count)
        monkeypatch.setenv("LISTEN_FDNAMES", names)
        assert descriptors.stored("stdout") == expected


# The inherited socket.


def inherit(names: str, wanted: str, listeners: list[socket.socket], pid: str = "") -> str:
    """What a child says that inherits these sockets under these names."""
    copies = [os.dup(listener.fileno()) for listener in listeners]
    # Above 3, 4, ..., which the child puts them at.
    high = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in copies]
    try:
        command = [sys.executable, "-c", INHERIT, pid, names, wanted, *map(str, high)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, pass_fds=high)
    finally:
        for number in (*copies, *high):
            os.close(number)
    return done.stdout.strip()


@pytest.fixture(name="listeners")
def fixture_listeners() -> Iterator[list[socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        yield [one, two]


@pytest.mark.parametrize(
    ("names", "which"), [("receiver", 0), ("unknown", 0), ("receiver:x", 0), ("x:receiver", 1)]
)
def test_the_socket_is_chosen_by_its_name(
    listeners: list[socket.socket], names: str, which: int
) -> None:
    handed = listeners[: names.count(":") + 1]
    port = listeners[which].getsockname()[1]
    assert inherit(names, "receiver", handed) == f"{port} False []"


@pytest.mark.parametrize("names", ["receiver:receiver", "unknown:unknown"])
def test_each_socket_of_that_name_is_handed_over(
    listeners: list[socket.socket], names: str
) -> None:
    one, two = (listener.getsockname()[1] for listener in listeners)
    assert inherit(names, "receiver", listeners) == f"{one} False {two} False []"


def test_sockets_of_several_units_keep_their_names_apart(listeners: list[socket.socket]) -> None:
    one, two = (listener.getsockname()[1] for listener in listeners)
    assert inherit("a:b", "b a", listeners) == f"{one} False {two} False []"
    assert inherit("a:b", "b", listeners) == f"{two} False []"
    assert inherit("ab:b", "a ab", listeners) == f"{one} False []"


def test_what_nobody_can_connect_to_is_left_out(listeners: list[socket.socket]) -> None:
    port = listeners[0].getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket() as idle:
        handed = [datagrams, listeners[0], idle]
        assert inherit("receiver:receiver:receiver", "receiver", handed) == f"{port} False []"
        none = "no socket called receiver was handed over: see receiver.socket []"
        assert inherit("receiver:receiver", "receiver", [datagrams, idle]) == none


def test_a_socket_that_was_not_handed_over(listeners: list[socket.socket]) -> None:
    none = "no listening socket was handed over: start receiver.socket []"
    other = "no socket called receiver was handed over: see receiver.socket []"
    assert inherit("receiver", "receiver", listeners[:1], pid="1") == none
    assert inherit("x:y", "receiver", listeners) == other
    assert inherit("", "receiver", []) == other
    assert inherit("", "receiver", listeners[:1]) == other
