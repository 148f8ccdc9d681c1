"""tests/lab/host.sh installs what is missing, in one line; if it cannot, it shows the log's end."""

import re
import subprocess

from tests.lab.machine import DEB, Machine
from tests.lab.paths import TOP

LOG = "/srv/tree/.build/log/host.log"
LINE = r"installing Debian's tools on this machine \.\.\. "


def host(machine: Machine, *packages: str) -> "subprocess.CompletedProcess[str]":
    """Run with these packages at the top of a tree."""
    machine.put(TOP / "tests" / "lab" / "host.sh", "/srv/tree/tests/lab/host.sh")
    command = ["sh", "-c", 'cd /srv/tree && tests/lab/host.sh "$@"', "sh", *packages]
    return machine.run(command, check=False)


def test_what_is_installed_costs_no_line(bare_machine: Machine) -> None:
    done = host(bare_machine, "systemd", "procps")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_missing_is_installed_in_one_line(bare_machine: Machine) -> None:
    bare_machine.put(DEB, "/srv/tree/sendrecv.deb")
    done = host(bare_machine, "systemd", "./sendrecv.deb")
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(rf"{LINE}\d+ s\n", done.stderr)
    assert "Setting up sendrecv" in bare_machine.run(["cat", LOG]).stdout
    assert bare_machine.run("sendrecv --version").stdout


def test_what_cannot_be_installed_shows_why_and_names_the_log(bare_machine: Machine) -> None:
    done = host(bare_machine, "systemd", "no-such-package")
    assert (done.returncode, done.stdout) == (1, "")
    first, *tail, last = done.stderr.splitlines()
    assert re.fullmatch(rf"{LINE}FAILED after \d+ s", first)
    assert any("Unable to locate package no-such-package" in line for line in tail)
    assert len(tail) <= 20
    assert last == f"log: {LOG}"


def test_only_root_may(bare_machine: Machine) -> None:
    bare_machine.put(TOP / "tests" / "lab" / "host.sh", "/srv/tree/tests/lab/host.sh")
    command = "cd /srv/tree && runuser -u nobody -- tests/lab/host.sh no-such-package"
    done = bare_machine.run(command, check=False)
    assert (done.returncode, done.stderr) == (1, "run this as root: it boots machines\n")
