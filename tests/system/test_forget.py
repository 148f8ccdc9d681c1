"""`sendrecv forget` as it is typed, on real units: an App begins anew, and the proof says so."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import Machine
from tests.system.app import App


@pytest.fixture(scope="module")
def shared(release: str, installed_disk: Path) -> Iterator[Machine]:
    with Machine(release, layer=installed_disk) as machine:
        yield machine


def forget(machine: Machine, arguments: str, before: str = "") -> tuple[int, str, str]:
    done = machine.run(f"{before} sendrecv forget {arguments}", check=False)
    return done.returncode, done.stdout, done.stderr


def row(machine: Machine, name: str) -> list[str]:
    """Its node, epoch and count, as `sendrecv status` has them; nothing if there is no such App."""
    said = json.loads(machine.run(f"sendrecv status --json {name}", check=False).stdout)
    return [str(app[key]) for app in said["apps"] for key in ("nodeID", "epoch", "count")]


def proof(machine: Machine, name: str) -> tuple[str, dict[str, object]]:
    done = machine.run(f"sendrecv proof --json {name}", check=False)
    said = json.loads(done.stdout)
    return said["verdict"], said["apps"][0]


def beginnings(machine: Machine, name: str) -> int:
    """How often the App has counted from 0."""
    lines = machine.run("journalctl --output=cat -u receiver.service").stdout
    return lines.count(f'{{"count": 0, "appID": "{name}", ')


def test_an_app_begins_anew(shared: Machine) -> None:
    app, other = App(shared, "one"), App(shared, "two")
    app.start()
    other.start()
    with app.counts_from("failover"):
        shared.kill(app.main, "KILL")
    app.count(10)
    app.stop()
    shared.run("sendrecv accept one --count 5")
    code, told, _ = forget(shared, "one", "yes |")
    assert code == 0 and "counts from 0" in told and "LOST" not in told
    assert not row(shared, "one")
    left = shared.run("ls /var/lib/sendrecv /run/sendrecv-receiver").stdout.split()
    assert "two.record" in left and not [name for name in left if "one" in name]
    app.start()
    app.count(3)
    assert row(shared, "one")[:2] == ["main", "1"] and beginnings(shared, "one") == 2
    other.count(3)
    other.assert_sound()
    app.stop()
    verdict, found = proof(shared, "one")
    assert verdict == "PROVEN", found
    assert [one["incarnation"] for one in found["forgotten"]] == [1]  # type: ignore[attr-defined]


def test_several_apps_with_one_restart(shared: Machine) -> None:
    """One of them is known to the receiver only, as it was a client's on another machine."""
    apps = [App(shared, name) for name in ("first", "second", "third")]
    for app in apps:
        app.start()
        app.stop()
    shared.run("rm /var/lib/sendrecv/third.record")
    after = shared.cursor()
    code, told, _ = forget(shared, "first second third", "yes |")
    assert code == 0 and told.count("is forgotten") == 3 and told.count("[y/N]") == 1, told
    entries = shared.journal(f"--after-cursor={after}")
    starts = [e for e in entries if str(e.get("MESSAGE")).startswith("Started receiver.service")]
    assert len(starts) == 1, starts
    for app in apps:
        assert not row(shared, app.name)
        app.start()
        app.count(2)
        assert beginnings(shared, app.name) == 2
        app.stop()
        assert proof(shared, app.name)[0] == "PROVEN"


def test_it_stays_forgotten(shared: Machine) -> None:
    """After the loss of power, and of the receiver's state, which is made anew from the journal."""
    app = App(shared, "gone")
    app.start()
    app.count(3)
    app.stop()
    assert forget(shared, "gone --yes")[0] == 0
    app.start()
    app.count(3)
    app.stop()
    count = int(row(shared, "gone")[2])
    assert beginnings(shared, "gone") == 2
    shared.run("systemctl stop receiver.service; rm /var/lib/sendrecv-receiver/ledger.db*")
    assert row(shared, "gone")[2] == str(count)
    shared.run("journalctl --sync")
    shared.power_cut()
    shared.boot()
    assert row(shared, "gone")[2] == str(count)
    app.start()
    app.count(3)
    assert int(row(shared, "gone")[2]) > count
    assert proof(shared, "gone")[0] != "VIOLATED"


def test_what_is_not_forgotten(shared: Machine) -> None:
    """Each time with one line that says why, and what to do; and nothing is changed."""
    app = App(shared, "kept")
    app.start()
    refused = [
        ("kept --yes", "", "systemctl stop sendrecv@kept.target"),
        ("nosuch --yes", "", "no App is called nosuch"),
        ("../kept --yes", "", "is not an appID"),
        ("", "", "required: APP"),
        ("kept --yes", "setpriv --reuid=nobody --clear-groups", "only root"),
    ]
    for arguments, before, why in refused:
        code, told, error = forget(shared, arguments, before)
        assert (code, told) == (64, "") and why in error and len(error.splitlines()) == 1, error
    app.count(3)
    app.stop()
    for answer in ("echo n |", "true |", "</dev/null"):
        code, told, error = forget(shared, "kept", answer)
        assert code == 64 and "nothing is changed" in error and "Forget App kept?" in told
    app.start()
    app.count(3)
    app.stop()
    app.assert_sound()


def test_an_app_whose_epochs_are_used_up(shared: Machine) -> None:
    """As a version that had no bound let it happen: nothing else helps."""
    app = App(shared, "full")
    app.start()
    app.stop()
    shared.run("systemctl stop receiver.socket receiver.service")
    used_up = 'UPDATE app SET epoch = 9223372036854775807 WHERE app_id = "full"'
    script = "import sqlite3; db = sqlite3.connect('/var/lib/sendrecv-receiver/ledger.db');"
    script += f" db.execute('{used_up}'); db.commit()"
    shared.run(["setpriv", "--reuid=sendrecv-receiver", "--clear-groups", "python3", "-c", script])
    shared.run("systemctl start receiver.socket")
    after = shared.cursor()
    app.systemctl("start", app.main)
    shared.wait_entry(
        lambda entry: "no epoch left for this App" in str(entry["MESSAGE"]),
        f"_SYSTEMD_UNIT={app.main}",
        after=after,
        what="the sender says so",
    )
    app.stop()
    assert forget(shared, "full --yes")[0] == 0
    app.start()
    app.count(3)
