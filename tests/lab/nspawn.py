"""Boots a directory with systemd-nspawn: the mechanics under tests/lab/machine.py.

Nspawn runs as PID 1 of a PID namespace, in a mount namespace: when the process that booted the
machine dies, the kernel kills all of them and unmounts the overlay. (The machine alone outlives a
killed nspawn.) What is left after a crash is a directory and a cgroup, which remove_left_overs()
finds by their lock being free.
"""

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REBOOT_ASKED = 133  # what nspawn --keep-unit exits with when the machine asks to be rebooted

_CGROUPS = Path("/sys/fs/cgroup")

# Of inotify. A booted machine has 14, and the kernel gives 128 to all of root's: with nine machines
# at once, systemd's path units failed, and the boot of Debian 12 never ended.
_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
_WANTED_INSTANCES = 2048

SYNCS = True
"""Whether a sync in a machine waits for the host's disk, as everywhere but in tests/system. No test
there needs that, because what a machine has written outlives all that is done to it; and a busy
disk would make watchdogs and leases run out.
"""

# The cgroup first, or machines would share one and remove each other's units.
_BOOT_SCRIPT = r"""
for group in $GROUPS_TO_JOIN; do echo $$ > "$group/cgroup.procs"; done
rm -rf "$WORK/work/incompat" # overlayfs asks for that after a mount with "volatile"
mount -t overlay sendrecv-test \
    -o "${OPTIONS}lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK" "$MERGED"
unset GROUPS_TO_JOIN LOWER UPPER WORK MERGED OPTIONS
exec "$@"
"""

# The kernel's parent-death signal is tied to the thread that forked, so one thread, which lives as
# long as the process, forks all machines, whichever thread asks for them.
_FORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nspawn")


class NspawnError(Exception):
    """The machine did not boot, or did not go off; says where its console's log is."""


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in children.split()]


def _groups(name: str) -> list[Path]:
    """The cgroups of that machine: one where the host is unified, else one in each hierarchy."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS / name]
    return [_CGROUPS / hierarchy / name for hierarchy in ("unified", "systemd")]


def _remove_groups(name: str) -> None:
    for top in _groups(name):
        with contextlib.suppress(OSError):
            (top / "cgroup.kill").write_text("1", encoding="ascii")
        for directory, _, _ in os.walk(top, topdown=False):
            _rmdir_when_empty(Path(directory))


def _rmdir_when_empty(group: Path) -> None:
    """The processes of a killed cgroup take a moment to be gone; nothing tells of the last one."""
    for _ in range(200):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)


def _raise_limits() -> None:
    if int(_INSTANCES.read_text(encoding="ascii")) < _WANTED_INSTANCES:
        _INSTANCES.write_text(str(_WANTED_INSTANCES), encoding="ascii")


def remove_left_overs(machines: Path) -> None:
    """Removes what machines of dead processes have left."""
    for directory in machines.glob("*/"):
        with contextlib.suppress(OSError), (directory / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_groups(directory.name)
            shutil.rmtree(directory, ignore_errors=True)


class Nspawn:
    """A directory for what a machine writes, and the machine over it, on or off."""

    def __init__(
        self, directory: Path, options: Sequence[str], network: Path | None = None
    ) -> None:
        """`options`: more of systemd-nspawn's. `network`: the network namespace that it runs in,
        and finds its bridge in; by default that of this process."""
        self.directory = directory
        self.name = directory.name
        self.console = directory / "console.log"
        self._lower: list[Path] = []
        self._options = options
        self._network = ["nsenter", f"--net={network}"] if network else []
        self._leader = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._held = contextlib.ExitStack()

    def prepare(self, lower: Sequence[Path]) -> None:
        """Makes the directory. `lower`: the layers below its disk, the uppermost first."""
        _raise_limits()
        self._lower = list(lower)
        for part in ("disk/etc", "work", "root"):
            (self.directory / part).mkdir(parents=True)
        lock = self._held.enter_context((self.directory / "lock").open("ab"))
        fcntl.flock(lock, fcntl.LOCK_EX)

    @property
    def running(self) -> bool:
        """Whether the machine is on."""
        return self._process is not None and self._process.poll() is None

    @property
    def leader(self) -> int:
        """The machine's PID 1, as the host sees it."""
        if not self.running:
            raise NspawnError(f"{self.name} is off")
        return self._leader

    def boot(self, timeout: float) -> None:
        """Returns when the machine's systemd says that it is ready."""
        if self.running:
            raise NspawnError(f"{self.name} is on already")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            # Not an abstract address, which only its own network namespace can reach.
            address = self.directory / "notify"
            address.unlink(missing_ok=True)
            notify.bind(str(address))
            self._process = _FORKER.submit(self._spawn, str(address)).result()
            self._await_ready(notify, time.monotonic() + timeout)

    def wait_off(self, timeout: float) -> int:
        """Waits for the machine to be off; returns nspawn's exit status."""
        if self._process is None:
            raise NspawnError(f"{self.name} was never on")
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise NspawnError(f"{self.name} is still on, see {self.console}") from None

    def remove(self) -> None:
        """Kills the machine if it is on, and removes all that it has written."""
        if self.running and self._leader:
            # Killing nspawn would do as well, but would not wait for what runs in the machine.
            self.power_cut()
        elif self._process is not None:
            self._process.kill()
            self._process.wait()
        _remove_groups(self.name)
        shutil.rmtree(self.directory, ignore_errors=True)
        self._held.close()

    def _spawn(self, notify: str) -> subprocess.Popen[bytes]:
        self._leader = 0
        groups = _groups(self.name)
        for group in groups:
            group.mkdir(exist_ok=True)
        # The power was cut while it, or a unit in it, was frozen: a cgroup outlasts its processes.
        for freezer in groups[0].glob("payload/**/cgroup.freeze"):
            freezer.write_text("0", encoding="ascii")
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "NOTIFY_SOCKET": notify,
            # Debian 13's systemd wants the unified hierarchy, and tests look into it.
            "UNIFIED_CGROUP_HIERARCHY": "1",
            "GROUPS_TO_JOIN": " ".join(map(str, groups)),
            "LOWER": ":".join(map(str, self._lower)),
            "UPPER": str(self.directory / "disk"),
            "WORK": str(self.directory / "work"),
            "MERGED": str(self.directory / "root"),
            "OPTIONS": "" if SYNCS else "volatile,",
        }
        with self.console.open("ab") as console:
            return subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL"),
                    *self._network,
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
                    *("sh", "-ec", _BOOT_SCRIPT, "sh", "systemd-nspawn", "--boot"),
                    *("-D", self.directory / "root", f"--machine={self.name}"),
                    *("--register=no", "--keep-unit", "--notify-ready=yes"),
                    *("--console=read-only", "--link-journal=no"),
                    *("--resolv-conf=off", "--timezone=off", *self._options),
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                # So that Ctrl-C reaches the tests only, which then clean up in order.
                start_new_session=True,
            )

    def _await_ready(self, notify: socket.socket, deadline: float) -> None:
        """Nspawn tells the PID of the machine's PID 1 once that has its own namespaces."""
        while self.running and (left := deadline - time.monotonic()) > 0:
            if not select.select([notify], [], [], min(left, 0.1))[0]:
                continue
            message = dict(
                line.partition("=")[::2] for line in notify.recv(4096).decode().splitlines()
            )
            if leader := message.get("X_NSPAWN_LEADER_PID"):
                self._leader = self._on_host(leader)
            if message.get("READY") == "1":
                return
        tail = "\n".join(self.console.read_text(errors="replace").splitlines()[-20:])
        raise NspawnError(f"{self.name} did not boot; the end of its console:\n{tail}")

    def _on_host(self, pid: str) -> int:
        """The host's number for a child of nspawn, which knows it by another one."""
        for nspawn in _children(self._process.pid if self._process else 0):
            for child in _children(nspawn):
                status = Path(f"/proc/{child}/status").read_text(encoding="utf-8")
                if re.search(rf"^NSpid:\t\d+\t{pid}\t1$", status, re.MULTILINE):
                    return child
        raise NspawnError(f"{self.name}: nspawn has no child {pid}")

    def power_cut(self) -> None:
        """Kills the machine's PID 1, and so, by the kernel, everything in it.

        All is frozen before that. For the kernel first closes what PID 1 has open, then kills the
        others: meanwhile they would see sockets that nobody listens on, and act upon that.
        """
        self._freezer.write_text("1", encoding="ascii")
        deadline = time.monotonic() + 1
        events = self._freezer.with_name("cgroup.events")
        while "frozen 1\n" not in events.read_text(encoding="ascii"):
            if time.monotonic() > deadline:  # something in it waits uninterruptibly
                break
            time.sleep(0.001)
        os.kill(self.leader, signal.SIGKILL)
        self.wait_off(30)
        with contextlib.suppress(OSError):  # it is gone, mostly; the next boot may get it again
            self._freezer.write_text("0", encoding="ascii")

    def freeze(self, frozen: bool) -> None:
        """Stops all that runs in the machine at one instant, or lets it go on.

        Returns when that is so. Commands that were entered from outside are not stopped.
        """
        self._freezer.write_text(str(int(frozen)), encoding="ascii")
        deadline = time.monotonic() + 30
        with self._freezer.with_name("cgroup.events").open(encoding="ascii") as events:
            changed = select.poll()
            changed.register(events, select.POLLPRI)
            while f"frozen {int(frozen)}\n" not in events.read():
                if time.monotonic() > deadline:
                    raise NspawnError(f"{self.name} is not frozen, or still is")
                changed.poll(1000)
                events.seek(0)

    @property
    def _freezer(self) -> Path:
        """Not of nspawn itself, which then would not notice that the machine is killed."""
        return _groups(self.name)[0] / "payload" / "cgroup.freeze"
