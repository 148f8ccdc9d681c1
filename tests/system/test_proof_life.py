"""`sendrecv proof` of an App whose beginning the journal has lost, on a booted machine."""

import json

import pytest

from tests.lab.machine import Machine
from tests.system.app import App
from tests.system.proving import counting, plant_line
from tests.system.test_audit import STATE, audit


@pytest.fixture(name="app")
def counting_app(machine: Machine) -> App:
    return counting(machine)


def proof(machine: Machine, *options: str) -> tuple[int, str]:
    machine.run("journalctl --sync")
    done = machine.run(f"sendrecv proof {' '.join(options)}", check=False)
    return done.returncode, done.stdout


def audited_and_forgotten(app: App) -> None:
    """A takeover, an audit; then the journal has nothing of it any more; a takeover after it."""
    machine = app.machine
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    machine.run("journalctl --rotate")
    audit(machine)
    machine.run("journalctl --vacuum-files=1")
    with app.counts_from("main"):
        machine.kill(app.failover, "KILL")


def test_an_app_is_proven_from_its_first_count_on(app: App) -> None:
    machine = app.machine
    audited_and_forgotten(app)
    status, text = proof(machine)
    assert status == 0, text
    assert " counts, 0 to " in text and "2 takeovers, the next start" in text, text
    assert f" in {STATE}. That is worth as much as root" in text, text
    told = json.loads(proof(machine, "--json")[1])["apps"][0]
    assert told["counts"]["number"] == told["counts"]["highest"] + 1
    assert told["figures"]["takeovers"] == {"takeover": 2} and not told["but_for"]
    # All that the journal still has is what was audited.
    audit(machine)
    audit(machine)
    status, text = proof(machine, "--full")
    assert status == 0 and " that differ: 0, " in text, text
    # Elsewhere, and without the chain:
    machine.run("sendrecv proof --bundle /tmp/life.gz; mv /var/lib/sendrecv-audit/head /root/")
    status, text = proof(machine, "--file", "/tmp/life.gz")
    assert status == 0 and " counts, 0 to " in text, text
    assert "the chain of audits is not used: the chain was removed" in proof(machine)[1]


def test_a_chain_that_was_edited_is_not_used(app: App) -> None:
    machine = app.machine
    audited_and_forgotten(app)
    machine.run(f"sed -i '1s/PROVEN/proven/' {STATE}/audits-*")
    status, text = proof(machine)
    assert status == 2 and "the chain of audits is not used: " in text, text


def test_what_is_violated_after_an_audit_is_found(app: App) -> None:
    """A count of the time that the journal has lost comes again."""
    audited_and_forgotten(app)
    plant_line(app, '{"count": 1, "appID": "x", "nodeID": "main"}')
    status, text = proof(app.machine)
    assert status == 1 and "count 1 was printed twice" in text, text
