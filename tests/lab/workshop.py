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
