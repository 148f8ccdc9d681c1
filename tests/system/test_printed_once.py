"""What else a start of the receiver meets: other lines of its unit, boots in the wrong order."""

import contextlib
import itertools
import json
import struct
from pathlib import Path

from sendrecv.receiver.journal import NEWEST
from tests.chaos.arena import clock_library
from tests.judges.checker import Kind, check
from tests.lab.machine import Machine
from tests.system.app import FIELDS, App
from tests.system.trouble import FAST

STRAY = "/run/systemd/system/receiver.service.d/stray.conf"
LAST = "journalctl -q --no-pager -o cat _SYSTEMD_UNIT=receiver.service _TRANSPORT=stdout PRIORITY=6"
KILL = "systemctl kill --signal=KILL --kill-whom=main receiver"


def counting(machine: Machine, counts: int = 20, settings: str = FAST) -> App:
    """An App that has counted so often."""
    app = App(machine, "one", settings)
    app.start()
    app.count(counts)
    return app


def await_said(machine: Machine, text: str, times: int, after: str) -> None:
    """Waits until somebody has said that so often since that cursor."""
    with contextlib.closing(machine.follow(after=after)) as entries:
        said = (entry for entry in entries if text in str(entry["MESSAGE"]))
        assert len([*itertools.islice(said, times)]) == times


def test_other_lines_of_its_unit_are_no_payloads(machine: Machine) -> None:
    """More of them than lines are read, from starts that fail: tracebacks of a broken library."""
    app = counting(machine)
    machine.write(STRAY, "[Service]\nExecStartPre=seq 500\nExecStartPre=false\n")
    since = machine.cursor()
    machine.run(f"systemctl daemon-reload; {KILL}")
    await_said(machine, "Failed to start receiver.service", 3, since)
    with app.counts_from("main"):
        machine.run(f"rm {STRAY}; systemctl daemon-reload")
    app.assert_sound()


def test_lines_that_were_removed_from_the_journal_are_not_printed_again(machine: Machine) -> None:
    app = counting(machine)
    machine.run("journalctl --rotate && sleep 1.5 && journalctl --vacuum-time=1s")
    with app.counts_from("main"):
        pass
    with app.counts_from("main"):
        machine.run(KILL)
    verdict = check(machine.journal("_SYSTEMD_UNIT=receiver.service", fields=FIELDS), first=None)
    assert verdict.lines["one"][0].count > 10 and not verdict.faults, verdict


def await_lines_of_this_boot(machine: Machine) -> None:
    """Ten more. By their number: a cursor is of no use in a journal that is not in order."""
    here = f"journalctl --sync; {LAST} -b | wc -l"
    before = int(machine.run(here).stdout)
    machine.wait_until(lambda: int(machine.run(here).stdout) >= before + 10, "lines of this boot")


def _set_journalds_clock(machine: Machine, hours: int) -> None:
    nanoseconds = struct.pack("<q", hours * 3_600_000_000_000)
    machine.run("mkdir -p /var/lib/chaos")
    machine.run(["python3", "-c", f"open('/var/lib/chaos/clock', 'wb').write({nanoseconds!r})"])


def test_this_boot_is_read_though_the_wall_clock_of_the_one_before_was_later(
    machine: Machine, tmp_path: Path
) -> None:
    """The last lines of all boots, as journalctl has them, are then not those of this one."""
    machine.put(clock_library(tmp_path), "/usr/local/lib/clock.so")
    preload = "[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/clock.so\n"
    machine.write("/etc/systemd/system/systemd-journald.service.d/clock.conf", preload)
    _set_journalds_clock(machine, 10)
    machine.run("systemctl daemon-reload && systemctl restart systemd-journald")
    fast = "SENDRECV_INTERVAL=0.02"
    app = counting(machine, 100, fast)
    app.systemctl("enable", "--quiet", app.main)
    for name in ("two", "three", "four"):
        App(machine, name, fast).start()
    app.count(NEWEST // 4)  # so that fewer lines are read of all boots than there are
    machine.run("journalctl --sync; journalctl --rotate; journalctl --sync")
    _set_journalds_clock(machine, 0)
    machine.power_cut()
    for file in machine.disk.glob("var/log/journal/*/system.journal"):
        file.unlink()  # it would have numbered the entries on
    machine.boot()
    for _ in range(2):  # with no cursor to wait after: that is in the wrong order, too
        await_lines_of_this_boot(machine)
        machine.run(KILL)
    await_lines_of_this_boot(machine)
    last = json.loads(machine.run(f"{LAST} -n 100 | grep -F '\"one\"' | tail -n 1").stdout)
    this = json.loads(machine.run(f"{LAST} -b | grep -F '\"one\"' | head -n 1").stdout)
    assert last["count"] < this["count"], "the order of boots is right: this shows nothing"
    found = check(machine.journal("_SYSTEMD_UNIT=receiver.service", fields=FIELDS), first=None)
    assert not found.of(Kind.DUPLICATE) and len(found.lines["one"]) > 150, found


def test_lines_of_two_receivers_are_in_order(machine: Machine) -> None:
    """journald takes turns with the streams that it reads. What a killed receiver has printed takes
    several, if there is much of it.
    """
    names = ("one", "two", "three", "four")
    apps = [App(machine, name, "SENDRECV_INTERVAL=0.05") for name in names]
    for app in apps:
        app.start()
    for _ in range(3):
        pause = "systemctl kill --signal=STOP systemd-journald; sleep 2"
        machine.run(f"{pause}; {KILL}; sleep 2; systemctl kill --signal=CONT systemd-journald")
        for app in apps:
            with app.counts_from("main"):
                pass
    for app in apps:
        app.assert_sound()
    said = "systemctl show --value --property=NFileDescriptorStore receiver"
    assert machine.run(said).stdout == "1\n"
