"""How long `sendrecv proof` takes for a day of journal, and how much memory: a command.

    python3 -m tests.bench.proof [--apps 10] [--seconds 86400] [--takeovers 1000] [DIRECTORY]

Makes a journal as journald would have written it in that time (each App a count a second, each
takeover with PID 1's and the receiver's entries), of real journal files: systemd-journal-remote
writes them. Then it runs the proof, and prints one line for each run. A DIRECTORY keeps the
journal for the next time.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

TOP = Path(__file__).resolve().parents[2]
REMOTE = Path("/usr/lib/systemd/systemd-journal-remote")
LIMIT_SECONDS, LIMIT_MIB = 20, 200

# What journald adds to each entry, as of systemd 257.
_HOST = """_BOOT_ID=3a1f20b45ad04d0e8f2f4d3a53b1c9aa
_MACHINE_ID=17c1ec673c864210973f6e398499b06d
_HOSTNAME=vm
_RUNTIME_SCOPE=system
SYSLOG_FACILITY=3
"""
RECEIVER = f"""{_HOST}SYSLOG_IDENTIFIER=receiver
_UID=998
_GID=998
_CAP_EFFECTIVE=0
_COMM=sendrecv
_EXE=/usr/bin/python3.13
_CMDLINE=/usr/bin/python3 /usr/bin/sendrecv receive
_SYSTEMD_CGROUP=/sendrecv.slice/receiver.service
_SYSTEMD_UNIT=receiver.service
_SYSTEMD_SLICE=sendrecv.slice
_SYSTEMD_INVOCATION_ID=0b6d1c5cf4f94e0b8a1d7e9a4b1c2d3e
_TRANSPORT=stdout
_STREAM_ID=03292517bcd84fcdbc96e887eb89b2b7
_PID=84
"""
PID1 = f"""{_HOST}SYSLOG_IDENTIFIER=systemd
_UID=0
_GID=0
_CAP_EFFECTIVE=1ffffffffff
_COMM=systemd
_EXE=/usr/lib/systemd/systemd
_CMDLINE=/sbin/init
_SYSTEMD_CGROUP=/init.scope
_SYSTEMD_UNIT=init.scope
_SYSTEMD_SLICE=-.slice
_TRANSPORT=journal
_PID=1
TID=1
CODE_FILE=src/core/job.c
CODE_LINE=818
"""
_STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
_STARTED = "39f53479d3a045ac8e11786248231fbf"
_EXITED = "98e322203f7a4ed290d09fe03c09fe15"
_FAILED = "d9b373ed55a64feb8242e02dbe79a49c"


class App:
    """One App: its count, and the run that counts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.epoch = 0
        self.role = "failover"
        self.run = ""

    @property
    def unit(self) -> str:
        return f"{'sender' if self.role == 'main' else 'sender-failover'}@{self.name}.service"

    def _said(self, message_id: str, text: str, **fields: str) -> str:
        about = {"PRIORITY": "6", "UNIT": self.unit, "INVOCATION_ID": self.run}
        about |= {"MESSAGE_ID": message_id, "MESSAGE": f"{text} {self.unit}", **fields}
        return PID1 + "".join(f"{name}={value}\n" for name, value in about.items())

    def _printed(self, text: str, priority: int) -> str:
        return f"{RECEIVER}PRIORITY={priority}\nMESSAGE={text}\n"

    def ends(self) -> Iterator[tuple[int, str]]:
        """Entries, each with its time in microseconds from now."""
        killed = {"COMMAND": "ExecStart", "EXIT_CODE": "killed", "EXIT_STATUS": "9"}
        yield 0, self._said(_EXITED, "Main process exited", **killed)
        yield 300, self._said(_FAILED, "Failed", UNIT_RESULT="signal")

    def starts(self, generator: random.Random) -> Iterator[tuple[int, str]]:
        """The other half."""
        self.role = "failover" if self.role == "main" else "main"
        self.run = uuid.UUID(int=generator.getrandbits(128)).hex
        self.epoch += 1
        session = {"appID": self.name, "nodeID": self.role, "epoch": self.epoch, "run": self.run}
        session["last"] = self.count - 1 if self.count else None
        yield 5_000, self._said(_STARTING, "Starting", JOB_TYPE="start")
        yield 45_000, self._said(_STARTED, "Started", JOB_TYPE="start", JOB_RESULT="done")
        yield 60_000, self._printed(f"session {json.dumps(session)}", 5)

    def counts(self) -> str:
        payload = {"count": self.count, "appID": self.name, "nodeID": self.role}
        self.count += 1
        return self._printed(json.dumps(payload), 6)


def write(output: IO[bytes], number: int, seconds: int, takeovers: int) -> None:
    """The journal of that time, in the export format."""
    generator = random.Random(1)
    apps = [App(f"app{place}") for place in range(number)]
    falls = set(generator.sample(range(seconds), min(takeovers, seconds)))
    for now, text in _entries(apps, seconds, falls, generator):
        wall = 1_790_000_000_000_000 + now
        head = f"__REALTIME_TIMESTAMP={wall}\n__MONOTONIC_TIMESTAMP={now}\n"
        output.write(f"{head}{text}\n".encode())


def _entries(
    apps: list[App], seconds: int, falls: set[int], generator: random.Random
) -> Iterator[tuple[int, str]]:
    for app in apps:
        for after, text in app.starts(generator):
            yield 10_000_000 + after, text
    for second in range(11, 11 + seconds):
        for place, app in enumerate(apps):
            yield second * 1_000_000 + place * 800_000 // len(apps), app.counts()
        if second - 11 in falls:
            app = generator.choice(apps)
            for after, text in (*app.ends(), *app.starts(generator)):
                yield second * 1_000_000 + 900_000 + after, text


def make(directory: Path, number: int, seconds: int, takeovers: int) -> None:
    """The journal files."""
    if not REMOTE.exists():
        sys.exit("systemd-journal-remote makes the journal files: apt-get install it")
    directory.mkdir(parents=True, exist_ok=True)
    command = [str(REMOTE), f"--output={directory}/day.journal", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as remote:
        if remote.stdin:
            write(remote.stdin, number, seconds, takeovers)
            remote.stdin.close()
    if remote.returncode:
        sys.exit(f"systemd-journal-remote: exit {remote.returncode}")


PROVE = """
import json, resource, sys
from sendrecv.proof import prove
status = prove.main(sys.argv[1:])
sys.stdout.flush()
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu = sum(one.ru_utime + one.ru_stime for one in used)
print(json.dumps([cpu, sum(one.ru_maxrss for one in used)]), file=sys.stderr)
sys.exit(status)
"""


def measure(name: str, *arguments: str) -> bool:
    """Prove once; prints a line, and returns whether it is within the limits.

    The memory is that of Python and journalctl together, each at its largest.
    """
    began = time.monotonic()
    command = [sys.executable, "-c", PROVE, *arguments]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    cpu, kib = json.loads(done.stderr.splitlines()[-1])
    verdict = done.stdout.splitlines()[-1]
    print(f"{name:<9} {seconds:5.1f} s {cpu:7.1f} s CPU {kib >> 10:6} MiB  {verdict}", flush=True)
    return done.returncode == 0 and seconds < LIMIT_SECONDS and kib >> 10 < LIMIT_MIB


def main() -> int:
    """Returns 0 if all is within the limits."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.proof", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--apps", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=86400)
    parser.add_argument("--takeovers", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sendrecv-bench-") as scratch:
        directory = arguments.directory or Path(scratch) / "journal"
        if not any(directory.glob("*.journal")):
            make(directory, arguments.apps, arguments.seconds, arguments.takeovers)
        size = sum(os.path.getsize(path) for path in directory.iterdir()) >> 20
        print(f"{size} MiB of journal files, load average {os.getloadavg()[0]:.1f}")
        bundle, picture = Path(scratch) / "bundle.gz", Path(scratch) / "picture.svg"
        outcomes = [
            measure("proof", "--directory", str(directory)),
            measure("picture", "--directory", str(directory), "--svg", str(picture)),
        ]
        measure("bundle", "--directory", str(directory), "--bundle", str(bundle))
        measure("from it", "--file", str(bundle))
        shutil.rmtree(scratch, ignore_errors=True)
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
