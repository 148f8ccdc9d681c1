"""Storms on the receiver (tests/peers/storms.py), while an App counts and must not notice.

Its counts are accepted without much delay, for the time that a piece of work takes on the same
machine in the same storm, and no answer is waited for in vain (the sender would say so). The
receiver stays within its memory and is not killed, nobody takes over, and nobody without the token
gets a count printed. The figures of each storm are printed with -s.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from sendrecv.core.takeover import BEGUN
from tests.judges.checker import check
from tests.lab.machine import TOP, Machine
from tests.peers.storms import BY_TLS, IDLE
from tests.system.app import FIELDS, App
from tests.system.trouble import Said, app_on, assert_sound, assert_unbroken, is_printed

SECONDS = 3
INTERVAL = 0.1
COUNTS = 5
"""Of the 30 that are due in so many seconds, at the least. A storm that must last longer, since the
machine is slow, has more."""
PIECE = """
import json, os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
took = []
file = os.open("/var/lib/piece", os.O_WRONLY | os.O_CREAT)
try:
    while True:
        begin = time.monotonic()
        sum(range(400_000))
        os.pwrite(file, b"x" * 4096, 0)
        os.fdatasync(file)
        took.append(time.monotonic() - begin)
        time.sleep(0.1)
finally:
    print(json.dumps(took), flush=True)
"""
PIECES = 100
"""By how many such pieces of work, in the senders' slice, a count may be late: a piece takes 10 ms
on a machine of today that is idle, more on one that is slow or busy, or whose disk is. That is for
19 of 20 counts; the worst may be thrice as late."""

# Of each storm, what there must have been of it, at the least: it lasts for so long.
STORMS = {
    "idle-tcp": {"connections": IDLE},
    "idle-tls": {"by TLS": 3000},
    "idle-websocket": {"connections": IDLE, "websockets": 200},
    "slow-writers": {"connections": 300, "slow bytes": 500},
    "slow-readers": {"connections": 40, "questions": 1000},
    "half-open": {"gone": 100},
    "flood-connections": {"connections": 1000},
    "flood-without-token": {"tries": 200},
    "flood-polling": {"sessions": 200},
    "flood-wrong-token": {"tries": 200},
    "flood-rubbish": {"requests": 200},
    "oversized": {"megabytes": 20},
    "oversized-admitted": {"admitted": 4},
    "bombs": {"bombs": 3},
    "events": {"chunks": 100},
    "hold-session": {"in its name": 5000},
    "hold-bodies": {"bodies": 500},
    "hold-tls": {"held": 1024},
}


LONG = {"idle-tls", "hold-tls"}
"""Handshakes of a thousand connections and more: on a busy machine they take minutes."""


def marked(names: Iterable[str]) -> list[Any]:
    """Parameters of a test."""
    return [pytest.param(it, marks=pytest.mark.long if it in LONG else ()) for it in names]


@dataclass(frozen=True)
class Target:
    """The machine, and the App that counts while it storms."""

    machine: Machine
    app: App

    def pids(self) -> tuple[int, int]:
        """Of the receiver and of the App's main sender."""
        return self.machine.pid("receiver"), self.machine.pid(self.app.main)

    def storm(self, name: str) -> dict[str, int]:
        """That storm, and what there was of it."""
        storm = f"tests.peers.storms {name} {SECONDS} '{json.dumps(STORMS[name])}'"
        return dict(json.loads(self.machine.run(f"cd /opt && nice python3 -B -m {storm}").stdout))

    def delays(self, after: str) -> list[float]:
        """By how much each count came late, in seconds, of those printed since that cursor."""
        self.machine.run(["journalctl", "--sync"])
        entries = self.machine.journal(f"--after-cursor={after}", fields=FIELDS)
        lines = check(entries, first=None).lines[self.app.name]
        late = [line.at - INTERVAL * line.count for line in lines]
        return sorted(at - min(late) for at in late)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[list[float]]:
        """What each piece of work took, in seconds; known when the context is left."""
        took: list[float] = []
        to_file = "--property=StandardOutput=truncate:/run/piece"
        unit = ["--unit=piece", "--slice=sendrecv.slice", to_file]
        self.machine.run(["systemd-run", "-q", *unit, "python3", "-c", PIECE])
        try:
            yield took
        finally:
            self.machine.run("systemctl stop piece")
        took += json.loads(self.machine.run("cat /run/piece").stdout)

    def memory(self) -> tuple[int, int]:
        """The most that the receiver has used, in bytes, and what its unit allows."""
        status = self.machine.run(f"cat /proc/{self.machine.pid('receiver')}/status").stdout
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024, int(self.machine.show("receiver", "MemoryMax"))


def serve_tls(machine: Machine) -> None:
    """At an address that other hosts could reach."""
    host, port = BY_TLS
    machine.run(f"ip addr add {host}/32 dev lo")
    machine.write(
        "/etc/systemd/system/receiver-tcp.socket.d/tls.conf",
        f"[Socket]\nListenStream={host}:{port}\nIPAddressAllow={host}\n",
    )
    machine.run("mkdir /etc/tls; cp /opt/tests/lab/certificates/good.pem /etc/tls")
    settings = ("CERTIFICATE", "KEY")
    machine.write(
        "/etc/sendrecv/receiver.env",
        "".join(f"SENDRECV_TLS_{name}=/etc/tls/good.pem\n" for name in settings),
    )
    machine.run("systemctl daemon-reload; systemctl start sendrecv-tls")


@pytest.fixture(scope="module")
def target(release: str, installed_disk: Path) -> Iterator[Target]:
    """One machine for all storms; what the App has printed through all of them is judged last."""
    binds = {TOP / "tests": "/opt/tests"}
    with Machine(release, layer=installed_disk, binds=binds) as machine:
        serve_tls(machine)
        machine.run("systemctl start receiver-tcp.socket")
        with app_on(machine, f"SENDRECV_INTERVAL={INTERVAL}") as app:
            yield Target(machine, app)
            assert_sound(app)
            assert len(app.verdict().runs[app.name]) == 1, "a takeover"
            # "connection lost", "no answer": whatever a sender meets with, it says.
            said = machine.journal(f"_SYSTEMD_UNIT={app.main}", "SYSLOG_IDENTIFIER=sendrecv")
            assert [entry.get("MESSAGE_ID") for entry in said] == [BEGUN]
        assert_unbroken(machine)


@pytest.mark.parametrize("name", marked(STORMS))
def test_a_storm(target: Target, name: str) -> None:
    pids, after = target.pids(), target.machine.cursor()
    with target.app.counts_from("main"), target.at_work() as took:
        tally = target.storm(name)
        delays = target.delays(after)
    used, allowed = target.memory()
    of_interest = median(delays), delays[len(delays) * 19 // 20], delays[-1]
    late = [round(value, 3) for value in of_interest]
    piece = median(took)
    figures = {
        **{"storm": tally, "late": late, "piece": round(piece, 4)},
        "memory": f"{used >> 20} of {allowed >> 20} MiB",
    }
    print(f"\n{name}: {figures}")
    assert all(tally.get(key, 0) >= least for key, least in STORMS[name].items()), tally
    assert target.pids() == pids, "a process was restarted"
    assert len(delays) >= COUNTS and used < allowed
    assert late[1] <= PIECES * piece and late[2] <= 3 * PIECES * piece, figures


HELD = {"hold-session": 40, "hold-tls": 1000}
"""Sessions."""


def senders(machine: Machine) -> int:
    """How many are connected, as the receiver says."""
    ask = ["curl", "-s", "--unix-socket", "/run/sendrecv-socket/status.sock", "http://x/status"]
    return int(json.loads(machine.run(ask).stdout)["receiver"]["connections"])


@pytest.mark.parametrize("name", marked(HELD))
def test_an_app_is_taken_over_while_others_hold_all_that_they_can(
    target: Target, name: str
) -> None:
    """Senders on this machine have slots of their own."""
    machine = target.machine
    with app_on(machine, f"SENDRECV_INTERVAL={INTERVAL}") as app:
        storm = ["-B", "-m", "tests.peers.storms", name, "100000", json.dumps(STORMS[name])]
        unit = ["--unit=storm", "--property=WorkingDirectory=/opt", "-p", "LimitNOFILE=20000"]
        said = Said(machine)
        machine.run(["systemd-run", "-q", *unit, "nice", "python3", *storm])
        try:
            said.wait("enough of the storm")
            with app.counts_from("failover"):
                machine.kill(app.main, "KILL")
            machine.wait_until(lambda: senders(machine) >= HELD[name], "it still holds it")
            assert machine.show("storm", "ActiveState") == "active"
        finally:
            machine.run("systemctl stop storm")


def test_who_was_not_admitted_has_printed_nothing(target: Target) -> None:
    """Each appID in the journal belongs to a session that showed the token first."""
    lines = target.machine.journal("_SYSTEMD_UNIT=receiver.service", fields=FIELDS)
    admitted, printed = set(), set()
    for entry in lines:
        found = re.search(r'"appID": "([^"]+)"', str(entry["MESSAGE"]))
        if found and is_printed(entry):
            printed.add(found[1])
            assert found[1] in admitted, entry["MESSAGE"]
        elif found and str(entry["MESSAGE"]).startswith("session "):
            admitted.add(found[1])
    assert target.app.name in printed


# The token


NEEDLE = "/root/needle"


def found_in(machine: Machine, places: Sequence[str]) -> list[str]:
    """Those commands that show the token. (grep has it from a file: it must not show it itself.)"""
    script = f'for place; do eval "$place" | grep -qaFf {NEEDLE} && echo "$place"; done'
    return machine.run(["sh", "-c", script, "sh", *places], check=False).stdout.splitlines()


PLACES = [
    "journalctl --all --output=export",
    "cat /proc/[0-9]*/cmdline",
    "cat /proc/[0-9]*/environ",
    "ps -eo args",
    "systemctl show --all '*'",
    "systemctl status --all --full --lines=1000 '*'",
    # What others than root can read.
    "find / -xdev -type f -perm /o+r -size -1000k ! -path '/usr/*' -exec cat {} +",
    # Errors, of what has the token and what has not.
    "sendrecv status 2>&1; runuser -u nobody -- sendrecv status 2>&1",
    "SENDRECV_URL=http://127.0.0.1:1 sendrecv status 2>&1",
    "curl -sv -H 'Authorization: Bearer nonsense' http://127.0.0.1:3000/apps 2>&1",
]


def test_the_token_is_nowhere(target: Target) -> None:
    machine = target.machine
    token = machine.run(f"umask 077; cat /etc/sendrecv/token | tee {NEEDLE}").stdout.strip()
    assert len(token) == 64
    assert found_in(machine, PLACES) == []
    # It would have been found: in the journal, in an environment, in a file.
    machine.run(["logger", token])
    machine.write("/etc/note", token)
    with machine.popen(["env", f"A={token}", "sleep", "60"]) as sleeper:
        machine.wait_until(lambda: found_in(machine, PLACES[2:3]), "in the environment")
        sleeper.kill()
    assert found_in(machine, [PLACES[0], PLACES[6]]) == [PLACES[0], PLACES[6]]
