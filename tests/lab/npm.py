"""Packages from npm, for tests that need the JavaScript side: exactly those of a package-lock.json.

with Machine("trixie", binds={npm.modules(TOP / "tests/js"): "/srv/node_modules"}) as machine:
"""

import hashlib
import os
import shutil
from pathlib import Path

from tests.lab import progress, roots
from tests.lab.machine import Machine
from tests.lab.paths import TOP

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def modules(directory: Path) -> Path:
    """The node_modules folder for the package.json and package-lock.json there, cached."""
    lock = (directory / "package-lock.json").read_bytes()
    target = roots.CACHE / "npm" / hashlib.sha256(lock).hexdigest()[:12]
    target.parent.mkdir(parents=True, exist_ok=True)
    with roots.locked(target.parent / "lock"):
        if not target.is_dir():
            roots.ensure("npm", "trixie")
            what = f"installing {directory.relative_to(TOP)}/package-lock.json with npm"
            with progress.step(what, "npm"):
                _install(directory, target)
    return target / "node_modules"


def _install(directory: Path, target: Path) -> None:
    """In a machine on the host's network, whose certificates and proxies may be its own."""
    settings = [f"{name}={os.environ[name]}" for name in _PROXIES if name in os.environ]
    options = ["--resolv-conf=bind-host"]
    if _CERTIFICATES.exists():
        options.append(f"--bind-ro={_CERTIFICATES}")
        settings.append(f"NODE_EXTRA_CA_CERTS={_CERTIFICATES}")
    with Machine("trixie", kind="npm", options=options) as machine:
        machine.put(directory, "/srv/npm")
        install = "npm ci --prefix /srv/npm --ignore-scripts --no-audit --no-fund"
        machine.run(["env", *settings, *install.split()], timeout=300)
        machine.poweroff()
        partial = target.with_suffix(".new")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(machine.disk / "srv/npm", partial, symlinks=True)
    partial.rename(target)
