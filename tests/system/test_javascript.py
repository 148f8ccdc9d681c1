"""Any Socket.IO client can drive the receiver by its protocol: npm's, in the machine's Node.js."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.judges.checker import check
from tests.lab import npm
from tests.lab.machine import TOP, Machine
from tests.system.app import FIELDS

HOME = "/srv/js"
TRANSPORTS = {
    "default": ["polling", "websocket"],  # the second is what the first is upgraded to
    "websocket": ["websocket"],
    "polling": ["polling"],
}


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests, with the client's packages."""
    modules = npm.modules(TOP / "tests/peers/js")
    binds = {modules: f"{HOME}/node_modules"}
    with Machine(release, layer=installed_disk, binds=binds) as machine:
        machine.put(TOP / "tests/peers/js/client.js", f"{HOME}/client.js")
        machine.run("systemctl enable --now receiver-tcp.socket")
        yield machine


def accepted(last: int | None) -> dict[str, object]:
    """The answer to counts that were accepted, and to "resume"."""
    return {"status": "accepted", "last": last}


INVALID = {"status": "invalid", "last": None}
SEEN = {
    "wrongToken": {"reason": "token"},
    "noToken": {"reason": "token"},
    "invalid": {"reason": "invalid"},
    "resumed": accepted(None),
    "first": accepted(0),
    "duplicate": {"status": "duplicate", "last": 0},
    "gap": {"status": "gap", "last": 0},
    "batch": accepted(511),
    "upgraded": accepted(1023),
    "notAnObject": INVALID,
    "notANumber": INVALID,
    "notItsNode": INVALID,
    "noSuchEvent": INVALID,
    "afterwards": accepted(1024),
    "resumedAgain": accepted(1024),
    "goesOn": accepted(1025),
    "otherRun": {"reason": "stale", "epoch": 1},
    "stale": {"reason": "stale", "epoch": 7},
    "resumedByOther": accepted(1025),
    "lastOne": accepted(1026),
}


@pytest.mark.parametrize("name", TRANSPORTS)
def test_npm_s_client_counts(host: Machine, name: str) -> None:
    app_id = f"js-{name}"
    words = ["node", f"{HOME}/client.js", "http://127.0.0.1:3000", app_id]
    done = host.run([*words, *TRANSPORTS[name]])
    seen = json.loads(done.stdout)
    assert seen.pop("transport") == ("polling" if name == "polling" else "websocket")
    for cut in (seen.pop("cutOff"), seen.pop("takenOver")):
        assert cut in {"io server disconnect", "transport close", "transport error"}
    ledgers = {seen[name].pop("ledger") for name in ("resumed", "resumedAgain", "resumedByOther")}
    assert len(ledgers) == 1 and all(re.fullmatch("[0-9a-f]{16}", name) for name in ledgers)
    assert seen == SEEN
    lines = check(host.journal(fields=FIELDS)).lines[app_id]
    assert [line.count for line in lines] == list(range(1027))
    assert {line.node for line in lines} == {"main"}
