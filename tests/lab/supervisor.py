"""What a process tells its service manager: the other end of $NOTIFY_SOCKET (sd_notify(3))."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Self

from tests.lab.waiting import HANG


class Supervisor:
    """Hears all notifications that are sent to `address`: unheard, they would fill the socket."""

    def __init__(self, directory: Path) -> None:
        """`directory`: where the socket is made, at `address`."""
        self.address = str(directory / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._heard: SimpleQueue[str] = SimpleQueue()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._socket.bind(self.address)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()

    def wait_for(self, text: str) -> list[str]:
        """The lines up to one that begins with `text`, which is the last; those are heard once."""
        return self.wait_until(lambda line: line.startswith(text))

    def wait_until(self, found: Callable[[str], bool]) -> list[str]:
        """As wait_for(), for a line that the function accepts. Raises queue.Empty after HANG, also
        if other lines are heard all the time, as from a process that pings its watchdog.
        """
        deadline = time.monotonic() + HANG
        lines: list[str] = []
        while not lines or not found(lines[-1]):
            lines.append(self._heard.get(timeout=max(deadline - time.monotonic(), 0)))
        return lines

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            for line in message.decode().splitlines():
                self._heard.put(line)
