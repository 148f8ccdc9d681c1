"""Runs journalctl on the files that are held, and notices if it has not read all of them.

journalctl reads the journal files and writes the export format. Measured on a day of 864,000 lines:
journalctl's export takes 5.7 s, and a second core parses it meanwhile, also in 5.7 s.
python3-systemd's Reader takes 8.4 s in one process, its private methods 2.1 s. journalctl's JSON
takes 19 s before any parsing. With the export there is one parser for all sources, no private
interface, and a command that anyone can repeat.

journalctl may end with status 0 although it could not read a file; then it says so on its standard
error. Or it is killed, and says nothing. Both are told as Missing, at an unknown place.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, cast

from sendrecv.errors import UsageError
from sendrecv.proof.read.export import ExportError, Stream, entries
from sendrecv.proof.read.files import Held, Vanished
from sendrecv.proof.statements import Missing

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
PIPE = 1 << 20
PATIENCE = 5
"""Seconds for `journalctl --sync`. It takes 10 ms, but does not end during a flood of lines."""


@dataclass
class Journalctl:
    """journalctl, for some open files. What it could not read is added to `missing`."""

    held: Held
    missing: list[Missing]
    address_space: int = 0
    """The limit of its address space in bytes, 0: none. It maps as much of the files as it may."""

    def text(self, *options: str) -> str:
        """What it prints. "" if there is no file: it would read this machine's journal then."""
        if not self.held.descriptors:
            return ""
        with self._started(options) as process:
            output = process.stdout.read() if process.stdout else b""
        return self.held.named(output.decode("utf-8", "replace"))

    def entries(self, *options: str) -> Iterator[bytes]:
        """The entries, as export.entries() has them."""
        if not self.held.descriptors:
            return
        with self._started([*options, "--output=export"]) as process:
            pipe = _widen(cast(IO[bytes], process.stdout))
            yield from checked(cast(Stream, pipe), "journalctl", self.missing)

    def first(self, *options: str) -> bytes | None:
        """The first of the entries."""
        if not self.held.descriptors:
            return None
        with self._started([*options, "--output=export"], killed=True) as process:
            return next(checked(cast(Stream, process.stdout), "journalctl", self.missing), None)

    def verify(self, key: str = "") -> str:
        """What `--verify` says of each file, and of its seals if there is a key."""
        with_key = [f"--verify-key={key}"] if key else []
        command = ["journalctl", *self.held.options(), "--verify", *with_key]
        descriptors = tuple(self.held.descriptors.values())
        if not descriptors:
            return ""
        done = subprocess.run(
            command,
            capture_output=True,
            env=ENVIRONMENT,
            pass_fds=descriptors,
            check=False,
        )
        if done.returncode and self.held.vanished():
            raise Vanished
        return self.held.named((done.stdout + done.stderr).decode("utf-8", "replace"))

    @contextlib.contextmanager
    def _started(
        self, options: Sequence[str], *, killed: bool = False
    ) -> Iterator[subprocess.Popen[bytes]]:
        """`killed`: it is killed before its end."""
        limit = ["prlimit", f"--as={self.address_space}"] if self.address_space else []
        command = [*limit, "journalctl", "--quiet", "--no-pager", *self.held.options(), *options]
        with os.fdopen(os.memfd_create("errors"), "w+b") as errors:
            with _popen(command, errors, tuple(self.held.descriptors.values())) as process:
                try:
                    yield process
                    _end(process, killed)
                finally:
                    process.kill()
            errors.seek(0)
            self._look_at_its_end(process.returncode, errors.read(), killed)

    def _look_at_its_end(self, status: int, errors: bytes, killed: bool) -> None:
        failed = status != 0 and not (killed and status < 0)
        if failed and self.held.vanished():
            raise Vanished
        said = self.held.named(errors.decode("utf-8", "replace"))
        lines = [f"journalctl: {line}" for line in said.split("\n") if line.strip()]
        if failed and not lines:
            lines = [f"journalctl ended with status {status}"]
        found = [Missing(line, somewhere=True) for line in lines]
        self.missing += [one for one in found if one not in self.missing]  # each call says it again


def _end(process: subprocess.Popen[bytes], killed: bool) -> None:
    """Wait for its end. Its output is closed first: it must not wait for a reader."""
    if killed:
        process.kill()
    if process.stdout:
        process.stdout.close()
    process.wait()


def _popen(
    command: list[str], errors: IO[bytes], descriptors: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=errors, pass_fds=descriptors
        )
    except FileNotFoundError:
        raise UsageError("journalctl is not installed") from None


def _widen(pipe: IO[bytes]) -> IO[bytes]:
    """Make the pipe larger. With the usual 64 KiB, one end would always wait for the other."""
    with contextlib.suppress(OSError):  # a hardened kernel may allow less
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
    return pipe


def checked(stream: Stream, name: str, missing: list[Missing]) -> Iterator[bytes]:
    """The stream's entries. If it is damaged or cut off: those before, and a Missing."""
    try:
        yield from entries(stream)
    except (ExportError, EOFError, zlib.error, OSError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else error
        missing.append(Missing(f"{name}: not read to its end: {what}", somewhere=True))


def sync() -> str:
    """Make journald write what it was sent a moment ago. Returns why it did not, or ""."""
    command = ["journalctl", "--sync"]
    try:
        subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=False, timeout=PATIENCE)
    except FileNotFoundError:
        raise UsageError("journalctl is not installed") from None
    except subprocess.TimeoutExpired:
        text = f"journald is busy: in {PATIENCE} s it did not write all that it was told"
        return f"{text}; the last moments are not in this verdict"
    return ""
