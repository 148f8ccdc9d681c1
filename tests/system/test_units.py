"""The units on real systemd: whatever ends a half, the other goes on with the next count."""

import contextlib
import itertools
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.judges.checker import STARTING, check
from tests.lab.machine import Machine
from tests.lab.roots import CACHE, locked
from tests.system.app import App
from tests.system.trouble import FAST, allow_tcp, await_looks

STOP_TIMEOUT = 60.0
"""Seconds. A unit that has no time-out of its own keeps a shutdown waiting for 90."""
UNITS = (
    "sender@x.service sender-failover@x.service sendrecv@x.target receiver.service receiver.socket"
    " sendrecv-guard.timer sendrecv-guard.service sendrecv-token.path sendrecv-token.service"
    " sendrecv-mask.path sendrecv-mask.service sender-start-main@x.service"
    " sender-start-failover@x.service sendrecv-journal.socket sendrecv-journal@x.service"
    " receiver-status.socket receiver-tcp.socket receiver-tcp-start.service"
    " sendrecv-tls.service sendrecv-tls.timer sendrecv-reload.service"
    " sendrecv-metrics.timer sendrecv-metrics.service"
    " sendrecv-metrics.socket sendrecv-metrics-http.service"
    " sendrecv-audit.timer sendrecv-audit.path sendrecv-audit.service sendrecv-settle.service"
    " sendrecv-root.service"
)
SOCKET = "/run/sendrecv-socket/receiver.sock"
MakeApp = Callable[..., App]


@pytest.fixture(scope="module")
def shared(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests here: each has an App of its own."""
    with Machine(release, layer=installed_disk) as machine:
        yield machine


@pytest.fixture
def new_app(shared: Machine) -> Iterator[MakeApp]:
    """Makes an App that runs, and is stopped when the test is done."""
    apps: list[App] = []

    def make(name: str = "", settings: str = FAST) -> App:
        app = App(shared, name or f"app{next(_numbers)}", settings)
        apps.append(app)
        if "http" in settings:
            allow_tcp(shared, app.name)
        app.start()
        return app

    yield make
    shared.run(["systemctl", "stop", *(app.target for app in apps)])


@pytest.fixture
def app(new_app: MakeApp) -> App:
    """An App whose main sender runs."""
    return new_app()


@pytest.fixture
def tcp_app(shared: Machine, new_app: MakeApp) -> Iterator[App]:
    """The same, by TCP and with the token."""
    yield new_app(settings=f"{FAST}\nSENDRECV_URL=http://127.0.0.1:3000")
    shared.run("systemctl stop receiver-tcp.socket")


_numbers = itertools.count()


def test_a_hundred_and_fifty_at_once(machine: Machine) -> None:
    """As after a power cut: each start takes seconds, and none is given up or taken over.

    Before the other tests, when other steps of `make test` still boot their machines; and not on
    both releases at once: all that starts meanwhile takes as long.
    """
    names = [f"many{number}" for number in range(150)]
    with locked(CACHE / "crowd.lock"):
        machine.run(["systemctl", "start", *(f"sender@{name}" for name in names)])
        with contextlib.closing(machine.follow("-u", "receiver.service")) as entries:
            missing = set(names)
            while missing:
                missing -= check([next(entries)], first=None).lines.keys()
        assert not machine.run("systemctl list-units -q 'sender-failover@*'").stdout
        assert machine.run("systemctl is-system-running").stdout == "running\n"


def test_start_counts_from_0_with_the_exact_line(shared: Machine, new_app: MakeApp) -> None:
    app = new_app("first")
    lines = shared.run("journalctl -u receiver -o cat -q PRIORITY=6 _TRANSPORT=stdout").stdout
    assert '{"count": 0, "appID": "first", "nodeID": "main"}\n' in lines
    app.assert_sound()


@pytest.mark.parametrize("signal", ["KILL", "SEGV", "TERM", "STOP"])
def test_a_signal_to_main(shared: Machine, app: App, signal: str) -> None:
    with app.counts_from("failover"):
        shared.kill(app.main, signal)
    assert app.nodes() == ["main", "failover"]
    app.assert_sound()


@pytest.mark.parametrize("signal", ["KILL", "SEGV", "TERM", "STOP"])
def test_a_signal_to_the_failover(shared: Machine, app: App, signal: str) -> None:
    with app.counts_from("failover"):
        app.systemctl("stop", app.main)
    with app.counts_from("main"):
        shared.kill(app.failover, signal)
    assert app.nodes() == ["main", "failover", "main"]
    app.assert_sound()


def test_a_takeover_under_way_is_none_of_the_guards_affairs(shared: Machine, app: App) -> None:
    """However long the unit takes that starts main: here, longer than two looks of the guard."""
    directory = f"/run/systemd/system/sender-start-main@{app.name}.service.d"
    shared.write(f"{directory}/slow.conf", "[Service]\nExecStartPre=sleep 8\n")
    shared.run("systemctl daemon-reload")
    with app.counts_from("failover"):
        app.systemctl("stop", app.main)
    with app.counts_from("main"):
        shared.kill(app.failover, "TERM")
    shared.run(f"rm -r {directory}; systemctl daemon-reload")
    app.assert_sound()


def test_stop_and_hand_back(app: App) -> None:
    with app.counts_from("failover"):
        app.systemctl("stop", app.main)
    with app.counts_from("main"):
        app.systemctl("start", app.main)
    with app.counts_from("failover"):
        app.systemctl("start", app.failover)
    with app.counts_from("main"):
        app.systemctl("stop", app.failover)
    assert app.active() == ["main"]
    assert app.nodes() == ["main", "failover", "main", "failover", "main"]
    app.assert_sound()


@pytest.mark.parametrize("verb", ["restart", "try-restart"])
@pytest.mark.parametrize("half", ["main", "failover"])
def test_a_restart_is_no_takeover(shared: Machine, app: App, verb: str, half: str) -> None:
    with app.counts_from(half):
        app.systemctl("start", app.unit(half))
    before = shared.pid(app.unit(half))
    with app.counts_from(half):
        app.systemctl(verb, app.unit(half))
    assert shared.pid(app.unit(half)) not in (0, before)
    assert app.nodes() == ["main", "failover"][: 1 + (half == "failover")]
    app.assert_sound()


def test_both_started_at_once(app: App) -> None:
    """systemd refuses one of the two, in one command and in two; one runs all the time."""
    with app.counts_from():
        app.systemctl("start", app.main, app.failover, check=False)
    with app.counts_from(), ThreadPoolExecutor() as pool:
        units = [app.main, app.failover] * 4
        list(pool.map(lambda unit: app.systemctl("start", unit, check=False), units))
    assert len(app.active()) == 1
    app.assert_sound()


def test_twenty_kills_of_whoever_is_active(shared: Machine, app: App) -> None:
    """On a machine quick enough the last ones meet the start limit, and the guard goes on."""
    kill = f"systemctl kill --signal=KILL --kill-whom=main {app.main} {app.failover}"
    with app.counts_from():
        shared.run(f"for i in $(seq 20); do {kill}; sleep 0.05; done", check=False)
    app.assert_sound(rescued=True)


def test_stop_for_good(shared: Machine, new_app: MakeApp) -> None:
    """By the target, whichever half runs, alone and with a pattern; the guard has a last look."""
    alone, with_failover, many, many_failover = (new_app() for _ in range(4))
    for app in (with_failover, many_failover):
        with app.counts_from("failover"):
            app.systemctl("start", app.failover)
    alone.stop()
    with_failover.stop()
    assert alone.active() == with_failover.active() == []
    assert (many.active(), many_failover.active()) == (["main"], ["failover"])
    many.systemctl("stop", "sendrecv@*.target")
    guard = ("sendrecv-guard.timer", "sendrecv-guard.service")
    shared.wait_until(lambda: {alone.state(unit) for unit in guard} == {"inactive"}, "no guard")
    for app in (alone, with_failover, many, many_failover):
        assert not app.active()
        assert "failed" not in (app.state(app.main), app.state(app.failover))
        app.assert_sound()


def test_a_half_that_is_masked_is_not_started(app: App) -> None:
    app.systemctl("mask", app.failover)
    killed = app.machine.kill(app.main, "KILL")
    app.machine.wait_until(lambda: app.machine.pid(app.main) not in (0, killed), "main again")
    app.systemctl("unmask", app.failover)
    with app.counts_from("main"):
        pass
    assert app.active() == ["main"]
    app.assert_sound(rescued=True)


def test_a_user_that_is_gone(shared: Machine, app: App) -> None:
    """Nothing of the program runs then. From the third try on, one half is tried alone."""
    since = shared.cursor()
    shared.run("cp -p /etc/passwd /root/passwd; sed -i '/^sendrecv:/d' /etc/passwd")
    try:
        shared.kill(app.main, "KILL")
        held = rf"{app.failover} .*skipped.* unmet condition"
        shared.wait_entry(
            lambda entry: re.match(held, str(entry["MESSAGE"])) is not None, "_PID=1", after=since
        )
        began, tried = time.monotonic(), shared.cursor()
        await_looks(shared, 3)
        starts = shared.journal(f"--after-cursor={tried}", f"MESSAGE_ID={STARTING}")
        # The next try is 15 s after that; the more time all this took, the more there may be.
        assert len(starts) <= 1 + (time.monotonic() - began) // 15, starts
    finally:
        with app.counts_from():
            shared.run("cp -p /root/passwd /etc/passwd")
    with app.counts_from("failover"):
        shared.kill(app.main, "KILL")  # nothing is held back any more
    app.assert_sound(rescued=True)


def test_a_state_directory_that_is_none(shared: Machine, app: App) -> None:
    """A file is there, and systemd starts nothing. As soon as it is gone, the App starts."""
    since = shared.cursor()
    state, elsewhere = "/var/lib/sendrecv", "/srv/records"
    shared.run(f"mv {state} {elsewhere}; touch {state}")
    try:
        # Main may have seen that its record was gone for a moment, and have ended.
        shared.run(f"systemctl kill --signal=KILL {app.main} {app.failover}", check=False)
        _await_guard(shared, f"App {app.name}: neither half can start", since)
        await_looks(shared, 7)  # so long that it is tried seldom
    finally:
        since = shared.cursor()
        with app.counts_from():
            shared.run(f"rm {state}; mv {elsewhere} {state}")
    # Not with a match: systemd 252 then leaves out the first entry after the cursor.
    said = shared.journal(f"--after-cursor={since}", fields=["MESSAGE"])
    at_once = f"App {app.name} has no sender, starting main"  # it has not waited for its turn
    assert at_once in [entry["MESSAGE"] for entry in said]
    app.assert_sound(rescued=True)


def _await_guard(machine: Machine, text: str, since: str) -> None:
    machine.wait_entry(
        lambda entry: str(entry["MESSAGE"]).startswith(text),
        "_SYSTEMD_UNIT=sendrecv-guard.service",
        after=since,
    )


def test_the_receivers_user_is_gone(shared: Machine, app: App) -> None:
    """systemd does not restart what it cannot run, and no connection makes it try."""
    shared.run("cp -p /etc/passwd /root/passwd; sed -i '/^sendrecv-receiver:/d' /etc/passwd")
    try:
        shared.run("systemctl kill --signal=KILL --kill-whom=main receiver")
        shared.wait_until(
            lambda: app.state("receiver.socket") == "inactive", "the socket is stopped"
        )
        since = shared.cursor()
        await_looks(shared, 3)
        starts = shared.journal(f"--after-cursor={since}", "UNIT=receiver.service")
        ours = [entry for entry in starts if entry.get("MESSAGE_ID") == STARTING]
        assert len(ours) <= 3, ours
    finally:
        with app.counts_from("main"):
            shared.run("cp -p /root/passwd /etc/passwd")
    app.assert_sound()


def test_the_guard_starts_what_is_meant_to_run(app: App) -> None:
    """With the target active and no half running: main is started, or else the failover."""
    for cannot, started in (([app.failover], "main"), ([app.main, app.failover], "failover")):
        app.systemctl("mask", "--runtime", *cannot)
        # If main is masked, PID 1 hears nothing of it any more, and its watchdog may be sooner.
        app.machine.run(f"systemctl kill --signal=KILL {app.main}", check=False)
        with app.counts_from(started):
            app.systemctl("unmask", "--runtime", app.failover)
        app.systemctl("unmask", "--runtime", app.main)
        assert app.active() == [started]
        with app.counts_from("main"):
            app.systemctl("start", app.main)
    app.assert_sound(rescued=True)


def test_what_looks_after_apps_may_be_started_often(shared: Machine, app: App) -> None:
    """More often than systemd's own limit allows, five times in ten seconds: then it would fail."""
    helpers = "sendrecv-guard.timer sendrecv-mask.path sendrecv-token.path"
    shared.run(f"for _ in $(seq 8); do systemctl stop {helpers}; systemctl start {helpers}; done")
    app.stop()
    app.start()
    active = shared.run(f"systemctl is-active {helpers}").stdout
    assert active == "active\n" * 3
    app.assert_sound()


def test_the_guard_sees_what_is_started_during_a_run(shared: Machine, app: App) -> None:
    """After its first look, a run only asks whether a unit was started, or has ended."""
    app.assert_sound()  # it keeps the timer
    unit, other = "sendrecv-guard.service", f"{app.name}-alone"
    # On a slow machine a run may end meanwhile; a guard that does not see it says so in the next.
    for _ in range(5):
        shared.run(f"systemctl stop {unit}")
        shared.wait_until(lambda: shared.show(unit, "ActiveState") == "activating", "a new run")
        run = shared.show(unit, "InvocationID")
        time.sleep(4)  # it has looked once, and may have asked once
        since = shared.cursor()
        shared.run(f"systemctl start sendrecv@{other}.target")
        told = shared.wait_entry(
            lambda entry: entry["MESSAGE"] == f"App {other} has no sender, starting main",
            f"_SYSTEMD_UNIT={unit}",
            after=since,
        )
        shared.run(f"systemctl stop sendrecv@{other}.target")
        if told["_SYSTEMD_INVOCATION_ID"] == run:
            return
    raise AssertionError("each time, only a later run has seen it")


def test_a_half_that_is_stopped_while_it_starts_is_not_waited_for(
    shared: Machine, app: App
) -> None:
    """No watchdog looks after it yet, and the start time-out is long: the guard kills it."""
    record = f"/var/lib/sendrecv/{app.name}.record"
    holder = shared.popen(f"flock {record} -c 'echo held; read -r _'", stdin=subprocess.PIPE)
    try:
        app.systemctl("restart", "--no-block", app.main)
        assert holder.stdout and holder.stdout.readline() == "held\n"
        # "->" is before a lock that is waited for.
        waits = "grep -q -- '-> FLOCK' /proc/locks"
        shared.wait_until(lambda: not shared.run(waits, check=False).returncode, "main waits")
        assert app.state(app.main) == "activating"
        app.systemctl("kill", "--signal=STOP", app.main)
    finally:
        holder.communicate()
    with app.counts_from("failover"):
        pass
    assert app.rescues() == [f"{app.main} was stopped while starting, killing it"]
    app.assert_sound(rescued=True)


def test_the_target_started_alone_starts_main(shared: Machine, app: App) -> None:
    """Also right after it was stopped, when the orderly end of main has just been noticed; and as
    often as somebody does it.
    """
    for _ in range(4):
        with app.counts_from():
            shared.run(f"systemctl stop {app.target}; systemctl start {app.target}")
    assert app.nodes() == ["main"]
    shared.wait_until(lambda: app.active() == ["main"], "systemd has read that main is ready")


def test_ten_instances_side_by_side(shared: Machine, new_app: MakeApp) -> None:
    apps = [new_app() for _ in range(10)]
    for app in apps[::2]:
        shared.kill(app.main, "KILL")
    for app in apps:
        with app.counts_from("main" if app in apps[1::2] else "failover"):
            pass
        app.assert_sound()


# The receiver


@pytest.mark.parametrize(
    "fault",
    [
        "systemctl stop receiver",
        "systemctl restart receiver",
        "systemctl restart receiver.socket",
        "systemctl kill --signal=KILL --kill-whom=main receiver",
        "systemctl kill --signal=SEGV --kill-whom=main receiver",
        "systemctl kill --signal=STOP --kill-whom=main receiver",
    ],
)
def test_the_receiver(shared: Machine, new_app: MakeApp, fault: str) -> None:
    """In mid-stream, three times; the senders run on."""
    apps = [new_app(), new_app()]
    for _ in range(3):
        old = {0, shared.pid("receiver")}
        shared.run(fault)
        _await_new_receiver(shared, old)
        with apps[0].counts_from("main"), apps[1].counts_from("main"):
            pass
    for app in apps:
        assert app.nodes() == ["main"]
        app.assert_sound()


def _await_new_receiver(machine: Machine, old: set[int]) -> None:
    machine.wait_until(lambda: machine.pid("receiver") not in old, "a new receiver")


# Faults that both halves meet


def _assert_they_wait(machine: Machine, units: tuple[str, ...], burst: int, since: str) -> None:
    """Of those units no more was started, on the whole, than their start limit lets through.

    That is `burst` in a second. The slower the machine, the fewer they are. The times are those at
    which PID 1 said so: a busy journald reads many at once, later.
    """
    said_at = "_SOURCE_REALTIME_TIMESTAMP"
    fields = ("UNIT", "MESSAGE_ID", "_PID", said_at)
    entries = machine.journal(f"--after-cursor={since}", fields=fields)
    of_systemd = [e for e in entries if e.get("_PID") == "1" and e.get("MESSAGE_ID") == STARTING]
    times = [int(e[said_at]) for e in of_systemd if e["UNIT"] in units]
    assert times
    assert len(times) <= burst * ((times[-1] - times[0]) / 1e6 + 2), times


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        ("mv /usr/bin/sendrecv /root", "mv /root/sendrecv /usr/bin"),
        ("mount -t tmpfs -o ro,mode=700 none /var/lib/sendrecv", "umount -l /var/lib/sendrecv"),
        ("mount -t tmpfs -o ro,mode=700 none /var/lib/sendrecv-receiver",
         "umount -l /var/lib/sendrecv-receiver"),
        ("echo SENDRECV_NO=1 >> /etc/sendrecv/$app.env", "sed -i /NO/d /etc/sendrecv/$app.env"),
        ("echo 0 > /sys/fs/cgroup/cgroup.max.descendants",
         "echo max > /sys/fs/cgroup/cgroup.max.descendants"),
    ],
    ids=["program gone", "state unusable", "ledger unusable", "bad setting", "no spawn"],
)  # fmt: skip
def test_never_gives_up_never_spins(shared: Machine, app: App, breaks: str, mends: str) -> None:
    _kill_all_while(shared, app, breaks, mends)


@pytest.mark.parametrize(
    "breaks",
    ["mv /etc/sendrecv/token /root", "cp -p /etc/sendrecv/token /root; : > /etc/sendrecv/token"],
    ids=["gone", "empty"],
)
def test_without_a_token_by_tcp_never_gives_up_never_spins(
    shared: Machine, tcp_app: App, breaks: str
) -> None:
    _kill_all_while(shared, tcp_app, breaks, "mv /root/token /etc/sendrecv")


def _kill_all_while(shared: Machine, app: App, breaks: str, mends: str) -> None:
    """All killed while nothing can start; the failover has failed before."""
    with app.counts_from("failover"):
        shared.kill(app.main, "KILL")
    with app.counts_from("main"):
        shared.kill(app.failover, "KILL")
    since = shared.cursor()
    shared.run(f"app={app.name}; {breaks}")
    try:
        kill = "systemctl kill --signal=KILL --kill-whom=main"
        shared.run(f"{kill} {app.main} receiver", check=False)
        await_looks(shared, 2)
    finally:
        with app.counts_from():
            shared.run(f"app={app.name}; {mends}")
    _assert_they_wait(shared, (app.main, app.failover), 2 * 6, since)
    _assert_they_wait(shared, ("receiver.service",), 15, since)
    app.assert_sound(rescued=True)


def test_a_new_token_reaches_whoever_uses_it(shared: Machine, app: App, tcp_app: App) -> None:
    """Not a sender on the Unix socket."""
    before = shared.pid(tcp_app.main)
    kept = [shared.pid(unit) for unit in (app.main, "receiver")]
    with app.counts_from("main"), tcp_app.counts_from("main"):
        shared.run("head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n' > /etc/sendrecv/token")
        shared.wait_until(
            lambda: shared.pid(tcp_app.main) not in {0, before}, "a restart of the sender"
        )
    assert [shared.pid(unit) for unit in (app.main, "receiver")] == kept
    for one in (app, tcp_app):
        one.assert_sound()


def test_the_receivers_start_limit_is_not_the_end(shared: Machine, app: App) -> None:
    """It takes the socket with it; the guard starts that again. The limit is met on a slow machine
    too, and does not hold for longer than that.
    """
    limit = "/run/systemd/system/receiver.service.d/limit.conf"
    shared.write(limit, "[Unit]\nStartLimitIntervalSec=1min\nStartLimitBurst=2\n")
    shared.run("systemctl daemon-reload")
    kill = "systemctl kill --signal=KILL receiver"
    with app.counts_from("main"):
        failed = "systemctl is-failed receiver.socket"
        shared.run(f"until {failed}; do {kill}; sleep 0.1; done", check=False)
        assert app.active() == ["main"]
        shared.run(f"rm {limit}; systemctl daemon-reload")
    app.assert_sound()


def test_what_a_person_is_stopping_the_guard_leaves_alone(shared: Machine, app: App) -> None:
    """It has no socket, which the guard would repair. The stop takes long enough for a look."""
    slow = "/run/systemd/system/receiver.service.d/slow.conf"
    shared.write(slow, "[Service]\nExecStop=+/usr/bin/sleep 5\nTimeoutStopSec=20s\n")
    shared.run("systemctl daemon-reload")
    look = "systemctl restart --no-block sendrecv-guard.service"
    # That a stop was "canceled" would be an error.
    shared.run(f"rm {SOCKET}; {look}; systemctl stop receiver.socket receiver.service")
    assert shared.show("receiver.socket", "ActiveState") == "inactive"
    shared.run(f"rm {slow}; systemctl daemon-reload")
    with app.counts_from("main"):
        shared.run("systemctl start receiver.socket")
    app.assert_sound()


# The sandbox


def test_verify_is_silent(shared: Machine) -> None:
    """Without man: whether the pages are there is test_package's to say."""
    done = shared.run(f"systemd-analyze verify --man=no {UNITS}")
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize(
    ("unit", "most"),
    [
        ("receiver", 17),
        ("sender@x", 24),
        ("sender-failover@x", 24),
        ("sendrecv-audit", 5),
        ("sendrecv-metrics", 3),
        ("sendrecv-metrics-http", 3),
        ("sendrecv-tls", 15),
        ("sendrecv-reload", 15),
        ("sendrecv-journal@x", 13),
        ("sendrecv-token", 30),
        ("sendrecv-guard", 29),
        ("sendrecv-mask", 28),
        ("receiver-tcp-start", 25),
        ("sendrecv-root", 34),
        ("sender-start-main@x", 44),
        ("sender-start-failover@x", 44),
    ],
)
def test_exposure(shared: Machine, unit: str, most: int) -> None:
    shared.run(f"systemd-analyze security --threshold={most} {unit}")


def test_nobody_but_root_and_the_units_can_read_the_token(shared: Machine, app: App) -> None:
    user = "setpriv --reuid=sendrecv --regid=sendrecv --clear-groups"
    assert shared.run(f"{user} cat /etc/sendrecv/token", check=False).returncode
    secret = shared.run("cat /etc/sendrecv/token").stdout.strip()
    for pid in (shared.pid(app.main), shared.pid("receiver")):
        shown = shared.run(f"cat /proc/{pid}/environ /proc/{pid}/cmdline").stdout
        assert secret not in shown
    assert secret not in shared.run("journalctl -o export --all").stdout


# Last, because they end what runs in the machine


def test_a_reboot_starts_what_is_enabled_and_no_failover(shared: Machine, new_app: MakeApp) -> None:
    app, failover = new_app(), new_app()
    app.systemctl("enable", app.main, failover.main)
    with failover.counts_from("failover"):
        failover.systemctl("start", failover.failover)
    since = shared.cursor()
    shared.reboot()
    for one in (app, failover):
        with one.counts_from("main"):
            pass
        one.assert_sound()
        starts = shared.journal(f"--after-cursor={since}", f"MESSAGE_ID={STARTING}")
        assert one.failover not in [entry.get("UNIT") for entry in starts]


def test_a_power_cut(shared: Machine, new_app: MakeApp) -> None:
    """The journal on disk survives here, as FACTS of a real one do not: see Machine.power_cut()."""
    app = new_app()
    app.systemctl("enable", app.main)
    for _ in range(2):
        app.count(3)
        shared.power_cut()
        shared.boot()
        with app.counts_from("main"):
            pass
    app.assert_sound()


def test_a_shutdown_does_not_hang(shared: Machine, new_app: MakeApp) -> None:
    app = new_app()
    shared.kill(app.main, "STOP")
    shared.poweroff(STOP_TIMEOUT)
    shared.boot()
