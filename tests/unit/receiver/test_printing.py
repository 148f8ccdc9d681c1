"""The stream of the payloads: the next receiver waits for whoever reads it."""

import os
import socket
import threading
import time
from pathlib import Path

from sendrecv.receiver.printing import take_over, wait_until_read

WAITS = "waiting until journald has read what was printed before"


def test_what_was_printed_before_is_waited_for() -> None:
    """Until it is read: to the last byte, and not until there is no more to come."""
    journald, before = socket.socketpair()
    with journald:
        before.sendall(b"x" * 3000)
        said: list[str] = []
        waiting = threading.Thread(target=take_over, args=([before.detach()], said.append))
        waiting.start()
        assert len(journald.recv(2000, socket.MSG_WAITALL)) == 2000
        waiting.join(0.2)
        assert waiting.is_alive() and said == [WAITS]
        assert len(journald.recv(1000, socket.MSG_WAITALL)) == 1000
        waiting.join()
        assert journald.recv(1) == b"", "its descriptor is left open"


def test_nobody_waits_for_a_reader_that_is_gone() -> None:
    journald, before = socket.socketpair()
    before.sendall(b"x" * 3000)
    journald.close()
    take_over([before.detach()], print)


def test_the_end_of_a_receiver_does_not_wait_for_ever() -> None:
    journald, before = socket.socketpair()
    with journald, before:
        before.sendall(b"x")
        begun = time.monotonic()
        wait_until_read(before.fileno(), 0.1)
        assert time.monotonic() - begun >= 0.1


def test_what_is_no_socket_is_not_waited_for(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w", encoding="ascii") as file:
        file.write("x")
        file.flush()
        take_over([os.dup(file.fileno())], print)
