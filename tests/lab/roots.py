"""Debian roots for the tests: made with mmdebstrap, cached outside the tree, shared by checkouts.

A root is read-only once made: machines and build steps put an overlay over it. Its name holds a
hash of everything it was made from, so a changed list of packages is a new root, and it is renamed
into place only when it is complete. Whoever uses a root holds a shared lock on it; superseded
roots that nobody holds are removed.

    python3 -m tests.lab.roots machine trixie       makes it if need be, prints its path
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab import progress

NAMES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
RELEASES = tuple(NAMES)
CACHE = Path(os.environ.get("SENDRECV_TEST_CACHE", "/var/cache/sendrecv-tests"))
# Empty: mmdebstrap's own choice, Debian's mirror with the updates and security suites.
MIRROR = os.environ.get("SENDRECV_TEST_MIRROR", "")

# What the .deb depends on, so that installing it needs no network.
RUNTIME = "python3-socketio python3-aiohttp python3-websocket python3-sdnotify python3-requests"
# A host for the .deb, with what tests do in it. (libgcrypt20: for journalctl --setup-keys.)
_MACHINE = (
    f"systemd-sysv dbus {RUNTIME} nodejs procps iproute2 sqlite3 curl kmod strace libgcrypt20"
    " python3-rich"
)
# What administrators have beside it, for tests/admin.
_ADMIN = (
    "prometheus",
    "prometheus-node-exporter",
    "python3-prometheus-client",
    *("cockpit-ws", "cockpit-bridge", "cockpit-system"),
    *("chromium", "chromium-driver", "python3-selenium"),
)
PACKAGES = {
    "machine": _MACHINE,
    "admin": f"{_MACHINE} {' '.join(_ADMIN)}",
    # One of several, for tests/lab/cluster.py. (keepalived: a peer of tests/bench.)
    "host": f"{_MACHINE} etcd-server etcd-client nftables keepalived",
    # With what else of Debian has to do with the package, for tests/system/test_habits.py.
    "habits": (
        f"{_MACHINE} apt-utils autopkgtest bash-completion needrestart piuparts pkexec polkitd zsh"
    ),
    # For unit tests, Debian's checks of the .deb, and the clock of tests/chaos.
    "build": (
        f"gcc libc6-dev lintian systemd {RUNTIME} python3-pytest python3-hypothesis"
        " python3-greenlet python3-prometheus-client python3-rich man-db groff"
    ),
    # Apart, because npm brings 350 packages that nothing else needs.
    "npm": "systemd npm",
}
# On one release the .deb is built, and all that looks at the source is run.
_ALSO = {
    ("build", "trixie"): (
        "build-essential debhelper dh-python pybuild-plugin-pyproject python3-all"
        " python3-setuptools mypy python3-typeshed black flake8 pylint python3-coverage codespell"
        " shellcheck mandoc spin"
    )
}
_PURPOSES = {
    "machine": "to boot",
    "admin": "to boot with Prometheus and Cockpit",
    "host": "to boot with others",
    "habits": "to boot with other programs of Debian",
    "build": "to build in",
    "npm": "for npm",
}

# A persistent journal; and no timers that wake up in the middle of a test to reach for a network.
_MACHINE_HOOK = (
    'mkdir -p "$1/var/log/journal"'
    ' && systemctl --root="$1" --quiet mask apt-daily.timer apt-daily-upgrade.timer'
    " dpkg-db-backup.timer fstrim.timer e2scrub_all.timer"
    ' && rm -f "$1/etc/machine-id" "$1/var/lib/dbus/machine-id"'
)
# What is built and tested here is, as far as it can be, not by root.
_BUILDER_HOOK = 'useradd --root "$1" --create-home builder'
# Which of the hosts have etcd is said later, and it is told who the others are before it starts.
_HOST_HOOK = 'systemctl --root="$1" --quiet disable etcd.service'
# A test starts what it looks at, with settings of its own.
_ADMIN_HOOK = (
    'systemctl --root="$1" --quiet disable prometheus.service prometheus-node-exporter.service'
)
_HOOKS = {kind: [_MACHINE_HOOK] for kind in PACKAGES}
_HOOKS["build"].append(_BUILDER_HOOK)
_HOOKS["host"].append(_HOST_HOOK)
_HOOKS["admin"].append(_ADMIN_HOOK)


def _recipe(kind: str, release: str) -> list[str]:
    """The mmdebstrap options that say what is in the root."""
    packages = ",".join(f"{PACKAGES[kind]} {_ALSO.get((kind, release), '')}".split())
    hooks = [f"--customize-hook={hook}" for hook in _HOOKS[kind]]
    return ["--variant=minbase", f"--include={packages}", *hooks, release]


def path(kind: str, release: str) -> Path:
    """Where the root is, or would be."""
    digest = hashlib.sha256(repr(_recipe(kind, release)).encode()).hexdigest()[:12]
    return CACHE / "roots" / f"{release}-{kind}-{digest}"


def _proxies() -> list[str]:
    """The host's apt proxies: the only part of its apt settings that a root needs to be made."""
    dump = subprocess.run(
        ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True
    ).stdout
    lines = [line for line in dump.splitlines() if "proxy" in line.lower() and '""' not in line]
    return [f"--aptopt={line}" for line in lines]


@contextlib.contextmanager
def locked(file: Path, operation: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Holds a lock on the file, which is made if it is missing."""
    with file.open("a", encoding="ascii") as handle:
        fcntl.flock(handle, operation)
        yield


def _remove_superseded(kind: str, release: str) -> None:
    current = path(kind, release)
    for old in current.parent.glob(f"{release}-{kind}-*"):
        if not old.is_dir() or old == current or old.suffix == ".new":
            continue
        with (
            contextlib.suppress(BlockingIOError),
            locked(old.with_suffix(".lock"), fcntl.LOCK_EX | fcntl.LOCK_NB),
        ):
            shutil.rmtree(old)


def _make(kind: str, release: str, target: Path) -> None:
    partial = target.with_suffix(".new")
    shutil.rmtree(partial, ignore_errors=True)
    *options, suite = _recipe(kind, release)
    mirror = [MIRROR] if MIRROR else []
    command = ["mmdebstrap", "--mode=root", *_proxies(), *options, suite, str(partial), *mirror]
    what = f"making a {NAMES[release]} {_PURPOSES[kind]}, kept in {CACHE}"
    with progress.step(what, f"root-{release}-{kind}") as log:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
    partial.rename(target)


def ensure(kind: str, release: str) -> Path:
    """Returns the root's path; makes it first if it is missing, once, whoever else waits for it."""
    target = path(kind, release)
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f"{release}-{kind}.building"):
        if not target.is_dir():
            _make(kind, release, target)
            _remove_superseded(kind, release)
    return target


@contextlib.contextmanager
def use(kind: str, release: str) -> Iterator[Path]:
    """The root's path, for as long as the context lasts: nobody removes it meanwhile."""
    target = ensure(kind, release)
    with locked(target.with_suffix(".lock"), fcntl.LOCK_SH):
        yield target


def main() -> None:
    """Makes the roots that are asked for."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab.roots", description=__doc__)
    parser.add_argument("kind", choices=sorted(PACKAGES))
    parser.add_argument("release", choices=RELEASES, nargs="+")
    arguments = parser.parse_args()
    for release in arguments.release:
        print(ensure(arguments.kind, release))


if __name__ == "__main__":
    main()
