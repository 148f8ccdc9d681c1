"""The root of senders and receiver: mounted once, read-only, and again if somebody unmounts it.

systemd/mount-root does this.
"""

import contextlib
import time

import pytest

from tests.lab.machine import Machine
from tests.system.app import App

PLACES = ("/usr", "/etc", "/run")
LASTING = 5.0
"""Seconds of a trouble. By itself, systemd would try thousands of starts in each."""
MOST_FAILURES = 400
"""In each time as long: the limit of each of the two sockets once, and once more for each try of
the guard."""
PAUSES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Seconds between an unmount and the starts after it. Some meet what is half noticed."""
UNMOUNT = "umount --recursive /run/sendrecv.root"


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
    machine.run(f"systemctl stop {one.target}; {UNMOUNT}")
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


def test_who_unmounts_it_stops_no_app(app: App) -> None:
    """What runs has a copy of its own; and whoever starts next mounts it again."""
    with app.counts_from("main"):
        app.machine.run(UNMOUNT)
    app.machine.wait_until(lambda: not mounted_units(app.machine), "systemd notices")
    with app.counts_from("failover"):
        app.machine.kill(app.main, "KILL")
    with app.counts_from("failover"):
        app.machine.kill("receiver", "KILL")
    assert is_whole(app.machine)
    app.assert_sound()


def test_a_stop_by_hand_stops_no_app(app: App) -> None:
    for unit in mounted_units(app.machine):
        app.systemctl("stop", unit)
    assert not mounted_units(app.machine)
    with app.counts_from("main"):
        app.machine.kill("receiver", "KILL")
    app.machine.wait_until(lambda: is_whole(app.machine), "it is mounted")
    app.assert_sound()
    assert app.nodes() == ["main"]


def test_starts_before_systemd_notices(app: App) -> None:
    """It reads the list of mounts five times a second at most, and starts into nothing."""
    kill = "systemctl kill --signal=KILL"
    for pause in PAUSES:
        app.machine.run(f"{UNMOUNT}; sleep 1.5")
        with app.counts_from():
            app.machine.run(f"{kill} {app.main} {app.failover} receiver", check=False)
        app.machine.run(f"{UNMOUNT}; sleep {pause}; {kill} {app.failover} {app.main}; true")
        with app.counts_from():
            app.machine.run(f"{kill} receiver", check=False)
        app.machine.wait_until(lambda: is_whole(app.machine), "it is mounted")
    app.assert_sound(rescued=True)


@pytest.mark.parametrize(
    "commands",
    [
        "mkdir -p {0}/usr && mount --bind /usr {0}/usr",
        "mkdir -p {0}/usr && mount --bind /usr {0}/usr && mount --bind /usr/lib/sendrecv/root {0}",
        "mount -o bind,private /usr/lib/sendrecv/root {0} && mount --bind /etc {0}/run",
        "mount --bind /usr/lib/sendrecv/root {0}",
    ],
    ids=["a part without the root", "a part that the root hides", "another part", "shared"],
)
def test_what_is_mounted_otherwise(app: App, commands: str) -> None:
    """systemd takes a mount that is hidden for a good one."""
    app.machine.run(f"{UNMOUNT} && {commands.format('/run/sendrecv.root')} && sleep 1.5")
    with app.counts_from():
        app.machine.run(f"systemctl kill --signal=KILL {app.main} {app.failover} receiver; true")
    app.machine.wait_until(lambda: is_whole(app.machine), "it is mounted")
    app.assert_sound(rescued=True)
    places = app.machine.run("findmnt --raw --noheadings --output=TARGET").stdout.split()
    assert not [it for it in places if it == "/etc" or it.startswith("/usr/lib/sendrecv")]


def most_failures(began: float) -> float:
    """How many there may be of a trouble that began then."""
    return MOST_FAILURES * max(1.0, (time.monotonic() - began) / LASTING)


@pytest.mark.parametrize("before", ["it runs", "it is stopped"])
def test_what_the_receiver_requires_is_missing(app: App, before: str) -> None:
    """For a while: systemd takes it for being restarted, or tries again at once and for ever."""
    machine = app.machine
    unit, there = "/etc/systemd/system/needed.service", "/root/needed"
    machine.write(unit, f"[Unit]\nAssertPathExists={there}\n[Service]\nExecStart=sleep infinity\n")
    drop_in = "/etc/systemd/system/receiver.service.d/needs.conf"
    machine.write(drop_in, "[Unit]\nRequires=needed.service\nAfter=needed.service\n")
    machine.run("systemctl daemon-reload")
    if before == "it is stopped":
        machine.run("systemctl stop receiver.socket receiver")
    began, after = time.monotonic(), machine.cursor()
    machine.run(
        "systemctl kill --signal=KILL receiver; systemctl start receiver.socket", check=False
    )
    failures = machine.follow("UNIT=receiver.service", after=after)
    with contextlib.closing(failures):
        next(e for e in failures if "failed with result 'dependency'" in str(e.get("MESSAGE")))
    time.sleep(LASTING)
    most = most_failures(began)
    with app.counts_from():
        machine.run(f"touch {there}")
    failed = [
        entry
        for entry in machine.journal("UNIT=receiver.service", f"--after-cursor={after}")
        if "Dependency failed" in str(entry.get("MESSAGE"))
    ]
    assert len(failed) <= most, f"{len(failed)} starts in vain"
    app.assert_sound(rescued=True)


@pytest.mark.parametrize(
    "lines",
    [
        "[Unit]\nAssertPathExists=/nowhere\n",
        "[Service]\nExecStart=\nExecStart=/bin/false\n",
    ],
    ids=["it is not started", "it fails"],
)
def test_what_both_halves_want_is_missing(app: App, lines: str) -> None:
    """A job that fails because of another unit counts for no start limit. If the halves required
    what is missing, they would start each other in PID 1 alone, which then does nothing else.
    """
    machine = app.machine
    drop_in = "/etc/systemd/system/sendrecv-root.service.d/none.conf"
    machine.write(drop_in, lines)
    machine.run(f"systemctl daemon-reload; {UNMOUNT}")
    machine.wait_until(lambda: not mounted_units(machine), "systemd notices")
    began, after = time.monotonic(), machine.cursor()
    machine.kill(app.main, "KILL")
    time.sleep(LASTING)
    most = most_failures(began)
    with app.counts_from():
        machine.run(f"rm {drop_in}; systemctl daemon-reload")
    entries = machine.journal(f"--after-cursor={after}")
    said = [str(entry.get("MESSAGE")) for entry in entries if "sender" in str(entry.get("UNIT"))]
    assert len(said) <= most, f"{len(said)} lines of systemd about the halves"
    app.assert_sound(rescued=True)


def test_a_filesystem_of_the_state_that_cannot_be_mounted(app: App) -> None:
    """The failover requires none, and counts on."""
    unit = "/etc/systemd/system/var-lib-sendrecv.mount"
    app.machine.write(
        unit, "[Mount]\nWhat=/dev/null\nWhere=/var/lib/sendrecv\nType=tmpfs\nOptions=none-such\n"
    )
    app.machine.run("systemctl daemon-reload")
    for unit in (app.main, app.failover, app.failover):
        with app.counts_from("failover"):
            app.machine.kill(unit, "KILL")
    app.assert_sound()


def test_only_the_receiver_is_killed_before_systemd_notices(app: App) -> None:
    """No sender starts, which would mount the root again."""
    app.machine.run(f"{UNMOUNT}; sleep 1.5; systemctl kill --signal=KILL receiver; sleep 0.4")
    with app.counts_from():
        app.machine.run(f"{UNMOUNT}; systemctl kill --signal=KILL receiver")
    app.assert_sound(rescued=True)
    assert app.nodes() == ["main"]


def mounted_units(machine: Machine) -> list[str]:
    """Those that systemd takes for mounted."""
    list_units = (
        "systemctl list-units --plain --no-legend --state=active 'run-sendrecv.root*.mount'"
    )
    return [line.split()[0] for line in machine.run(list_units).stdout.splitlines()]


def is_whole(machine: Machine) -> bool:
    """Whether all is mounted, and nothing of it hidden."""
    same = " && ".join(f"[ /run/sendrecv.root{place} -ef {place} ]" for place in PLACES)
    return machine.run(same, check=False).returncode == 0
