"""Throw-away Debian machines with a real systemd as PID 1: systemd-nspawn over a cached root.

    with Machine("trixie") as machine:
        machine.install_deb(DEB)
        machine.run("systemctl start sender@main")
        machine.kill("sender@main", "KILL")
        machine.power_cut()
        machine.boot()

By hand, a shell in a fresh machine (with sendrecv.deb installed, if it has been built):

    python3 -m tests.lab.machine trixie [COMMAND]

Whatever ends the tests, no machine outlives them: the kernel kills a machine when the process that
booted it dies, its mounts live in a mount namespace of its own, and directories that were left
behind are removed by whoever boots a machine next.
"""

import argparse
import contextlib
import json
import os
import re
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from tests.lab import nspawn, progress, roots
from tests.lab.paths import TOP

Command = str | Sequence[str]
Entry = dict[str, Any]
Value = TypeVar("Value")

DEB = Path(os.environ.get("SENDRECV_DEB", TOP / "sendrecv.deb"))
MACHINES = roots.CACHE / "machines"
HANG = 180.0
"""Seconds after which what has not happened never will. No test says how fast something is: each
waits for an event, and this limit only ends the wait for one that does not come."""

# Nothing of the tester's environment may leak into the machine.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
    "DEBIAN_FRONTEND": "noninteractive",
}

# What systemd-nspawn takes from a machine, and nsenter from the host would bring in again: these
# reach through to the host. `date -s` in a machine would set the host's clock.
_NOT_NAMESPACED = "-sys_time,-sys_module,-sys_rawio,-syslog,-wake_alarm"


class MachineError(Exception):
    """A machine did not do what the test relies on; the text holds all there is to know."""


class Machine:
    """One machine. Entering the context boots it, leaving it removes it with all it has written."""

    def __init__(
        self,
        release: str,
        *,
        kind: str = "machine",
        layer: Path | None = None,
        binds: Mapping[Path, str] | None = None,
        options: Sequence[str] = ("--private-network",),
        network: Path | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """`kind`: which of tests/lab/roots.py's packages are installed.

        `layer`: another machine's `disk`, powered off, to start from instead of a bare root.
        `binds`: host paths, and where in the machine they are seen, read-only. `options`: those of
        systemd-nspawn that say what else is around the machine; by default no network. `network`:
        the network namespace in which those options find a bridge. `files`: what is in the machine
        before its first boot, by path.
        """
        self.release = release
        self._kind = kind
        self.name = f"sendrecv-{release}-{secrets.token_hex(3)}"
        self._layers = [layer] if layer else []
        bound = [f"--bind-ro={host}:{inside}" for host, inside in (binds or {}).items()]
        self._nspawn = nspawn.Nspawn(MACHINES / self.name, [*bound, *options], network)
        self._files = {
            "/etc/hostname": f"{release}\n",
            "/etc/machine-id": f"{secrets.token_hex(16)}\n",
            **(files or {}),
        }
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._held:
            root = self._held.enter_context(roots.use(self._kind, self.release))
            self._held.callback(self._nspawn.remove)
            # Under a lock, or it could be taken for a left-over while it is being made.
            with roots.locked(roots.CACHE / "machines.lock"):
                nspawn.remove_left_overs(MACHINES)
                self._nspawn.prepare([*self._layers, root])
            for path, text in self._files.items():
                (self.disk / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                (self.disk / path.lstrip("/")).write_text(text, encoding="ascii")
            self.boot()
            self._held = self._held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    # Power

    @property
    def disk(self) -> Path:
        """What this machine has written over its root. Not to be touched while it runs."""
        return self._nspawn.directory / "disk"

    @property
    def running(self) -> bool:
        """Whether the machine is on."""
        return self._nspawn.running

    @property
    def leader(self) -> int:
        """The machine's PID 1, as the host sees it."""
        return self._nspawn.leader

    def boot(self, timeout: float = HANG) -> None:
        """Turns the machine on; returns when its systemd has done all that boot asks for.

        That is also so if units failed: `systemctl is-system-running` then says "degraded".
        """
        self._nspawn.boot(timeout)

    def power_cut(self) -> None:
        """Kills PID 1, and with it the kernel kills all that runs in the machine, at one instant.

        What was written but not synced survives this (it is in the host's page cache), which a
        real power cut does not grant: it tests recovery at any instant, not that fsync is called.
        """
        self._nspawn.power_cut()

    def freeze(self) -> None:
        """Stops the machine's PID 1 and all that it has started, at one instant: a hung kernel.

        Its kernel is the host's, so it still answers the network: connections are accepted.
        """
        self._nspawn.freeze(True)

    def thaw(self) -> None:
        """Lets it go on."""
        self._nspawn.freeze(False)

    def poweroff(self, timeout: float = HANG) -> None:
        """An orderly shutdown; returns when the machine is off."""
        self.run("systemctl poweroff --no-block", check=False)
        self._nspawn.wait_off(timeout)

    def reboot(self, timeout: float = HANG) -> None:
        """An orderly reboot; returns when the machine is up again."""
        self.run("systemctl reboot --no-block", check=False)
        self.wait_rebooting(timeout)
        self.boot()

    def wait_rebooting(self, timeout: float = HANG) -> None:
        """Returns when the machine is off because it was told to reboot. Only boot() may follow."""
        if (status := self._nspawn.wait_off(timeout)) != nspawn.REBOOT_ASKED:
            raise MachineError(f"{self.name} went off with status {status} instead of rebooting")

    # Commands and files

    def run(
        self,
        command: Command,
        *,
        check: bool = True,
        input: str | None = None,  # pylint: disable=redefined-builtin  # as subprocess.run() has it
        timeout: float = HANG,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command (a string: by the shell) as root in the machine, and captures its output.

        `check` makes a failure a MachineError that shows the output.
        """
        try:
            done = subprocess.run(
                self._argv(command),
                env=_ENVIRONMENT,
                input=input or "",
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MachineError(f"{error}{self._excerpt()}") from None
        if check and done.returncode:
            output = f"{done.stdout}{done.stderr}".strip()
            raise MachineError(f"{command!r} in {self.name}: exit {done.returncode}\n{output}")
        return done

    def popen(self, command: Command, **options: Any) -> subprocess.Popen[str]:
        """Starts a command in the machine; end() ends it, and so does the end of the tests."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **options}
        return subprocess.Popen(
            self._argv(command), env=_ENVIRONMENT, encoding="utf-8", errors="replace", **options
        )

    def interact(self, command: Command) -> int:
        """Runs a command on the terminal of this process; returns its exit status."""
        terminal = {"TERM": os.environ.get("TERM", "dumb")}
        argv = self._argv(command)
        return subprocess.run(argv, env=_ENVIRONMENT | terminal, check=False).returncode

    def put(self, source: Path, destination: str) -> None:
        """Copies a file or a whole directory of the host to that path in the machine."""
        parent, name = os.path.split(destination.rstrip("/"))
        rename = ["--transform", f"s:^{re.escape(source.name)}:{name}:S"]
        self.unpack(["-C", str(source.parent), *rename, source.name], parent or "/")

    def unpack(self, archived: Sequence[str], directory: str, *, names: str = "") -> None:
        """Copies what those arguments make tar put into an archive; `names`: its standard input."""
        pack = ["tar", "-c", "--owner=0", "--group=0", *archived]
        archive = subprocess.run(pack, input=names.encode(), stdout=subprocess.PIPE, check=True)
        script = ["sh", "-ec", 'mkdir -p "$1"; tar -C "$1" -x', "sh", directory]
        subprocess.run(self._argv(script), input=archive.stdout, env=_ENVIRONMENT, check=True)

    def get(self, source: str, destination: Path) -> None:
        """Copies a file of the machine to the host."""
        with destination.open("wb") as output:
            subprocess.run(self._argv(["cat", source]), stdout=output, check=True)

    def write(self, destination: str, text: str) -> None:
        """Writes a file in the machine, with the directories above it."""
        parent = os.path.dirname(destination)
        self.run(["sh", "-ec", 'mkdir -p "$1"; cat > "$2"', "sh", parent, destination], input=text)

    def tmpfs(self, directory: str, size: str, mode: str = "0755", owner: str = "root") -> None:
        """Mounts an empty tmpfs of that size (such as "64k") there: a disk that is easily full."""
        self.run(["mkdir", "-p", directory])
        self.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode={mode}", "tmpfs", directory])
        self.run(["chown", f"{owner}:", directory])

    def install_deb(self, deb: Path = DEB) -> None:
        """Installs a package the way that the README tells a user to."""
        self.put(deb, f"/tmp/{deb.name}")
        self.run(["apt-get", "install", "-qq", "--reinstall", f"/tmp/{deb.name}"])

    # Units and their journal

    def show(self, unit: str, key: str) -> str:
        """One property of a unit."""
        return self.run(["systemctl", "show", "--value", "-p", key, unit]).stdout.strip()

    def pid(self, unit: str) -> int:
        """The unit's main process, as the machine sees it; 0 if there is none."""
        return int(self.show(unit, "MainPID"))

    def kill(self, unit: str, name: str) -> int:
        """Sends a signal ("KILL", "STOP") to the unit's main process; returns its PID."""
        pid = self.pid(unit)
        if not pid:
            raise MachineError(f"{unit} has no process to kill{self._excerpt()}")
        self.run(["kill", "-s", name, str(pid)])
        return pid

    def journal(self, *matches: str, fields: Sequence[str] = ()) -> list[Entry]:
        """The journal of all boots, oldest first. `matches`: journalctl's options and FIELD=VALUE.

        A field that is not valid UTF-8 is a list of byte values.
        """
        output = self.run([*self._journalctl(fields), *matches]).stdout
        return [json.loads(line) for line in output.splitlines()]

    def cursor(self) -> str:
        """The journal's end, for follow()."""
        entries = self.journal("-n", "1", fields=["MESSAGE"])
        return str(entries[0]["__CURSOR"]) if entries else ""

    def follow(
        self, *matches: str, after: str = "", timeout: float = HANG
    ) -> Generator[Entry, None, None]:
        """Yields the journal's entries, after that cursor if there is one, as they come.

        Ends, without an error, once `timeout` seconds have passed since the call.
        """
        deadline = time.monotonic() + timeout
        start = [f"--after-cursor={after}"] if after else []
        follower = self.popen([*self._journalctl(()), "-f", "-n", "all", *start, *matches])
        with follower, contextlib.closing(_lines(follower.stdout, deadline)) as lines:
            try:
                yield from (json.loads(line) for line in lines)
            finally:
                end(follower)

    def wait_entry(
        self,
        predicate: Callable[[Entry], bool],
        *matches: str,
        after: str = "",
        timeout: float = HANG,
        what: str = "",
    ) -> Entry:
        """Returns the first entry for which the predicate holds, waiting for it to come."""
        with contextlib.closing(self.follow(*matches, after=after, timeout=timeout)) as entries:
            for entry in entries:
                if predicate(entry):
                    return entry
        raise MachineError(f"not in {timeout} s: {what or 'that entry'}{self._excerpt()}")

    def wait_until(self, predicate: Callable[[], Value], what: str, timeout: float = HANG) -> Value:
        """Waits for the predicate to hold, and returns what it returned then.

        For what no event tells of; else follow() and wait_entry() know sooner.
        """
        deadline, pause = time.monotonic() + timeout, 0.02
        while not (value := predicate()):
            if time.monotonic() > deadline:
                raise MachineError(f"not in {timeout} s: {what}{self._excerpt()}")
            time.sleep(pause)
            pause = min(1.5 * pause, 0.5)  # a look starts processes, on a machine that is busy
        return value

    # Inside

    def _argv(self, command: Command) -> list[str]:
        """The command, entered into all namespaces of PID 1, and killed when nsenter is."""
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        enter = ["nsenter", "-t", str(self.leader), "-a"]
        limit = ["setpriv", "--pdeathsig", "KILL", "--bounding-set", _NOT_NAMESPACED]
        return [*enter, *limit, "--", *words]

    @staticmethod
    def _journalctl(fields: Sequence[str]) -> list[str]:
        selected = [f"--output-fields={','.join(fields)}"] if fields else []
        return ["journalctl", "-q", "-o", "json", "--all", "--no-pager", *selected]

    def _excerpt(self) -> str:
        """What a person would look at first when a test failed here."""
        look = (  # without payloads, of which there are too many
            "systemctl --failed --no-legend; journalctl -q -b --no-pager -n 5000 -o short-precise"
            """ | grep -vF '{"count":' | tail -n 40"""
        )
        output = self.run(look, check=False).stdout if self.running else "the machine is off\n"
        return f"\n--- {self.name} ---\n{output}"


def end(process: subprocess.Popen[str]) -> None:
    """Kills what Machine.popen() started, and waits for it.

    The command before its nsenter, which then reaps it: left to the host's PID 1, which need not be
    quick at that, it would hold up the end of the machine.
    """
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        for child in children.read_text(encoding="ascii").split():
            os.kill(int(child), signal.SIGKILL)
        process.wait(1)
    process.kill()
    process.wait()


def _lines(stream: IO[str] | None, deadline: float) -> Generator[str, None, None]:
    """The stream's lines, until the deadline."""
    if stream is None:
        raise ValueError("the stream is not captured")
    rest = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([stream], [], [], left)[0]:
            return
        if not (data := os.read(stream.fileno(), 65536)):
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)


@contextlib.contextmanager
def shown(release: str) -> Generator[Machine, None, None]:
    """A fresh machine for a person who waits for it: the terminal shows what is done meanwhile."""
    roots.ensure("machine", release)
    with contextlib.ExitStack() as held:
        with progress.step(f"booting a throw-away {roots.NAMES[release]}", "boot"):
            machine = held.enter_context(Machine(release))
        yield machine


def main() -> int:
    """A shell, or a command, in a fresh machine."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab.machine", description=__doc__)
    parser.add_argument("release", choices=roots.RELEASES)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    with shown(arguments.release) as machine:
        if DEB.exists():
            with progress.step(f"installing {DEB.name} there", "install"):
                machine.install_deb()
        print(f"{machine.name}, gone when you leave it", file=sys.stderr)
        return machine.interact(" ".join(arguments.command) or ["bash", "-l"])


if __name__ == "__main__":
    sys.exit(main())
