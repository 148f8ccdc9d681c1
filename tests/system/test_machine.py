"""The machine that all system tests stand on does what its methods say."""

import contextlib
import itertools
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.machine import HANG, TOP, Machine, MachineError, end
from tests.lab.nspawn import NspawnError

EVERY_SECOND = """[Service]
ExecStart=/bin/sh -c 'n=0; while sleep 0.1; do n=$((n+1)); echo tick $n; done'
"""


@pytest.fixture
def ticking(bare_machine: Machine) -> Machine:
    bare_machine.write("/etc/systemd/system/ticks.service", EVERY_SECOND)
    bare_machine.run("systemctl daemon-reload; systemctl start ticks")
    return bare_machine


def test_boots_the_release_with_nothing_failed(bare_machine: Machine, release: str) -> None:
    assert f"VERSION_CODENAME={release}\n" in bare_machine.run("cat /etc/os-release").stdout
    assert bare_machine.run("systemctl is-system-running").stdout == "running\n"
    assert bare_machine.run(["cat", "/proc/1/comm"]).stdout == "systemd\n"


def test_has_a_network_and_cgroups_of_its_own(bare_machine: Machine) -> None:
    assert bare_machine.run("ls /sys/class/net").stdout == "lo\n"
    assert "system.slice" in bare_machine.run("ls /sys/fs/cgroup").stdout
    assert bare_machine.run("stat -fc %T /sys/fs/cgroup").stdout == "cgroup2fs\n"


def test_files_and_journal_outlive_a_power_cut(ticking: Machine) -> None:
    ticking.write("/var/lib/kept/file", "kept\n")
    ticking.wait_entry(lambda entry: entry["MESSAGE"] == "tick 3", "-u", "ticks")
    ticking.run("journalctl --sync")
    first_boot = ticking.run("cat /proc/sys/kernel/random/boot_id").stdout
    ticking.power_cut()
    assert not ticking.running
    ticking.boot()
    assert ticking.run("cat /var/lib/kept/file").stdout == "kept\n"
    assert ticking.run("cat /proc/sys/kernel/random/boot_id").stdout != first_boot
    messages = [entry["MESSAGE"] for entry in ticking.journal("-u", "ticks", fields=["MESSAGE"])]
    assert messages[0].startswith("Started ticks.service") and "tick 3" in messages


def test_what_was_frozen_is_not_after_a_power_cut(ticking: Machine) -> None:
    ticking.run("systemctl freeze ticks")
    ticking.power_cut()
    ticking.boot()
    cursor = ticking.cursor()
    ticking.run("systemctl start ticks")
    ticking.wait_entry(lambda entry: entry["MESSAGE"] == "tick 3", "-u", "ticks", after=cursor)


def test_reboots_and_powers_off_in_order(ticking: Machine) -> None:
    ticking.reboot()
    stopped = [entry["MESSAGE"] for entry in ticking.journal("-u", "ticks")]
    assert any(message.startswith("Stopped ticks.service") for message in stopped)
    ticking.poweroff()
    assert not ticking.running
    with pytest.raises(NspawnError, match="is off"):
        ticking.run("true")


def test_pid_kill_and_show(ticking: Machine) -> None:
    pid = ticking.pid("ticks")
    assert ticking.kill("ticks", "KILL") == pid
    ticking.wait_until(lambda: ticking.show("ticks", "Result") == "signal", "ticks killed")
    assert ticking.pid("ticks") == 0
    with pytest.raises(MachineError, match="no process to kill"):
        ticking.kill("ticks", "KILL")


def test_put_copies_files_and_directories(bare_machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("text")
    bare_machine.put(tmp_path / "a", "/srv/new/tree")
    bare_machine.put(tmp_path / "a" / "b" / "c", "/srv/file")
    assert bare_machine.run("cat /srv/new/tree/b/c /srv/file").stdout == "texttext"


def test_a_tmpfs_fills_up(bare_machine: Machine) -> None:
    bare_machine.tmpfs("/srv/small", "16k")
    full = bare_machine.run("head -c 32k /dev/zero > /srv/small/file", check=False)
    assert full.returncode and "No space left" in full.stderr


def test_failures_show_what_happened(ticking: Machine) -> None:
    with pytest.raises(MachineError, match="exit 3\nout\nerr"):
        ticking.run("echo out; echo err >&2; exit 3")
    with pytest.raises(MachineError, match="(?s)a miracle.*Started ticks.service"):
        ticking.wait_until(lambda: False, "a miracle", 0.1)
    with pytest.raises(MachineError, match="(?s)a late miracle.*Started ticks.service"):
        ticking.wait_entry(lambda entry: False, "-u", "ticks", timeout=0.3, what="a late miracle")


def test_follow_goes_on_after_a_cursor_and_ends_in_time(ticking: Machine) -> None:
    ticking.wait_entry(lambda entry: entry["MESSAGE"] == "tick 2", "-u", "ticks")
    seen = ticking.cursor()
    with contextlib.closing(ticking.follow("-u", "ticks", after=seen)) as entries:
        messages = [entry["MESSAGE"] for entry in itertools.islice(entries, 4)]
    first = int(messages[0].removeprefix("tick "))
    assert first > 2 and messages == [f"tick {first + more}" for more in range(4)]
    # It ends though ticks go on, and not before its time.
    started = time.monotonic()
    for _ in ticking.follow("-u", "ticks", after=seen, timeout=1):
        pass
    assert time.monotonic() - started >= 1


def sleepers(machine: Machine) -> list[str]:
    return machine.run("pgrep -x sleep", check=False).stdout.split()


def test_ending_a_popen_ends_its_command(bare_machine: Machine) -> None:
    with bare_machine.popen("exec sleep 1234") as sleep:
        bare_machine.wait_until(lambda: sleepers(bare_machine), "sleep to run")
        end(sleep)
    bare_machine.wait_until(lambda: not sleepers(bare_machine), "sleep to be gone")


def test_leaves_nothing_behind(release: str) -> None:
    with Machine(release) as machine:
        name, disk, leader = machine.name, machine.disk, machine.leader
    assert not disk.exists() and not os.path.exists(f"/proc/{leader}")
    assert not [group for group, _, _ in os.walk("/sys/fs/cgroup") if name in group]


def test_dies_with_the_process_that_booted_it(release: str) -> None:
    script = (
        "import sys, time; from tests.lab.machine import Machine\n"
        "with Machine(sys.argv[1]) as m: print(m.leader, m.disk, flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, release]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True) as tester:
        leader, disk = (tester.stdout or sys.stdin).readline().split()
        machine_gone = os.pidfd_open(int(leader))
        tester.kill()
    assert select.select([machine_gone], [], [], HANG)[0]
    os.close(machine_gone)
    with Machine(release):
        assert not Path(disk).exists()
