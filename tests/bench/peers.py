"""The peers, measured on the same work in the same boot: PM2 with Socket.IO, plain Node Socket.IO.

What never came back is counted as GIVEN_UP seconds of silence: there is no such thing as a median
of for ever.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.probe import Probe, now

JS = Path(__file__).with_name("js")
MODULES = "/srv/node_modules"
PM2 = f"PM2_HOME=/srv/pm2 node {MODULES}/pm2/bin/pm2"
LOG = "/srv/receiver.log"
GIVEN_UP = 15.0
TIMES = 3


def peers(probe: Probe, _kills: int) -> list[Figure]:
    """Needs a machine with node_modules at MODULES."""
    for name in ("plain.js", "pair.js"):
        probe.machine.put(JS / name, f"/srv/{name}")
    node = [_throughput(probe, flight) for flight in (1, 256)]
    found = [
        Figure("peers", "plain Node Socket.IO, one in flight", "/s", (node[0],)),
        Figure("peers", "plain Node Socket.IO, 256 in flight", "/s", (node[1],)),
    ]
    for name, act in (
        ("PM2: SIGKILL", _signal(probe, "KILL")),
        ("PM2: pm2 stop", lambda: _pm2(probe, "stop sender")),
        ("PM2: SIGSTOP", _signal(probe, "STOP")),
    ):
        silent, restarted = _faults(probe, act)
        found.append(Figure("peers", f"{name} ({restarted})", "s", silent, silence=True))
    _fresh(probe)
    return [*found, *_memory(probe)]


def _throughput(probe: Probe, flight: int) -> float:
    command = ["node", "/srv/plain.js"]
    with probe.machine.popen([*command, "server", "3998"]) as server:
        time.sleep(1.5)
        output = probe.machine.run([*command, "client", "3998", str(flight), "5"]).stdout
        server.kill()
    return float(output)


def _pm2(probe: Probe, arguments: str) -> str:
    return probe.machine.run(f"{PM2} {arguments}").stdout


def _fresh(probe: Probe) -> None:
    probe.machine.run(f"{PM2} kill; rm -f {LOG}")
    for role in ("receiver", "controller", "sender"):
        log = f"--output {LOG}" if role == "receiver" else ""
        _pm2(probe, f"start /srv/pair.js --name {role} {log} -- {role}")
    probe.wait(lambda: len(_lines(probe)) > 3, 20, "PM2's sender counts")


def _lines(probe: Probe) -> list[dict[str, float]]:
    text = probe.machine.run(["cat", LOG], check=False).stdout
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def _signal(probe: Probe, name: str) -> Callable[[], object]:
    return lambda: probe.machine.run(f"kill -{name} $({PM2} pid sender)")


def _faults(probe: Probe, act: Callable[[], object]) -> tuple[tuple[float, ...], str]:
    """The silences, and what became of the count."""
    silent, outcome = [], "no failover, ever"
    for _ in range(TIMES):
        _fresh(probe)
        at = now()
        act()
        time.sleep(GIVEN_UP)
        lines = _lines(probe)
        before = [line for line in lines if line["at"] <= at]
        after = [line for line in lines if line["at"] > at + 0.1]
        if not after:
            silent.append(GIVEN_UP)
            continue
        silent.append(_longest([before[-1]["at"], *(line["at"] for line in after)]))
        right = after[0]["count"] == before[-1]["count"] + 1
        outcome = "goes on" if right else f"begins again at {after[0]['count']:.0f}"
    return tuple(silent), outcome


def _longest(times: Sequence[float]) -> float:
    return max(b - a for a, b in zip(times, times[1:], strict=False))


def _memory(probe: Probe) -> list[Figure]:
    processes = json.loads(_pm2(probe, "jlist"))
    sizes = {row["name"]: row["monit"]["memory"] / 2**20 for row in processes}
    daemon = probe.machine.run("ps -o rss= -p $(cat /srv/pm2/pm2.pid)").stdout
    sizes["PM2 itself"] = int(daemon) / 1024
    return [
        Figure("peers", f"PM2: {name}, resident", "MiB", (size,)) for name, size in sizes.items()
    ]
