"""The machine that chaos takes place in: several Apps, small disks, a wall clock of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from tests.chaos.faults import Fault
from tests.chaos.silence import Span
from tests.lab import roots
from tests.lab.machine import DEB, TOP, Machine, end

# Seconds between counts: short ones, so that something is under way at most instants.
APPS: Mapping[str, float] = {
    "one": 1.0,
    "two": 1.0,
    "half": 0.5,
    "fast": 0.1,
    "quick": 0.1,
    "rapid": 0.05,
}
_HERE = Path(__file__).parent
_INJECTOR = "/usr/local/lib/chaos"
_MEMORY = Path("/sys/fs/cgroup/memory")
_DISK_SIZE = "24M"
_CLOCK_UNITS = ("systemd-journald", "receiver", "sender@", "sender-failover@")
KEPT = "--file=/var/lib/chaos/kept/*.journal"
"""journalctl's option for all that the journal has ever had, see erasure.py."""
_WITNESSES = (
    *("_SYSTEMD_UNIT=receiver.service", "+"),
    *("_PID=1", "_TRANSPORT=journal", "+"),
    "_TRANSPORT=driver",
)
# Nothing is vacuumed but by a fault. The observer is not told of the faults' own flood.
_JOURNALD = """[Journal]
SystemMaxFiles=5000
SystemMaxUse=32G
SystemKeepFree=1M
ForwardToSyslog=yes
MaxLevelSyslog=info
"""
# From before the first line until after the last one of a boot.
_OBSERVER = f"""[Unit]
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target receiver.service
[Service]
Type=exec
ExecStartPre=-/bin/sh -c 'echo 10000 > /proc/sys/net/unix/max_dgram_qlen'
ExecStart=/usr/bin/python3 {_INJECTOR}/observer.py /var/lib/chaos/observed
Restart=always
[Install]
WantedBy=sysinit.target
"""
FIELDS = (
    "_SYSTEMD_UNIT _TRANSPORT PRIORITY MESSAGE _BOOT_ID _PID UNIT MESSAGE_ID INVOCATION_ID"
    " _SOURCE_REALTIME_TIMESTAMP"
).split()


class Arena:
    """One machine; entering it boots it with every App counting.

    To be used in a mount namespace of its own (`unshare --mount`), so that the disks do not outlive
    the process.
    """

    def __init__(self, release: str, apps: Mapping[str, float] | None = None) -> None:
        self.apps = dict(apps or APPS)
        self._release = release
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._held:
            self._top = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
            self.machine = self._held.enter_context(
                Machine(self._release, options=["--private-network", *self._binds()])
            )
            self._furnish()
            self.machine.reboot()
            self._held = self._held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def inject(
        self, faults: Sequence[Fault], save: float = 0.0, copy: bool = False
    ) -> Generator[dict[str, Any], None, None]:
        """Runs the injector; yields its reports. Closing the iterator kills it.

        `save`: after how many seconds the journal is kept for lose_journal(), if at all. `copy`:
        whether the state is copied first, for faults that put it back.
        """
        plan: dict[str, Any] = {"apps": self.apps, "save": save, "copy": copy}
        plan["faults"] = [asdict(fault) for fault in faults]
        # Without the capability, nothing here can set the clock, which is the host's too.
        command = ["setpriv", "--bounding-set", "-sys_time", "env", f"PYTHONPATH={_INJECTOR}"]
        command += ["python3", "-um", "chaos.injector"]
        with self.machine.popen(command, stdin=subprocess.PIPE) as injector:
            assert injector.stdin and injector.stdout
            try:
                injector.stdin.write(f"{json.dumps(plan)}\n")
                injector.stdin.flush()
                yield from map(json.loads, injector.stdout)
            finally:
                end(injector)

    def fill(self, disk: str) -> None:
        """Leaves no free block on that disk ("state" or "ledger") until make_room()."""
        os.sync()  # blocks just freed cannot be had before that
        with (self._top / disk / "filler").open("ab") as filler:
            size = 1 << 20
            while size >= 1024:
                try:
                    os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, size)
                except OSError:
                    size //= 2

    def make_room(self) -> None:
        """Ends what is left of a full disk, or memory, when the power went in the midst of it."""
        for filler in self._top.glob("*/filler"):
            filler.unlink()
        # What the kernel waits for memory for cannot be killed, and would hold up the machine.
        for group in _memory_group().glob("fault-*"):
            with contextlib.suppress(OSError):
                (group / "memory.limit_in_bytes").write_text("256M", encoding="ascii")

    def lose_journal(self) -> bool:
        """Puts back the journal that was kept. Only while the machine is off."""
        saved = self.machine.disk / "var/lib/chaos/journal"
        if not saved.is_dir():
            return False
        journal = self.machine.disk / "var/log/journal"
        shutil.rmtree(journal)
        saved.rename(journal)
        outlasted = self._chaos("outlasted").read_text(encoding="ascii").split()
        for path in self._chaos("kept").iterdir():
            if path.name not in outlasted:
                path.unlink()
        return True

    def gone(self) -> tuple[Span, ...]:
        """What its journal has lost by now: see the function."""
        return gone(self.machine)

    def journal(self) -> list[dict[str, Any]]:
        """All that the journal has ever had of the units and of journald, vacuumed or not, but for
        what a loss of power took; in the order of time, which the wall clock has no part in.

        All boots of the machine see the host's monotonic clock.
        """
        self.machine.run("journalctl --sync", check=False)
        self.gone()
        entries = self.machine.journal(KEPT, *_WITNESSES, fields=FIELDS)
        return sorted(entries, key=lambda entry: int(entry["__MONOTONIC_TIMESTAMP"]))

    def observed(self) -> str:
        """The log of the observer outside the journal."""
        return self._chaos("observed").read_text(encoding="utf-8", errors="replace")

    def _chaos(self, name: str) -> Path:
        return self.machine.disk / "var/lib/chaos" / name

    def _binds(self) -> list[str]:
        binds = []
        for disk, owner in (("state", "sendrecv"), ("ledger", "sendrecv-receiver")):
            mounted = self._disk(disk)
            (mounted / "inside").mkdir()
            binds.append(f"--bind={mounted}:/mnt/chaos/{disk}")
            binds.append(f"--bind={mounted}/inside:/var/lib/{owner}")
        if (_MEMORY / "memory.limit_in_bytes").exists():
            binds.append(f"--bind={self._make_memory_group()}:/run/chaos-memory")
        return binds

    def _disk(self, name: str) -> Path:
        """A small file system of its own, so that it can be full."""
        image, mounted = self._top / f"{name}.img", self._top / name
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(24 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
        unmount = ["umount", "--lazy", str(mounted)]
        self._held.callback(lambda: subprocess.run(unmount, check=False))
        return mounted

    def _make_memory_group(self) -> Path:
        for group in _MEMORY.glob("sendrecv-chaos-*"):
            if not Path("/proc", group.name.rpartition("-")[2]).exists():
                _remove_group(group)
        _memory_group().mkdir(exist_ok=True)
        self._held.callback(_remove_group, _memory_group())
        return _memory_group()

    def _furnish(self) -> None:
        machine = self.machine
        machine.install_deb(DEB)
        install_injector(machine)
        for name in ("flood.py", "observer.py"):
            machine.put(TOP / "tests/lab" / name, f"{_INJECTOR}/{name}")
        machine.write("/etc/systemd/journald.conf.d/chaos.conf", _JOURNALD)
        machine.write("/etc/systemd/system/observer.service", _OBSERVER)
        for app, interval in self.apps.items():
            machine.write(f"/etc/sendrecv/{app}.env", f"SENDRECV_INTERVAL={interval}\n")
        machine.run("mkdir -p /var/lib/chaos && head -c 8 /dev/zero > /var/lib/chaos/clock")
        with tempfile.TemporaryDirectory() as built:
            machine.put(clock_library(Path(built)), "/usr/local/lib/chaos/clock.so")
        preload = "[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/chaos/clock.so\n"
        for unit in _CLOCK_UNITS:
            # Senders and receiver have a root of their own.
            seen = "" if unit == "systemd-journald" else "BindReadOnlyPaths=/var/lib/chaos\n"
            machine.write(f"/etc/systemd/system/{unit}.service.d/clock.conf", preload + seen)
        units = " ".join(f"sender@{app}" for app in self.apps)
        machine.run(f"systemctl daemon-reload && systemctl -q enable observer {units}")


def install_injector(machine: Machine) -> None:
    """Puts there what is to run inside of it."""
    for name in ("__init__.py", "actions.py", "erasure.py", "injector.py"):
        machine.put(_HERE / name, f"{_INJECTOR}/chaos/{name}")


def gone(machine: Machine) -> tuple[Span, ...]:
    """All that its journal once had, and has no longer. All that it has now is kept from now on."""
    told = machine.run(f"PYTHONPATH={_INJECTOR} python3 -m chaos.erasure").stdout
    return tuple(Span(*span) for span in json.loads(told))


def clock_library(directory: Path) -> Path:
    """clock.c, compiled: see compiled()."""
    return compiled(_HERE / "clock.c", directory)


def compiled(source: Path, directory: Path) -> Path:
    """That C file as a shared library, made where the package is built, for the older of the two C
    libraries. No machine is booted for it. It can be used on both releases.
    """
    shutil.copy(source, directory)
    library = directory / f"{source.stem}.so"
    script = 'mount --bind "$2" "$1/tmp"; cd "$1"; shift 2; exec chroot . "$@"'
    compiler = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    compiler += ["-o", f"/tmp/{library.name}", f"/tmp/{source.name}"]
    with roots.use("build", "bookworm") as root:
        enter = ["unshare", "--mount", "sh", "-ec", script, "sh", str(root), str(directory)]
        subprocess.run([*enter, *compiler], check=True)
    return library


def _memory_group() -> Path:
    return _MEMORY / f"sendrecv-chaos-{os.getpid()}"


def _remove_group(group: Path) -> None:
    for path in [*group.glob("fault-*"), group]:
        with contextlib.suppress(OSError):
            path.rmdir()
