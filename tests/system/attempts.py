"""What somebody would try who has got hold of a process. Runs in a sandbox; prints what came of it.

Printed: one line of JSON, for each attempt "done" or the error's name. Only Python's own modules,
as it is copied into machines.
"""

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import sys
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNS, MS_BIND, PTRACE_ATTACH = 0x10000000, 0x20000, 4096, 16
SYSLOG_READ_ALL, CLOCK_REALTIME, PERSONALITY_32, IPC_PRIVATE = 3, 0, 0x0008, 0
NUMBERS = {
    "x86_64": {"init_module": 175, "add_key": 248, "bpf": 321, "kexec_load": 246},
    "aarch64": {"init_module": 105, "add_key": 217, "bpf": 280, "kexec_load": 104},
}[os.uname().machine]


def called(name: str, *arguments: object) -> None:
    """A function of libc that returns -1 for an error."""
    if getattr(LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def system_call(name: str, *arguments: object) -> None:
    """The same, by its number."""
    called("syscall", NUMBERS[name], *arguments)


def read(path: str) -> None:
    """A file, or a directory; some files can be opened and not be read."""
    if os.path.isdir(path):
        if not os.listdir(path):
            raise FileNotFoundError(errno.ENOENT, "nothing in it", path)
        return
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.read(fd, 1)


def write(path: str) -> None:
    """What is there is opened for writing, and not changed."""
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


def create(directory: str) -> None:
    path = f"{directory}/attempt"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)


def set_clock() -> None:
    now = (ctypes.c_long * 2)(*divmod(10**18, 10**9))
    called("clock_settime", CLOCK_REALTIME, ctypes.byref(now))


def see_others() -> None:
    """Processes that are not this user's."""
    for name in os.listdir("/proc"):
        if name.isdigit() and os.stat(f"/proc/{name}").st_uid != os.getuid():
            return
    raise FileNotFoundError(errno.ENOENT, "no other process")


def signal_others() -> None:
    os.kill(1, 0)


def setuid_file() -> None:
    path = f"{os.environ['STATE_DIRECTORY']}/attempt"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    try:
        os.chmod(path, 0o4755)
    finally:
        os.unlink(path)


def named_queue() -> None:
    called("mq_open", b"/attempt", os.O_CREAT | os.O_RDWR, 0o600, None)
    LIBC.mq_unlink(b"/attempt")


def writable_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def opened(family: int, kind: int = socket.SOCK_STREAM) -> None:
    socket.socket(family, kind).close()


def connected(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)


ATTEMPTS: dict[str, Callable[[], object]] = {
    # ProtectKernelTunables=, ProtectControlGroups=, ProtectHostname=
    "read /proc/sys": lambda: read("/proc/sys/kernel/hostname"),
    "write /proc/sys": lambda: write("/proc/sys/kernel/hostname"),
    "write /proc/sysrq-trigger": lambda: write("/proc/sysrq-trigger"),
    "write /sys": lambda: write("/sys/kernel/uevent_helper"),
    "write /sys/power": lambda: write("/sys/power/state"),
    "create a control group": lambda: os.mkdir("/sys/fs/cgroup/attempt"),
    "leave the control group": lambda: write("/sys/fs/cgroup/cgroup.procs"),
    "set the host's name": lambda: called("sethostname", b"attempt", 7),
    # ProtectKernelLogs=, ProtectKernelModules=, ProtectClock=
    "read the kernel's log": lambda: called(
        "klogctl", SYSLOG_READ_ALL, ctypes.create_string_buffer(64), 64
    ),
    "read /dev/kmsg": lambda: read("/dev/kmsg"),
    "write /dev/kmsg": lambda: write("/dev/kmsg"),
    "read /proc/kmsg": lambda: read("/proc/kmsg"),
    "load a module": lambda: system_call("init_module", b"", 0, b""),
    "load a kernel": lambda: system_call("kexec_load", 0, 0, None, 0),
    "set the clock": set_clock,
    "open the clock": lambda: read("/dev/rtc0"),
    # PrivateDevices=
    "a disk": lambda: read("/dev/sda"),
    "the memory": lambda: read("/dev/mem"),
    "a terminal of others": lambda: write("/dev/console"),
    "make a device": lambda: os.mknod("/dev/attempt", 0o600 | 0o020000, os.makedev(1, 1)),
    # ProtectHome=, ProtectSystem=, PrivateTmp=, PrivateMounts=
    "read /home": lambda: read("/home"),
    "read /root": lambda: read("/root"),
    "write /": lambda: create("/"),
    "write /usr": lambda: create("/usr"),
    "write /etc": lambda: create("/etc"),
    "write /run": lambda: create("/run"),
    "write /tmp of others": lambda: read("/tmp/of-others"),
    "write /var/tmp of others": lambda: read("/var/tmp/of-others"),
    "read /var/log": lambda: read("/var/log"),
    "read the journal": lambda: read("/var/log/journal"),
    "read the package database": lambda: read("/var/lib/dpkg/status"),
    "mount": lambda: called("mount", b"/etc", b"/usr", None, MS_BIND, None),
    "unmount": lambda: called("umount2", b"/etc", 0),
    "change the root": lambda: os.chroot("/usr"),
    # The other's state, and secrets
    "read the token": lambda: read("/etc/sendrecv/token"),
    "write the settings": lambda: create("/etc/sendrecv"),
    "list the senders' records": lambda: read("/var/lib/sendrecv"),
    "list the receiver's ledger": lambda: read("/var/lib/sendrecv-receiver"),
    "list the receiver's run directory": lambda: read("/run/sendrecv-receiver"),
    "list the senders' run directory": lambda: read("/run/sendrecv"),
    "put a socket beside the receiver's": lambda: create("/run/sendrecv-socket"),
    "tell of a takeover": lambda: create("/run/sendrecv-takeover"),
    "talk to PID 1": lambda: connected("/run/systemd/private"),
    # PrivateIPC=
    "shared memory": lambda: called("shmget", IPC_PRIVATE, 4096, 0o600),
    "a queue of messages": lambda: called("msgget", IPC_PRIVATE, 0o600),
    "semaphores": lambda: called("semget", IPC_PRIVATE, 1, 0o600),
    "a named queue": named_queue,
    # ProtectProc=, ProcSubset=, PrivateUsers=
    "read the processes": lambda: read("/proc"),
    "read the mounts": lambda: read("/proc/self/mountinfo"),
    "read the status of PID 1": lambda: read("/proc/1/status"),
    # Other processes, more rights
    "see processes of others": see_others,
    "signal PID 1": signal_others,
    "trace PID 1": lambda: called("ptrace", PTRACE_ATTACH, 1, None, None),
    "become root": lambda: os.setuid(0),
    "a set-user-ID file": setuid_file,
    "writable code": writable_code,
    "a namespace of users": lambda: called("unshare", CLONE_NEWUSER),
    "a namespace of mounts": lambda: called("unshare", CLONE_NEWNS),
    "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "another personality": lambda: called("personality", PERSONALITY_32),
    "a key": lambda: system_call("add_key", b"user", b"attempt", b"x", 1, -1),
    "a program in the kernel": lambda: system_call("bpf", 0, None, 0),
    # Networks
    "a network": lambda: opened(socket.AF_INET),
    "a network (IPv6)": lambda: opened(socket.AF_INET6),
    "netlink": lambda: opened(socket.AF_NETLINK, socket.SOCK_RAW),
    "packets": lambda: opened(socket.AF_PACKET, socket.SOCK_RAW),
}


def outcome(attempt: Callable[[], object]) -> str:
    """ "done", or the name of the error. In a process of its own: an attempt may end it."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            attempt()
            text = "done"
        except OSError as error:
            text = errno.errorcode.get(error.errno or 0, "OSError")
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    text = os.read(reader, 100).decode()
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    return text or f"killed by {signal.Signals(os.WTERMSIG(status)).name}"


if __name__ == "__main__":
    print(json.dumps({name: outcome(attempt) for name, attempt in ATTEMPTS.items()}))
    sys.exit(0)
