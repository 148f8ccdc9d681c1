"""Real journal files and a chain, read by the commands as those of this machine.

systemd-journal-remote writes the files. In a mount namespace of its own a command sees them in
/var/log/journal and the chain in /var/lib/sendrecv-audit. Needs root.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from sendrecv.proof.evidence import time_of
from sendrecv.proof.read.export import Stream
from sendrecv.proof.read.export import entries as exported
from tests.bench.proof import REMOTE, TOP

MACHINE = "17c1ec673c864210973f6e398499b06d"
"""As in proof.py."""

NOBODY = 65534
AUDITOR = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
"""Root would hand over to the package's user, who is not here."""

# What a command sees of the machine. $1: its journal, $2: its chain, $3: a file with its ID.
_SEEN = f"""
set -e
mount -t tmpfs tmpfs /var/log
mount -t tmpfs tmpfs /var/lib
mkdir -p /var/log/journal/{MACHINE} /var/lib/sendrecv-audit
mount --bind "$1" /var/log/journal/{MACHINE}
mount --bind "$2" /var/lib/sendrecv-audit
mount --bind "$3" /etc/machine-id
test ! -d /run/log/journal || mount -t tmpfs tmpfs /run/log/journal
shift 3
exec "$@"
"""
# Its time and memory go to standard error, as the last line.
_MEASURED = """
import json, re, resource, sys
from sendrecv import cli
sys.argv = ["sendrecv", *sys.argv[1:]]
try:
    status = cli.main()
except SystemExit as end:
    status = end.code
sys.stdout.flush()
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu = sum(one.ru_utime + one.ru_stime for one in used)
# Not ru_maxrss: that begins with the memory of whoever started this.
own = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(json.dumps([cpu, (own + used[1].ru_maxrss) >> 10]), file=sys.stderr)
sys.exit(status)
"""


@dataclass(frozen=True)
class Ran:
    """A command that has ended. cpu: with what it started, in seconds. memory: MiB, likewise."""

    status: int
    output: str
    errors: str
    seconds: float
    cpu: float
    memory: int


class Journal:
    """The journal of this machine. `entries()` reads back what is in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def write(self, entries: Iterable[bytes]) -> None:
        """Append these, which are as export.entries() yields them."""
        with self.writer() as output:
            for entry in entries:
                output.write(entry[1:] + b"\n")

    @contextmanager
    def writer(self) -> Iterator[IO[bytes]]:
        """Takes what is to be appended, in the export format."""
        if not REMOTE.exists():
            sys.exit("systemd-journal-remote makes the journal files: apt-get install it")
        command = [str(REMOTE), f"--output={self.directory}/system.journal", "-"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as remote:
            output = cast(IO[bytes], remote.stdin)
            yield output
            output.close()
        if remote.returncode:
            sys.exit(f"systemd-journal-remote: exit {remote.returncode}")

    def split(self, wall: int) -> tuple[list[bytes], list[bytes]]:
        """Its entries before that time, and the others."""
        command = ["journalctl", f"--directory={self.directory}", "--output=export", "--quiet"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            before: list[bytes] = []
            after: list[bytes] = []
            for entry in exported(cast(Stream, process.stdout)):
                (before if time_of(entry).wall < wall else after).append(entry)
        return before, after

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(path.stat().st_size for path in self.directory.iterdir())


def give(journal: Journal, chain: Path) -> None:
    """Let the audit's user read the journal, and write the chain."""
    for path in journal.directory.iterdir():
        path.chmod(0o644)
    for path in (chain, *chain.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    for path in (journal.directory.parent, journal.directory.parent.parent):
        path.chmod(0o755)


def run(journal: Journal, chain: Path, *arguments: str) -> Ran:
    """`sendrecv`, with that journal and that chain."""
    if arguments[0] == "audit":
        give(journal, chain)
    machine = journal.directory.with_name("machine-id")
    machine.write_text(f"{MACHINE}\n", encoding="ascii")
    seen = ["unshare", "--mount", "sh", "-c", _SEEN, "sh", str(journal.directory), str(chain)]
    who = AUDITOR if arguments[0] == "audit" else []
    command = [*seen, str(machine), *who, sys.executable, "-c", _MEASURED, *arguments]
    began = time.monotonic()
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    *errors, used = done.stderr.splitlines() or [""]
    try:
        cpu, memory = json.loads(used)
    except ValueError:
        sys.exit(f"{arguments}: exit {done.returncode}: {done.stderr}{done.stdout[-2000:]}")
    return Ran(done.returncode, done.stdout, "\n".join(errors), seconds, cpu, memory)


def may() -> bool:
    """Whether that is possible here."""
    return os.geteuid() == 0 and REMOTE.exists()
