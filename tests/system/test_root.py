"""The root of senders and receiver: mounted once, read-only, and again if somebody unmounts it."""

import pytest

from tests.lab.machine import Machine
from tests.system.app import App

PLACES = ("/usr", "/etc", "/run")
UNMOUNT = "umount --recursive /run/sendrecv.root"
STOP = "systemctl stop run-sendrecv.root.mount"


def flags(machine: Machine, unit: str) -> dict[str, set[str]]:
    """What that unit's process sees mounted, with the flags."""
    pid = machine.show(unit, "MainPID")
    lines = machine.run(["cat", f"/proc/{pid}/mountinfo"]).stdout.splitlines()
    return {fields[4]: set(fields[5].split(",")) for fields in map(str.split, lines)}


@pytest.fixture
def app(machine: Machine) -> App:
    """One that runs."""
    one = App(machine, "one")
    with one.counts_from("main"):
        one.start()
    return one


@pytest.mark.parametrize("unit", ["sender", "receiver"])
def test_what_is_of_the_host_is_read_only(app: App, unit: str) -> None:
    seen = flags(app.machine, app.main if unit == "sender" else "receiver.service")
    for place in PLACES:
        assert {"ro", "nosuid", "nodev"} <= seen[place], place
    assert not {"/proc", "/home"} & set(seen)
    assert "rw" in seen["/var/lib/sendrecv" if unit == "sender" else "/var/lib/sendrecv-receiver"]


def test_a_bind_of_somebodys_drop_in(app: App) -> None:
    """At a place that the root has not; and with a /proc."""
    app.machine.write("/srv/of-mine/file", "x")
    dropin = "[Service]\nBindReadOnlyPaths=/srv/of-mine\nProcSubset=pid\n"
    app.machine.write("/etc/systemd/system/sender-failover@.service.d/mine.conf", dropin)
    app.machine.run("systemctl daemon-reload")
    with app.counts_from("failover"):
        app.machine.kill(app.main, "KILL")
    assert {"/srv/of-mine", "/proc"} <= flags(app.machine, app.failover).keys()


def test_what_is_mounted_in_etc_is_there(machine: Machine) -> None:
    """As in a container, whose /etc/resolv.conf is its host's."""
    machine.run("cp /etc/debian_version /root/copy; mount --bind /root/copy /etc/debian_version")
    one = App(machine, "one")
    with one.counts_from("main"):
        one.start()
    assert "/etc/debian_version" in flags(machine, one.main)
    machine.run(f"systemctl stop {one.target}; {STOP}")
    assert "sendrecv.root" not in machine.run("cat /proc/self/mountinfo").stdout


def test_the_first_start_after_a_power_cut(machine: Machine, app: App) -> None:
    """What systemd makes in /run for a unit with mounts is not there yet."""
    app.systemctl("enable", app.main)
    machine.power_cut()
    machine.boot()
    app.count(2)
    assert app.active() == ["main"]
    assert (
        "NAMESPACE" not in machine.run("journalctl -b --no-pager -u 'sender*' -u receiver").stdout
    )


@pytest.mark.parametrize("how", [UNMOUNT, STOP])
def test_who_unmounts_it_stops_no_app(app: App, how: str) -> None:
    """What runs has a copy of its own; and whoever starts next mounts it again."""
    with app.counts_from():
        app.machine.run(how)
    with app.counts_from("failover"):
        app.machine.run(f"systemctl kill --signal=KILL {app.main}", check=False)
    with app.counts_from():
        app.machine.kill("receiver", "KILL")
    mounted = app.machine.run("cat /proc/self/mountinfo").stdout
    assert all(f" /run/sendrecv.root{place} ro" in mounted for place in PLACES)
    app.assert_sound()
