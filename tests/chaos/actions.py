"""What the injector does to the machine; see injector.py.

Each action takes a fault, strikes, lasts `hold`, and is undone, or leaves that to the units.
"""

import os
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Fault = dict[str, Any]

STATE = Path("/var/lib/sendrecv")
LEDGER = Path("/var/lib/sendrecv-receiver")
CGROUPS = Path("/sys/fs/cgroup")
DISKS = Path("/mnt/chaos")  # the file systems under STATE and LEDGER
CLOCK = Path("/var/lib/chaos/clock")  # nanoseconds by which clock.c is wrong
MEMORY = Path("/run/chaos-memory")  # the host's memory controller, where it is of version 1
HALVES = ("sender", "sender-failover")


def processes(unit: str, slice_name: str = "sendrecv.slice") -> list[int]:
    """The unit's processes: quicker than asking systemd, and right while it is busy."""
    try:
        processes = (CGROUPS / slice_name / unit / "cgroup.procs").read_text()
        return [int(pid) for pid in processes.split()]
    except OSError:
        return []


def halves(app: str) -> list[str]:
    """The units of the App that have a process."""
    units = [f"{half}@{app}.service" for half in HALVES]
    return [unit for unit in units if processes(unit)]


def active(app: str) -> list[int]:
    """The App's processes."""
    return [pid for unit in halves(app) for pid in processes(unit)]


def send(pids: list[int], number: int) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def stop_processes(pids: list[int]) -> None:
    """SIGSTOP to each, once it runs a program of its own.

    What systemd 257 has cloned and not yet executed shares PID 1's memory, and PID 1 waits for it
    (CLONE_VFORK): stopped in that instant, it would stop PID 1, and with it the machine.
    """
    for pid in pids:
        try:
            until = time.monotonic() + 0.2
            while os.readlink(f"/proc/{pid}/exe") == os.readlink("/proc/1/exe"):
                if time.monotonic() > until:
                    break
                time.sleep(0.001)
            else:
                send([pid], signal.SIGSTOP)
        except FileNotFoundError:
            pass


def systemctl(*words: str) -> bool:
    """Queues the job; False if systemd refuses it, which mostly is none of our business here."""
    command = ["systemctl", "--no-block", *words]
    return not subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode


def signal_app(number: int) -> Callable[[Fault], None]:
    return lambda fault: send(active(fault["app"]), number)


def hang(fault: Fault) -> None:
    stop_processes(active(fault["app"]) if fault["app"] else processes("receiver.service"))


def signal_receiver(number: int) -> Callable[[Fault], None]:
    return lambda fault: send(processes("receiver.service"), number)


def signal_journald(_fault: Fault) -> None:
    send(processes("systemd-journald.service", "system.slice"), signal.SIGKILL)


def pause(fault: Fault) -> None:
    pids = active(fault["app"]) if fault["app"] else processes("receiver.service")
    stop_processes(pids)
    time.sleep(fault["hold"])
    send(pids, signal.SIGCONT)


def kill_twice(fault: Fault) -> None:
    send(active(fault["app"]), signal.SIGKILL)
    time.sleep(0.06 * fault["chance"])
    send(active(fault["app"]), signal.SIGKILL)


def kill_row(fault: Fault) -> None:
    for _ in range(3 + int(6 * fault["chance"])):
        send(active(fault["app"]), signal.SIGKILL)
        time.sleep(0.05)


HOG = """
import sys
group, victim, *others = sys.argv[1:]
open("/proc/self/oom_score_adj", "w").write("-1000")
open(f"/proc/{victim}/oom_score_adj", "w").write("1000")
for pid in (victim, *others, "0"):
    open(f"{group}/cgroup.procs", "w").write(pid)
kept = [bytearray(b"x") * 1000000 for _ in range(40)]
"""


def memory(fault: Fault) -> None:
    """Fills the process's group, whose limit is made small, with a hog that may not be killed."""
    unit = next(iter(halves(fault["app"])), "") if fault["app"] else "receiver.service"
    pids = processes(unit)
    if not pids:
        return
    own = CGROUPS / "sendrecv.slice" / unit
    group = MEMORY / f"fault-{fault['number']}" if MEMORY.exists() else own
    if MEMORY.exists():
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("16M")
    else:
        used = int((group / "memory.current").read_text())
        (group / "memory.max").write_text(str(used + 4_000_000))
    # It must not outlive this process: the limit does not.
    command = ["setpriv", "--pdeathsig", "KILL", "python3", "-c", HOG, str(group), *map(str, pids)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as hog:
        until = time.monotonic() + 1.0
        while time.monotonic() < until and os.path.exists(f"/proc/{pids[0]}"):
            time.sleep(0.002)
        killed = not os.path.exists(f"/proc/{pids[0]}")
        hog.kill()
    if MEMORY.exists():
        remove_group(group)
    if not killed:
        raise OSError("nothing was killed")


def remove_group(group: Path) -> None:
    """Of version 1, with whatever is left in it moved out."""
    for _ in range(100):
        try:
            for pid in (group / "cgroup.procs").read_text().split():
                (MEMORY / "cgroup.procs").write_text(pid)
            group.rmdir()
            return
        except OSError:
            time.sleep(0.01)


def restart(fault: Fault) -> None:
    systemctl("restart", *halves(fault["app"])[:1] or [f"sender@{fault['app']}"])


def try_restart(fault: Fault) -> None:
    for half in HALVES:
        systemctl("try-restart", f"{half}@{fault['app']}")


def on_app(*words: str) -> Callable[[Fault], None]:
    """systemctl with these words, in which % is the App."""

    def action(fault: Fault) -> None:
        systemctl(*(word.replace("%", fault["app"]) for word in words))

    return action


def pair_stop(fault: Fault) -> None:
    systemctl("stop", f"sendrecv@{fault['app']}.target")
    time.sleep(fault["hold"])
    # Nobody else would start it again: and PID 1 does not answer while it re-executes.
    until = time.monotonic() + 60
    while not systemctl("start", f"sender@{fault['app']}") and time.monotonic() < until:
        time.sleep(0.05)


def record(fault: Fault) -> Path:
    return STATE / f"{fault['app']}.record"


def lock_removed(fault: Fault) -> None:
    record(fault).unlink(missing_ok=True)


def lock_replaced(fault: Fault) -> None:
    path = record(fault)
    copy = path.with_name(f".{path.name}.copy")
    copy.write_bytes(path.read_bytes())
    owner = os.stat(path)
    os.chown(copy, owner.st_uid, owner.st_gid)
    copy.chmod(0o600)
    copy.rename(path)


def record_noise(fault: Fault) -> None:
    """Half of the time the whole record, else one of its two slots."""
    whole, second = fault["chance"] < 0.5, fault["chance"] > 0.75
    with record(fault).open("r+b") as file:
        file.seek(4096 if second else 0)
        file.write(os.urandom(4608 if whole else 512))


def full(disk: str) -> Callable[[Fault], None]:
    """No block is left, nor is one that becomes free meanwhile."""

    def fill(fault: Fault) -> None:
        filler = DISKS / disk / "filler"
        names = sorted(STATE.glob("*.record"))
        until = time.monotonic() + fault["hold"]
        with filler.open("ab") as file:
            take_space(file.fileno())
            if disk == "state" and fault["chance"] < 0.5 and names:
                names[int(2 * fault["chance"] * len(names))].unlink(missing_ok=True)
            while time.monotonic() < until:
                time.sleep(0.02)
                take_space(file.fileno())
        filler.unlink(missing_ok=True)

    return fill


def take_space(file: int) -> None:
    size = 1 << 20
    while size >= 1024:
        try:
            os.posix_fallocate(file, os.fstat(file).st_size, size)
        except OSError:
            size //= 2


def ledger_deleted(fault: Fault) -> None:
    """The database alone, or with what SQLite keeps beside it."""
    beside = ["-wal", "-shm"] if fault["chance"] > 0.3 else []
    for suffix in ["", *beside]:
        (LEDGER / f"ledger.db{suffix}").unlink(missing_ok=True)


def starve(fault: Fault) -> None:
    loops = [
        subprocess.Popen(["sh", "-c", "while :; do :; done"])
        for _ in range(4 * (os.cpu_count() or 1))
    ]
    time.sleep(fault["hold"])
    for loop in loops:
        loop.kill()
        loop.wait()


def clock(fault: Fault) -> None:
    hours = (fault["chance"] - 0.5) * 24
    with CLOCK.open("r+b") as file:
        file.write(struct.pack("q", int(hours * 3600e9)))


ACTIONS: dict[str, Callable[[Fault], None]] = {
    "kill": signal_app(signal.SIGKILL),
    "segv": signal_app(signal.SIGSEGV),
    "term": signal_app(signal.SIGTERM),
    "hang": hang,
    "pause": pause,
    "late-pause": pause,
    "kill-twice": kill_twice,
    "kill-row": kill_row,
    "memory": memory,
    "stop-main": on_app("stop", "sender@%"),
    "stop-failover": on_app("stop", "sender-failover@%"),
    "restart": restart,
    "try-restart": try_restart,
    "hand-back": on_app("start", "sender@%"),
    "start-failover": on_app("start", "sender-failover@%"),
    "start-both": on_app("start", "sender@%", "sender-failover@%"),
    "pair-stop": pair_stop,
    "lock-removed": lock_removed,
    "lock-replaced": lock_replaced,
    "record-noise": record_noise,
    "receiver-kill": signal_receiver(signal.SIGKILL),
    "receiver-segv": signal_receiver(signal.SIGSEGV),
    "receiver-term": signal_receiver(signal.SIGTERM),
    "receiver-hang": hang,
    "receiver-pause": pause,
    "receiver-memory": memory,
    "receiver-stop": on_app("stop", "receiver.service"),
    "receiver-restart": on_app("restart", "receiver.service"),
    "socket-restart": on_app("restart", "receiver.socket"),
    "journald-restart": on_app("restart", "systemd-journald"),
    "journald-kill": signal_journald,
    "clock": clock,
    "starve": starve,
    "state-full": full("state"),
    "ledger-full": full("ledger"),
    "ledger-deleted": ledger_deleted,
    "reexec": on_app("daemon-reexec"),
    "reload": on_app("daemon-reload"),
}
