"""A browser in a machine of the kind "admin", and Cockpit for it."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab.machine import HANG, Machine, MachineError, end
from tests.lab.paths import BUILD, TOP

SHOTS = BUILD / "cockpit"
_SCRIPT = "/opt/browser.py"
_PORT = 9099
_COCKPIT = "/usr/lib/cockpit/cockpit-ws --no-tls --address 127.0.0.1 --local-session=cockpit-bridge"


class Browser:
    """Its methods wait for what they did. `ask`: those of tests/peers/browser.py."""

    def __init__(self, machine: Machine, process: subprocess.Popen[str]) -> None:
        self.machine = machine
        self._process = process
        assert self._answer() == "ready"

    def ask(self, method: str, *arguments: object) -> Any:
        """What that method of the page returns. Raises MachineError if it failed."""
        assert self._process.stdin
        print(json.dumps([method, *arguments]), file=self._process.stdin, flush=True)
        answer = self._answer()
        if isinstance(answer, dict) and answer.keys() == {"error"}:
            raise MachineError(f"{method}{arguments}: {answer['error']}")
        return answer

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise MachineError("the browser has ended")
        return json.loads(line)

    def value(self, expression: str) -> Any:
        """Of that expression, in the page."""
        return self.ask("script", expression)

    def wait(self, expression: str, timeout: float = HANG) -> Any:
        """Until that expression is true in the page; returns its value."""
        deadline = time.monotonic() + timeout
        while not (found := self.value(expression)):
            if time.monotonic() > deadline:
                text = self.value("document.body.innerText")
                raise MachineError(f"not in {timeout} s: {expression}; the page has:\n{text}")
            time.sleep(0.02)
        return found

    def visit(self, user: str = "root") -> None:
        """The page of sendrecv in Cockpit's shell, as a person opens it who is that user."""
        self.ask("open", "about:blank")
        _log_in(self.machine, user)
        self.ask("open", f"http://127.0.0.1:{_PORT}/sendrecv")
        deadline = time.monotonic() + HANG
        while not self.ask("frame", "cockpit1:localhost/sendrecv"):
            if time.monotonic() > deadline:
                raise MachineError("Cockpit shows no page of sendrecv")
            time.sleep(0.1)

    def shot(self, name: str) -> Path:
        """Saves a picture of the window."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{self.machine.release}-{name}.png"
        self.ask("shot", "/tmp/shot.png")
        self.machine.get("/tmp/shot.png", path)
        return path


@contextlib.contextmanager
def browser(machine: Machine) -> Iterator[Browser]:
    """Started, with an empty page."""
    machine.put(TOP / "tests/peers/browser.py", _SCRIPT)
    with machine.popen(["python3", _SCRIPT], stdin=subprocess.PIPE) as process:
        try:
            yield Browser(machine, process)
        finally:
            end(process)


def _log_in(machine: Machine, user: str) -> None:
    """Starts Cockpit with that user logged in: without a password, for who can reach its port. It
    bears one page load: at the next one, its bridge ends with "channel is already open".
    """
    machine.run("systemctl stop cockpit-test 2> /dev/null", check=False)
    home = machine.run(["getent", "passwd", user]).stdout.split(":")[5]
    options = f"--unit=cockpit-test -p User={user} -p WorkingDirectory={home} --setenv=HOME={home}"
    machine.run(f"systemd-run --quiet --collect {options} {_COCKPIT} --port {_PORT}")
    ping = f"curl --silent --output /dev/null http://127.0.0.1:{_PORT}/ping"
    machine.wait_until(lambda: machine.run(ping, check=False).returncode == 0, "Cockpit listens")
