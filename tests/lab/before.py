"""The package of before the receiver had a Unix socket, of which an upgrade is tested: it listened
on 127.0.0.1:3000, and senders connected there. Built from the history of this tree, once.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import IO

from tests.lab import progress, roots
from tests.lab.machine import Machine
from tests.lab.paths import TOP

COMMIT = "6e3459bc9629ab778ea2183cecc120eb816feeca"
_TREE = "/home/builder/before"
# A version below today's, which had the same number then.
_BUILD = f"""
set -e
mkdir {_TREE}
cd {_TREE}
tar -xf /tmp/before.tar
sed -i '1s/1\\.0\\.0/1.0.0~before/' debian/changelog
dpkg-buildpackage --build=binary --no-sign
mv ../sendrecv_*.deb /tmp/before.deb
"""


def deb() -> Path:
    """The package, cached."""
    target = roots.CACHE / "before" / f"{COMMIT[:12]}.deb"
    target.parent.mkdir(parents=True, exist_ok=True)
    with roots.locked(target.parent / "lock"):
        if not target.exists():
            roots.ensure("build", "trixie")
            with progress.step("building the package of before, for an upgrade", "before") as log:
                _build(target, log)
    return target


def _build(target: Path, log: IO[str]) -> None:
    with tempfile.TemporaryDirectory() as directory, Machine("trixie", kind="build") as machine:
        archive = Path(directory) / "before.tar"
        git = ["git", "-c", f"safe.directory={TOP}", "archive", f"--output={archive}", COMMIT]
        subprocess.run(git, cwd=TOP, stderr=log, check=True)
        machine.put(archive, "/tmp/before.tar")
        with machine.popen(_BUILD, stdout=log, stderr=log) as process:
            if process.wait():
                raise subprocess.CalledProcessError(process.returncode, "dpkg-buildpackage")
        partial = target.with_suffix(".new")
        machine.get("/tmp/before.deb", partial)
        partial.rename(target)
