"""Whatever the receiver and a sender go through, they have no more descriptors after it than
before, and no more threads: else there comes a day on which they can open nothing.
"""

from pathlib import Path

import pytest

from tests.lab.machine import HANG, TOP, Machine

RECEIVER = "/etc/systemd/system/receiver.service.d/test.conf"
LIMIT = 100
"""Descriptors. The receiver needs some thirty, and far more groups are printed here."""
FAST = "SENDRECV_INTERVAL=0.02"
SHOWN = {
    "journal": "journalctl -q -o cat -t receiver _TRANSPORT=stdout PRIORITY=6",
    "append:/root/lines": "cat /root/lines",
}
# Each kind of end that a connection can have; the storms in test_abuse.py have more of each.
PEERS = """
from tests.peers.peer import Peer, admitted, auth
POLLING = "/socket.io/?EIO=4&transport=polling"
token = open("/etc/sendrecv/token").read().strip()
for number in range(40):
    Peer().close()
    with Peer() as peer:
        peer.send(b"no HTTP\\r\\n\\r\\n")
        peer.response()
    with Peer() as peer:
        assert peer.request("GET /healthz HTTP/1.1\\r\\nHost: x")[0] == 200
    with Peer() as peer:
        assert peer.request(f"GET {POLLING} HTTP/1.1\\r\\nHost: x")[0] == 200
    with Peer() as peer:
        peer.open()
    with Peer() as peer:
        peer.open()
        assert peer.connect(auth("x", "0" * 64))["data"]["reason"] == "token"
    with Peer() as peer:
        peer.open()
        assert peer.connect(auth("x", token, epoch=-1))["data"]["reason"] == "invalid"
    admitted("x", token, epoch=number + 1).close()
"""


def _open(machine: Machine, unit: str) -> tuple[int, int]:
    """How many descriptors and threads that unit's process has."""
    pid = machine.pid(unit)
    found = machine.run(f"ls /proc/{pid}/fd | wc -l; ls /proc/{pid}/task | wc -l").stdout.split()
    return int(found[0]), int(found[1])


def _wait_for_no_more(machine: Machine, unit: str, before: tuple[int, int]) -> None:
    """Before, a slow machine may have had some that were about to be closed."""

    def are_no_more() -> bool:
        now = _open(machine, unit)
        return now[0] <= before[0] and now[1] <= before[1]

    machine.wait_until(are_no_more, f"no more than {before} descriptors and threads")


def _wait_for_counts(machine: Machine, output: str, number: int) -> None:
    show = f"{SHOWN[output]} | grep -c count || :"
    before = int(machine.run(show).stdout)
    machine.wait_until(
        lambda: int(machine.run(show).stdout) >= before + number, f"{number} counts in {output}"
    )


@pytest.mark.parametrize("output", SHOWN)
def test_a_receiver_that_has_gone_through_all_has_no_more_descriptors(
    release: str, installed_disk: Path, output: str
) -> None:
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        machine.write(RECEIVER, f"[Service]\nStandardOutput={output}\nLimitNOFILE={LIMIT}\n")
        machine.write("/etc/sendrecv/one.env", FAST)
        machine.run("systemctl daemon-reload; systemctl start receiver-tcp.socket sender@one")
        peers = ["env", "PYTHONPATH=/opt", "python3", "-c"]
        machine.run([*peers, PEERS.replace("range(40)", "range(1)")])
        machine.run("systemctl reload receiver")
        _wait_for_counts(machine, output, 10)
        machine.wait_until(lambda: _open(machine, "receiver")[0] < LIMIT // 2, "all peers ended")
        machine.run("sleep 6")  # until the long polling has ended that nobody goes on with
        pid, before = machine.pid("receiver"), _open(machine, "receiver")
        _wait_for_counts(machine, output, 2 * LIMIT)
        machine.run([*peers, PEERS], timeout=HANG)
        machine.run("for n in $(seq 10); do systemctl reload receiver; done", timeout=HANG)
        for half in ("sender@one", "sender-failover@one", "sender@one"):
            machine.run(f"systemctl stop {half}")  # the other one takes over
            _wait_for_counts(machine, output, LIMIT // 2)
        _wait_for_no_more(machine, "receiver", before)
        assert machine.pid("receiver") == pid, "this shows nothing of one that was started anew"


def test_a_sender_whose_receivers_come_and_go_has_no_more_descriptors(machine: Machine) -> None:
    machine.write("/etc/sendrecv/one.env", FAST)
    machine.run("systemctl start sender@one")
    kill = "systemctl kill --signal=KILL --kill-whom=main receiver"

    def come_and_go(times: int) -> None:
        for _ in range(times):
            machine.run(f"{kill}; systemctl restart receiver")
            _wait_for_counts(machine, "journal", 5)

    come_and_go(2)
    machine.run("sleep 3")  # until the threads that closed the last connection have ended
    pid, before = machine.pid("sender@one"), _open(machine, "sender@one")
    come_and_go(10)
    _wait_for_no_more(machine, "sender@one", before)
    assert machine.pid("sender@one") == pid, "this shows nothing of one that was started anew"
