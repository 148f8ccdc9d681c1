"""A receiver of the test's own, in this process: the real one, with socket and ledger."""

import asyncio
import contextlib
import io
import logging
import os
import re
import signal
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, ParamSpec, Self, TypeVar

from sendrecv.backoff import Backoff
from sendrecv.descriptors import Listener
from sendrecv.receiver.crowds import Limits
from sendrecv.receiver.journal import JournalReader
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.loop import Ports, Receiver
from sendrecv.receiver.main import serve
from sendrecv.receiver.mark import Mark
from sendrecv.receiver.printing import Printer, wait_for_stdout, write_to_stdout
from sendrecv.receiver.secrets import Secrets
from sendrecv.receiver.tls import Identity
from sendrecv.systemd import Notifier
from tests.peers.peer import Peer

TOKEN = "0123456789abcdef" * 4
BOOT = "b" * 32
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Reception:
    """The receiver; what it prints goes to files, and peers of do() run beside its event loop.

    One at a time in a process: it is stopped by a signal.
    """

    def __init__(
        self,
        directory: Path,
        max_connections: int = 256,
        more: Sequence[Listener] = (),
        tokens: str = TOKEN,
        identity: Path = Path("/nonexistent"),
    ) -> None:
        """`directory`: an empty one, for the ledger and what is printed. more: sockets that listen,
        besides the one at `address`. tokens: the text of the token file.
        identity: certificate and key.
        """
        self._tokens = tokens
        self._identity = Identity(str(identity))
        self._directory = directory
        self._max_connections = max_connections
        tcp = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listeners = [Listener("receiver-tcp", tcp.detach()), *more]
        self._held = contextlib.ExitStack()
        self._errors = io.StringIO()
        self.address = ("", 0)
        self.receiver: Receiver
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[None]
        self._printed: IO[bytes]

    def __enter__(self) -> Self:
        with self._held:
            self._keep_logging()
            self._printed = self._held.enter_context((self._directory / "printed").open("ab"))
            for listener in self._listeners:
                self._held.enter_context(listener)
                listener.setblocking(False)
                # What a peer does not read is then not kept by the kernel, in megabytes, for long.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            self.address = self._listeners[0].getsockname()
            self._loop = asyncio.new_event_loop()
            writer = self._held.enter_context(ThreadPoolExecutor(1))
            mark = Mark(self._directory / "mark", BOOT)
            printer = Printer(mark, write_to_stdout, wait_for_stdout)
            ledger = Ledger(self._directory, BOOT)
            nobody = JournalReader(str(self._directory / "nobody"))
            ports = Ports(ledger, silent_notifier(), writer, printer, Backoff(""), nobody)
            self.receiver = Receiver(ports)
            with self._output():
                secrets = Secrets(self._tokens)
            work = serve(
                self.receiver,
                self._listeners,
                secrets,
                Limits(self._max_connections, self._max_connections),
                self._identity,
            )
            self._task = self._loop.create_task(work)
            self._held.callback(self._stop)
            self.do(lambda: self.peer().close())
            self._held = self._held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def do(
        self,
        work: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        """Calls a function that talks to the receiver, which runs meanwhile, and only then."""

        async def call() -> Result:
            called = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **named))
            await asyncio.wait([called, self._task], return_when=asyncio.FIRST_COMPLETED)
            if not called.done():
                self._task.result()
            return await called

        with self._output():
            return self._loop.run_until_complete(call())

    def peer(self, timeout: float = 120, receive_buffer: int = 0) -> Peer:
        """A connection to it. For use in do() only."""
        return Peer(self.address, timeout, receive_buffer)

    def turn(self) -> None:
        """Waits until its event loop has read what was sent to it before. For use in do() only."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), self._loop).result()

    def printed(self) -> list[str]:
        """The lines on its standard output."""
        text = (self._directory / "printed").read_text(encoding="utf-8")
        assert not text or text.endswith("\n"), "half a line was printed"
        return text.splitlines()

    def said(self) -> list[str]:
        """The lines on its standard error: a severity and what it complains of."""
        return self._errors.getvalue().splitlines()

    @contextlib.contextmanager
    def _output(self) -> Iterator[None]:
        """The receiver's, while it runs; at other times that of the tests."""
        before, errors = os.dup(1), os.fstat(2)
        os.environ["JOURNAL_STREAM"] = f"{errors.st_dev}:{errors.st_ino}"  # so severities are there
        try:
            os.dup2(self._printed.fileno(), 1)
            with contextlib.redirect_stderr(self._errors):
                yield
        finally:
            del os.environ["JOURNAL_STREAM"]
            os.dup2(before, 1)
            os.close(before)

    def _keep_logging(self) -> None:
        root = logging.getLogger()
        self._held.callback(setattr, root, "handlers", root.handlers[:])
        self._held.callback(root.setLevel, root.level)
        root.handlers = []  # the receiver takes over, and would close those that are there

    def _stop(self) -> None:
        """As systemd does it; then whatever the libraries still have running."""
        os.kill(os.getpid(), signal.SIGTERM)
        with self._output():
            self._loop.run_until_complete(self._task)
        close(self._loop)


def close(loop: asyncio.AbstractEventLoop) -> None:
    """Also if a library has tasks that do not end."""
    for _ in range(20):  # engineio's tasks swallow being cancelled, but not for ever
        left: set[asyncio.Task[Any]] = asyncio.all_tasks(loop)
        if not left:
            break
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left, timeout=0.1))
    loop.close()


_LINE = re.compile(
    r'\{"count": (\d+), "appID": "([A-Za-z0-9._:@-]+)", "nodeID": "[A-Za-z0-9._:@-]+"\}'
)


def assert_sound(printed: Sequence[str], said: Sequence[str], token: str) -> None:
    """One payload a line, each count once and in order; one complaint a line, without the token."""
    last: dict[str, int] = {}
    assert printed, "nothing was printed at all"
    for line in printed:
        found = _LINE.fullmatch(line)
        assert found, line
        count, app_id = int(found[1]), found[2]
        assert count == last.get(app_id, count - 1) + 1, line
        last[app_id] = count
    for line in said:
        assert re.fullmatch(r"<[3-5]>[ -~]{1,400}", line), line
        assert token[:16] not in line, line


def silent_notifier() -> Notifier:
    """One that has nobody to tell; sdnotify then leaves its socket to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        return Notifier()
