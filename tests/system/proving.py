"""`sendrecv proof` in a machine, and what the tests of it look at."""

import contextlib
import io
import json
from typing import Any

from sendrecv.proof import prove
from tests.lab.machine import Machine
from tests.system.app import App


def counting(machine: Machine, name: str = "x") -> App:
    """An App that has begun to count."""
    app = App(machine, name)
    app.start()
    return app


def without_audits(app: App) -> App:
    """What is proven then, the journal shows."""
    units = "sendrecv-audit.timer sendrecv-audit.path"
    app.machine.run(f"systemctl disable --now {units}; systemctl stop sendrecv-audit.service")
    app.machine.run("rm -rf /var/lib/sendrecv-audit/*")
    return app


def proof(machine: Machine, *arguments: str, as_user: str = "root") -> dict[str, Any]:
    """The verdict as JSON, which must go with the exit status."""
    command = ["runuser", "-u", as_user, "--", "sendrecv", "proof", "--json", *arguments]
    done = machine.run(command, check=False)
    assert done.returncode in {0, 1, 2}, done.stderr
    verdict: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == ["PROVEN", "VIOLATED", "INCONCLUSIVE"].index(verdict["verdict"])
    return verdict


def proof_here(*arguments: str) -> dict[str, Any]:
    """The same, on the machine that runs the tests: another one, without the package's state."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        prove.main(["--json", *arguments])
    verdict: dict[str, Any] = json.loads(output.getvalue())
    return verdict


def unproven(verdict: dict[str, Any], app: str = "x") -> dict[str, str]:
    """The checks that do not hold."""
    (its,) = (one for one in verdict["apps"] if one["app"] == app)
    checks = {check["check"]: check["verdict"] for check in its["checks"]}
    return {name: status for name, status in checks.items() if status not in {"PROVEN", "NOTHING"}}


def findings(verdict: dict[str, Any]) -> list[tuple[str, str]]:
    """Of each check: what it found, violations and doubts."""
    return [
        (check["check"], finding["text"])
        for app in verdict["apps"]
        for check in app["checks"]
        for finding in check["findings"]
    ]


def assert_proven(verdict: dict[str, Any]) -> None:
    assert (verdict["verdict"], findings(verdict)) == ("PROVEN", [])


def drop_in(machine: Machine, unit: str, text: str) -> None:
    machine.write(f"/etc/systemd/system/{unit}.d/50-planted.conf", text)
    machine.run("systemctl daemon-reload")


def after_restart(app: App) -> None:
    """Waits, once the machine has booted, for main to count again."""
    with app.counts_from("main"):
        app.machine.wait_until(lambda: app.active() == ["main"], "main active after the boot")


def plant_line(app: App, line: str) -> None:
    """Let the receiver's own unit print a line more, as it starts again."""
    machine = app.machine
    printing = f"[Service]\nExecStartPost=/bin/echo '<6>{line}'\n"
    drop_in(machine, "receiver.service", printing.replace('"', '\\"'))
    with app.counts_from():
        machine.run("systemctl restart receiver")
    machine.run("rm -r /etc/systemd/system/receiver.service.d; systemctl daemon-reload")
