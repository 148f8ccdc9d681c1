"""Where the package is built and its source is checked: a machine with a copy of the tree.

No network, Debian's tools only, an unprivileged user: the checkout stays clean, and nothing that
happens to be installed on the host makes a difference.

    python3 -m tests.lab.workshop        builds sendrecv.deb at the top of the tree
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

from tests.lab import progress, roots
from tests.lab.machine import DEB, Machine
from tests.lab.paths import TOP

TREE = "/home/builder/sendrecv"


def _files() -> list[str]:
    """The tree's files as they are now, without what is ignored; all of them outside a checkout."""
    if not (TOP / ".git").exists():
        return ["."]
    command = ["git", "-c", f"safe.directory={TOP}", "ls-files", "-zco", "--exclude-standard"]
    listed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and os.path.lexists(TOP / name)]


@contextlib.contextmanager
def workshop(release: str) -> Iterator[Machine]:
    """A machine of that release with the build packages, and the tree in TREE."""
    with Machine(release, kind="build") as machine:
        machine.unpack(["-C", str(TOP), "--null", "-T", "-"], TREE, names="\0".join(_files()))
        machine.run(["chown", "-R", "builder:", "/home/builder"])
        yield machine


def as_builder(command: str) -> list[str]:
    """The command, run in the tree by the unprivileged user."""
    return ["runuser", "-u", "builder", "--", "sh", "-c", f"cd {TREE} && {command}"]


def build_deb(log: IO[str]) -> int:
    """Builds sendrecv.deb; the output goes to the log. Returns the exit status."""
    build = "dpkg-buildpackage --build=binary --no-sign && mv ../sendrecv_*.deb ../sendrecv.deb"
    with workshop("trixie") as machine:
        with machine.popen(as_builder(build), stdout=log, stderr=log) as process:
            status = process.wait()
        if status == 0:
            # Renamed into place, so that an interrupted build leaves no half of a package.
            partial = DEB.with_suffix(".deb.new")
            machine.get(f"{TREE}/../sendrecv.deb", partial)
            partial.rename(DEB)
    return status


# As another user, elsewhere, with another umask, locale, time zone and clock; with files that are
# older than the last change, and that a directory, as it is on a tmpfs, lists in another order.
_BUILD_AGAIN = f"""
set -e
umask 077
mkdir -p /tmp/another/place /var/lib/chaos
cd {TREE}
find . ! -type d | sort -r | tar -cf - -T - | tar -xf - --no-same-permissions -C /tmp/another/place
printf '\\0\\0\\0\\0\\0\\0\\160\\0' > /var/lib/chaos/clock  # a year
cc -shared -fPIC -o /tmp/another/clock.so tests/chaos/clock.c
cd /tmp/another/place
find . -exec touch --no-dereference --date=2020-02-29 {{}} +
export TZ=XXX-14 LC_ALL=C LANGUAGE=de HOME=/tmp/another LD_PRELOAD=/tmp/another/clock.so
date
dpkg-buildpackage --build=binary --no-sign
unset LD_PRELOAD
cmp ../sendrecv_*.deb /tmp/{DEB.name} && exit
for one in ../sendrecv_*.deb /tmp/{DEB.name}; do
    dpkg-deb -R $one $one.tree
    ls -lR --time-style=full-iso $one.tree | sed '/^total/d; s|^/tmp/.*.tree|tree|' > $one.list
done
diff -r ../sendrecv_*.deb.tree /tmp/{DEB.name}.tree && diff ../sendrecv_*.list /tmp/{DEB.name}.list
exit 1
"""


def build_again(machine: Machine, log: IO[str]) -> int:
    """Builds it once more, in a workshop in which nothing is built yet, and compares the bytes.

    Returns the exit status. The differences go to the log.
    """
    machine.put(DEB, f"/tmp/{DEB.name}")
    with machine.popen(_BUILD_AGAIN, stdout=log, stderr=log) as process:
        return process.wait()


def main() -> int:
    """Builds sendrecv.deb, and says so."""
    try:
        roots.ensure("build", "trixie")
        with progress.step(f"building {DEB.name}", "deb") as log:
            if status := build_deb(log):
                raise subprocess.CalledProcessError(status, "dpkg-buildpackage")
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
