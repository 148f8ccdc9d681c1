"""`sendrecv proof` over real hosts: each one's journal and the receiver's, joined.

The App fails over on host a, which then loses its power. Later it is stopped on the host that
counts, so it moves on. Then a second sender is started by hand on the host that it left.
"""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sendrecv.proof.judge.hosts import LEASE, RATES
from tests.lab.hosts import CA, NAME, RECEIVER, Hosts
from tests.lab.machine import end
from tests.system.proving import assert_proven, findings, proof_here, unproven

BY_HAND = (
    f"mkdir -p /root/by-hand; SENDRECV_URL=https://{NAME}:3443 SENDRECV_CA={CA}"
    " STATE_DIRECTORY=/root/by-hand SENDRECV_INTERVAL=0.1 SENDRECV_MAIN_NODE_ID={node}"
    " exec sendrecv send x main < /etc/sendrecv/token"
)
OWN = "counts from their own run"
ONE = "one process at a time"
Journals = dict[str, Path]


class Story:
    """What happens, and the journals before and after the second sender."""

    def __init__(self, hosts: Hosts, directory: Path) -> None:
        self._hosts = hosts
        with self._counts_from("a"):
            hosts.add("x", "SENDRECV_INTERVAL=0.1")
        with self._counts_from("a-failover"):
            hosts["a"].kill("sender@x", "KILL")
        with self._counts_from("b", "c"):
            hosts.cluster.power_cut("a")
        hosts.cluster.boot("a")
        hosts["a"].run("systemctl start sender@x")
        self.second = hosts.holder("x")
        with self._counts_from(*(name for name in "abc" if name != self.second)):
            hosts[self.second].run("systemctl stop sendrecv@x.target")
        hosts[self.second].run("systemctl start sender@x")
        self.before = self._collected(directory / "before")
        self._count_by_hand()
        self.after = self._collected(directory / "after")

    def _count_by_hand(self) -> None:
        """PID 1 of that host does not start it."""
        command = BY_HAND.format(node=self.second)
        with self._hosts[self.second].popen(command, stderr=subprocess.DEVNULL) as process:
            with self._counts_from(self.second):
                pass
            end(process)
        with self._counts_from(*(name for name in "abc" if name != self.second)):
            pass

    @contextlib.contextmanager
    def _counts_from(self, *nodes: str) -> Iterator[None]:
        """Waits, after what is done in this context, for a count of one of these nodes."""
        receiver = self._hosts.receiver
        after = receiver.cursor()
        yield
        receiver.wait_entry(
            lambda entry: any(f'"x", "nodeID": "{node}"}}' in entry["MESSAGE"] for node in nodes),
            *("_SYSTEMD_UNIT=receiver.service", "PRIORITY=6"),
            after=after,
            what=f"a count of {nodes}",
        )

    def _collected(self, directory: Path) -> Journals:
        """The journals, two of them as bundles; the receiver's first, as docs/proof.md has it."""
        directory.mkdir()
        journals = {}
        for name in (RECEIVER, *self._hosts.cluster.members):
            command = "journalctl --sync; journalctl -o export > /tmp/journal"
            if name in {RECEIVER, self.second}:
                command = "sendrecv proof --bundle /tmp/journal > /tmp/out || test $? = 2"
            self._hosts[name].run(command)
            journals[name] = directory / name
            self._hosts[name].get("/tmp/journal", journals[name])
        return journals


@pytest.fixture(name="story", scope="module")
def what_happens(
    release: str,
    installed_host: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Story]:
    with Hosts(release, layers={release: installed_host(release)}) as hosts:
        yield Story(hosts, tmp_path_factory.mktemp("journals"))


def judged(journals: Journals, without: str = "") -> dict[str, Any]:
    """The verdict on these journals, but for those of one host."""
    names = [name for name in journals if name != without]
    return proof_here(*(f"--file={journals[name]}" for name in names))


def test_a_lost_host_is_proven_and_the_verdict_says_on_what_it_rests(story: Story) -> None:
    verdict = judged(story.before)
    assert_proven(verdict)
    assert sorted(host["host"] for host in verdict["hosts"]) == ["a", "b", "c", RECEIVER]
    (app,) = verdict["apps"]
    assert len(app["hosts"]) == 3 and not app["missing_hosts"]
    assert [run["node"] for run in app["runs"] if run["node"]][:3] == [
        "a",
        "a-failover",
        story.second,
    ]
    assert [one["kind"] for one in app["takeovers"]] == ["takeover", "host", "host"]
    rests = {check["check"]: check["rests_on"] for check in app["checks"] if check["rests_on"]}
    assert rests == {ONE: LEASE, "start after the exit": LEASE, OWN: RATES}


def test_without_the_journal_of_a_host_its_runs_are_in_doubt_and_no_count(story: Story) -> None:
    verdict = judged(story.before, without="a")
    assert set(unproven(verdict).values()) == {"INCONCLUSIVE"}
    assert set(unproven(verdict)) == {ONE, "start after the exit", OWN}
    assert verdict["apps"][0]["missing_hosts"] == [{"nodes": ["a", "a-failover"]}]
    assert "the journal of the host of a and a-failover is not here" in str(findings(verdict))


def test_a_second_sender_by_hand_is_a_violation(story: Story) -> None:
    verdict = judged(story.after)
    assert unproven(verdict) == {OWN: "VIOLATED"}, findings(verdict)
    (found,) = findings(verdict)
    assert (
        f"of {story.second} was admitted, and PID 1 of {story.second} did not start it" in found[1]
    )
