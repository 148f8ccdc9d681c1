"""What somebody would try who has got hold of a process. Runs in a sandbox; prints what came of it.

Printed: one line of JSON, after the severity for the journal. "outcomes": for each attempt "done"
or the error's name. "root": what is in the root. "writable": where the process can write, and to
whom it can connect. Only Python's own modules, as it is copied into machines.
"""

import ctypes
import errno
import itertools
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNS, MS_BIND = 0x10000000, 0x20000, 4096
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
SYSLOG_READ_ALL, CLOCK_REALTIME, PERSONALITY_32, IPC_PRIVATE = 3, 0, 0x0008, 0
MACHINE = os.uname().machine
NUMBERS = {
    "x86_64": {"init_module": 175, "add_key": 248, "bpf": 321, "kexec_load": 246},
    "aarch64": {"init_module": 105, "add_key": 217, "bpf": 280, "kexec_load": 104},
}[MACHINE]
SEVERITY = "<5>"
"""Units whose lines of less weight are not stored are tried, too."""
OF_THE_HOST = ("/usr", "/etc", "/run")
ABSTRACT, HERE, ELSEWHERE, PORT = "\0attempt", "127.0.0.1", "192.0.2.1", 7007
"""An address of a Unix socket on which somebody listens, and two of the host."""
SET_UID = "/usr/local/lib/set-user-id"
"""A copy of id(1)."""
OWN = os.environ.get("STATE_DIRECTORY") or os.environ.get("RUNTIME_DIRECTORY") or "/run"
EXIT_STATUS = 42
MOST = 200
"""Paths that are printed: there are fewer in a sandbox, and a /proc has thousands."""
# A program for i386: exit(42), by int 0x80.
I386 = struct.pack(
    "<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, 0x8054, 52, 0, 0, 52, 32, 1, 0, 0, 0
)
I386 += struct.pack("<8I", 1, 0, 0x8000, 0x8000, 96, 96, 5, 4096)
I386 += b"\xb8\1\0\0\0\xbb" + struct.pack("<I", EXIT_STATUS) + b"\xcd\x80"


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


def control_group() -> None:
    os.mkdir("/sys/fs/cgroup/attempt")
    os.rmdir("/sys/fs/cgroup/attempt")


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


def trace_others() -> None:
    """It is stopped by that, and goes on when it is let go."""
    called("ptrace", PTRACE_ATTACH, 1, None, None)
    os.waitpid(1, 0)
    called("ptrace", PTRACE_DETACH, 1, None, None)


def setuid_file() -> None:
    path = f"{OWN}/attempt"
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


def sent(host: str) -> None:
    """By UDP, so the kernel says at once that it does not send it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"attempt", (host, PORT))


def asked_by_bus(method: bytes, *words: bytes) -> None:
    """That method of systemd, by D-Bus, with texts as arguments."""
    libsystemd, bus = ctypes.CDLL("libsystemd.so.0"), ctypes.c_void_p()
    systemd = b"org.freedesktop.systemd1"
    where = (systemd, b"/org/freedesktop/systemd1", systemd + b".Manager")
    result = libsystemd.sd_bus_open_system(ctypes.byref(bus))
    if result >= 0:
        call = (*where, method, None, None, b"s" * len(words), *words)
        result = libsystemd.sd_bus_call_method(bus, *call)
    if result < 0:
        raise OSError(-result, method.decode())


def first_file(directory: str) -> None:
    read(f"{directory}/{(os.listdir(directory) or ['nothing'])[0]}")


def run_as_its_owner() -> None:
    """A set-user-ID program of root."""
    if subprocess.run([SET_UID, "-u"], stdout=subprocess.PIPE, check=False).stdout != b"0\n":
        raise PermissionError(errno.EPERM, "without its owner's rights")


def run_for_i386() -> None:
    path = f"{OWN}/attempt"
    with open(path, "xb") as file:
        file.write(I386)
    os.chmod(path, 0o700)
    try:
        status = os.spawnv(os.P_WAIT, path, [path])
    finally:
        os.unlink(path)
    if status < 0:
        os.kill(os.getpid(), -status)
    if status != EXIT_STATUS:
        raise OSError(errno.ENOEXEC, "no such program can be run")


ATTEMPTS: dict[str, Callable[[], object]] = {
    # ProtectKernelTunables=, ProtectControlGroups=, ProtectHostname=
    "read /proc/sys": lambda: read("/proc/sys/kernel/hostname"),
    "write /proc/sys": lambda: write("/proc/sys/kernel/hostname"),
    "write /proc/sysrq-trigger": lambda: write("/proc/sysrq-trigger"),
    "write /sys": lambda: write("/sys/kernel/uevent_helper"),
    "write /sys/power": lambda: write("/sys/power/state"),
    "create a control group": control_group,
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
    "mount": lambda: called("mount", b"/etc", b"/mnt", None, MS_BIND, None),
    "unmount": lambda: called("umount2", b"/mnt", 0),
    "change the root": lambda: os.chroot("/usr"),
    # The other's state, and secrets
    "read the token": lambda: read("/etc/sendrecv/token"),
    "write the settings": lambda: create("/etc/sendrecv"),
    "list the senders' records": lambda: read("/var/lib/sendrecv"),
    "list the receiver's ledger": lambda: read("/var/lib/sendrecv-receiver"),
    "list the receiver's run directory": lambda: read("/run/sendrecv-receiver"),
    "list the senders' run directory": lambda: read("/run/sendrecv"),
    "put a socket beside the receiver's": lambda: create("/run/sendrecv-socket"),
    "write the record of another App": lambda: write("/var/lib/sendrecv/x.record"),
    "read the receiver's key": lambda: read("/run/sendrecv-tls/identity.pem"),
    "read the tokens of a reload": lambda: first_file("/run/sendrecv-reload"),
    "read the receiver's credentials": lambda: read("/run/credentials/receiver.service/token"),
    "tell of a takeover": lambda: create("/run/sendrecv-takeover"),
    # Who listens on this machine
    "talk to PID 1": lambda: connected("/run/systemd/private"),
    "ask the reader of the journal": lambda: connected("/run/sendrecv-journal.socket"),
    "talk to D-Bus": lambda: connected("/run/dbus/system_bus_socket"),
    "stop a unit by D-Bus": lambda: asked_by_bus(b"StopUnit", b"time-sync.target", b"replace"),
    "see processes by D-Bus": lambda: asked_by_bus(b"GetUnitProcesses", b"dbus.service"),
    "an abstract socket": lambda: connected(ABSTRACT),
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
    "trace PID 1": trace_others,
    "become root": lambda: os.setuid(0),
    "a set-user-ID file": setuid_file,
    "a set-user-ID program": run_as_its_owner,
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
    "a packet to this machine": lambda: sent(HERE),
    "a packet to elsewhere": lambda: sent(ELSEWHERE),
}
if MACHINE == "x86_64":
    ATTEMPTS["a system call of i386"] = run_for_i386


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


def in_the_root() -> Iterator[str]:
    """All paths but what is below those of the host, and the process's own."""
    for top, directories, files in os.walk("/"):
        paths = {os.path.join(top, name): name for name in directories}
        yield from paths
        yield from (os.path.join(top, name) for name in files)
        directories[:] = (paths[path] for path in paths.keys() - {*OF_THE_HOST, OWN})


def open_to_writing() -> Iterator[str]:
    """Files, directories, and sockets to connect to. Of /usr and /etc an attempt says it."""
    for top, directories, files in os.walk("/"):
        for name in [*directories, *files]:
            path = os.path.join(top, name)
            left_out = path in {"/usr", "/etc", "/proc", "/sys"} or os.path.islink(path)
            is_open = not left_out and os.access(path, os.W_OK)
            if is_open:
                yield path
            if name in directories and (left_out or is_open):
                directories.remove(name)


if __name__ == "__main__":
    outcomes = {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
    everything = {
        "outcomes": outcomes,
        "root": sorted(itertools.islice(in_the_root(), MOST)),
        "writable": sorted(itertools.islice(open_to_writing(), MOST)),
    }
    print(f"{SEVERITY}{json.dumps(everything)}", flush=True)
