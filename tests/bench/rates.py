"""Sections about throughput: a backlog after an outage, and counting as fast as acknowledged."""

import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.probe import Line, Probe
from tests.lab.machine import MachineError

APP = "bulk"
MAIN = f"sender@{APP}.service"
BACKLOG = 100_000
INSIDE = "/usr/local/lib/bench-inside.py"
# As the sender itself would have left it, had the receiver been away for a day.
_AGE = """
import os
from sendrecv.sender.store_file import StateFile
store = StateFile("/var/lib/sendrecv/{app}.record")
record, epoch = store.acquire()
store.commit(record.replace(count=record.acknowledged + {backlog}))
store.release()
"""


def backlog(probe: Probe, kills: int) -> list[Figure]:
    """100,000 counts that were taken while the receiver was away."""
    rates, memory = [], []
    for _ in range(max(kills // 20, 3)):
        rate, grown = _one_backlog(probe)
        rates.append(rate)
        memory.append(grown)
    return [
        Figure("backlog", "backlog accepted, durable, printed", "/s", tuple(rates), 45_000),
        Figure("backlog", "sender's memory, more than before", "MiB", tuple(memory), 1, "worst"),
    ]


def _one_backlog(probe: Probe) -> tuple[float, float]:
    machine = probe.machine
    machine.run(["systemctl", "start", MAIN])
    time.sleep(2.5)
    before = rss(probe, MAIN)
    machine.run(["systemctl", "stop", f"sendrecv@{APP}.target"])
    machine.run(["python3", "-c", _AGE.format(app=APP, backlog=BACKLOG)])
    cursor = machine.cursor()
    machine.run(["systemctl", "start", MAIN])
    probe.wait(lambda: _behind(probe) < 5, 60, "the backlog is acknowledged")
    time.sleep(1)
    grown = rss(probe, MAIN) - before
    machine.run(["systemctl", "stop", f"sendrecv@{APP}.target"])
    lines = [line for line in probe.lines(cursor) if line.app == APP]
    return _rate(lines), grown


def _behind(probe: Probe) -> int:
    record = probe.record(APP)
    return int(record["count"]) - int(record["acknowledged"])


def _rate(lines: Sequence[Line]) -> float:
    """From the word that let the sender in to the last line of the backlog, all in order."""
    begun = next(line.at for line in lines if line.count < 0)
    counts = [line for line in lines if line.count >= 0]
    whole = counts[:BACKLOG]
    if any(b.count != a.count + 1 for a, b in itertools.pairwise(counts)) or len(whole) < BACKLOG:
        raise MachineError(f"the backlog is not in order, once each: {len(counts)} lines")
    return BACKLOG / (whole[-1].at - begun)


def fastest(probe: Probe, kills: int) -> list[Figure]:
    """SENDRECV_INTERVAL=0, beside plain python-socketio, which keeps nothing."""
    plain = _plain(probe, flight=1), _plain(probe, flight=256)
    probe.machine.write(f"/etc/sendrecv/{APP}.env", "SENDRECV_INTERVAL=0\n")
    rates = tuple(_one_run(probe) for _ in range(max(kills // 33, 3)))
    base = max(plain)
    multiples = tuple(rate / base for rate in rates)
    return [
        Figure("fastest", "plain python-socketio, one in flight", "/s", plain[:1]),
        Figure("fastest", "plain python-socketio, 256 in flight", "/s", plain[1:]),
        Figure("fastest", "SENDRECV_INTERVAL=0, acknowledged", "/s", rates),
        Figure("fastest", "the same, times plain python-socketio", "x", multiples, 10),
    ]


def _one_run(probe: Probe, seconds: float = 5) -> float:
    probe.machine.run(["systemctl", "start", MAIN])
    time.sleep(2)
    first, begin = int(probe.record(APP)["acknowledged"]), time.monotonic()
    time.sleep(seconds)
    last, end = int(probe.record(APP)["acknowledged"]), time.monotonic()
    probe.machine.run(["systemctl", "stop", f"sendrecv@{APP}.target"])
    return (last - first) / (end - begin)


def _plain(probe: Probe, flight: int) -> float:
    install(probe)
    with probe.machine.popen(["python3", INSIDE, "plain-server", "3999"]) as server:
        time.sleep(2)
        command = ["python3", INSIDE, "plain-client", "3999", str(flight), "5"]
        rate = float(probe.machine.run(command).stdout.split()[-1])
        server.kill()
    return rate


def load(probe: Probe, kills: int) -> list[Figure]:
    """1,000 connections, each 1 Hz."""
    install(probe)
    probe.machine.run(["systemctl", "start", "receiver-tcp.socket"])
    seconds = max(kills // 5, 5)
    command = ["python3", INSIDE, "load", "1000", str(seconds)]
    taken = json.loads(probe.machine.run(command, timeout=seconds + 120).stdout)
    return [Figure("load", "1,000 senders at 1 Hz: answered in", "ms", tuple(taken), 50, "p99")]


def install(probe: Probe) -> None:
    """Puts inside.py into the machine."""
    probe.machine.put(Path(__file__).with_name("inside.py"), INSIDE)


def rss(probe: Probe, unit: str) -> float:
    """MiB of memory that the unit's main process has resident."""
    status = Path(f"/proc/{probe.host_pid(unit)}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
