"""The hosts that tests of several hosts stand on do what the methods of tests/lab/cluster.py say.

All but one of these tests share hosts. One of them has the other release, and so the other etcd.
"""

import base64
import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.lab import roots
from tests.lab.cluster import Cluster
from tests.lab.etcd import CA, CLIENT, CLIENTS, Etcd
from tests.lab.machine import HANG, TOP, Machine, end
from tests.lab.waiting import wait_until

OTHER_PORT = 3000
PORTS = (CLIENTS, OTHER_PORT)
# What has reached the bridge, before any of it is dropped.
SEEN = f"""table bridge seen {{
    counter datagrams {{}}
    chain prerouting {{
        type filter hook prerouting priority 0
        udp dport {{ {", ".join(map(str, PORTS))} }} counter name datagrams
    }}
}}
"""
Datagram = tuple[str, str, int, int]
"""Sender, receiver, and the ports of both."""

# Sends a datagram from each port to each port of each peer for a line of its input; prints what is
# received. Of UDP, so that each direction is seen alone, and the order kept.
POST = f"""
import os, select, signal, socket, sys
signal.alarm({HANG:.0f})
own, *peers = sys.argv[1:]
sockets = {{}}
for port in {PORTS}:
    sockets[port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sockets[port].bind(("", port))
print("ready", flush=True)
while True:
    for ready in select.select([0, *sockets.values()], [], [])[0]:
        if ready != 0:
            print(ready.recv(100).decode(), ready.getsockname()[1], flush=True)
        elif text := os.read(0, 100).decode().strip():  # one line: send() waits for each
            for port, from_port in sockets.items():
                for peer in peers:
                    for to in sockets:
                        from_port.sendto(f"{{text}} {{own}} {{port}}".encode(), (peer, to))
        else:
            sys.exit()
"""


@pytest.fixture(scope="module")
def hosts(release: str) -> Iterator[Cluster]:
    (other,) = set(roots.RELEASES) - {release}
    with Cluster({"a": release, "b": release, "c": other, "r": release}) as cluster:
        yield cluster


@pytest.fixture
def cluster(hosts: Cluster) -> Iterator[Cluster]:
    """With nothing wrong, before and after the test."""
    yield hosts
    hosts.repair()
    hosts.wait_healthy()


class Post:
    """Sends datagrams from every host to every other one."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._held = contextlib.ExitStack()
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._sent = 0

    def __enter__(self) -> Self:
        self._cluster.network.run("nft", "-f", "-", text=SEEN)
        self._held.callback(self._cluster.network.run, "nft", "delete", "table", "bridge", "seen")
        for name, host in self._cluster.hosts.items():
            peers = [peer for peer in self._cluster.hosts if peer != name]
            argv = ["python3", "-c", POST, name, *peers]
            running = host.popen(argv, stdin=subprocess.PIPE)
            self._running[name] = self._held.enter_context(running)
            self._held.callback(end, self._running[name])
        for name in self._running:
            assert self._line(name) == "ready"
        self.all = {
            (sender, receiver, from_port, to_port)
            for sender in self._running
            for receiver in self._running
            for from_port in PORTS
            for to_port in PORTS
            if sender != receiver
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def send(self, text: str) -> None:
        """Returns when all datagrams have reached the bridge."""
        self._sent += len(self.all)
        for post in self._running.values():
            assert post.stdin
            post.stdin.write(f"{text}\n")
            post.stdin.flush()
        wait_until(lambda: self._seen() == self._sent, f"{self._sent} datagrams on the bridge")

    def _seen(self) -> int:
        listed = self._cluster.network.run(
            "nft", "-j", "list", "counters", "table", "bridge", "seen"
        )
        return next(
            int(one["counter"]["packets"])
            for one in json.loads(listed)["nftables"]
            if "counter" in one
        )

    def received_before(self, last: str) -> set[tuple[str, Datagram]]:
        """Texts, and how they came, before that text had come in all ways."""
        received: set[tuple[str, Datagram]] = set()
        for name in self._running:
            missing = {datagram for datagram in self.all if datagram[1] == name}
            while missing:
                text, sender, from_port, to_port = self._line(name).split()
                datagram = (sender, name, int(from_port), int(to_port))
                if text == last:
                    missing.remove(datagram)
                else:
                    received.add((text, datagram))
        return received

    def _line(self, name: str) -> str:
        stdout = self._running[name].stdout
        assert stdout and (line := stdout.readline()), f"nothing came to {name}"
        return line.strip()


@pytest.fixture
def post(cluster: Cluster) -> Iterator[Post]:
    """All addresses are resolved already, so that a datagram is sent at once or never."""
    with Post(cluster) as running:
        running.send("first")
        assert running.received_before("first") == set()
        yield running


def get(host: Machine, url: str, *options: str) -> int:
    """curl's exit status; 28 is its time-out."""
    return host.run(["curl", "-s", "-f", *options, url], check=False).returncode


def test_members_of_both_releases_keep_the_same_keys(cluster: Cluster, release: str) -> None:
    assert cluster.health() == {"a": True, "b": True, "c": True}
    versions = {
        json.loads(cluster["a"].run(f"curl -s http://{name}:{CLIENTS}/version").stdout)[
            "etcdserver"
        ][:3]
        for name in "abc"
    }
    assert versions == {"3.4", "3.5"}
    cluster.etcdctl("a", "put", "key", release)
    assert {cluster.etcdctl(name, "get", "key").stdout for name in "abc"} == {f"key\n{release}\n"}


def test_each_host_knows_its_name_and_the_others(cluster: Cluster) -> None:
    for name, host in cluster.hosts.items():
        assert host.run("hostname").stdout == f"{name}\n"
        assert host.run("systemctl is-system-running").stdout == "running\n"
        found = host.run(["getent", "hosts", *cluster.hosts]).stdout
        assert [line.split() for line in found.splitlines()] == [
            [address, peer] for peer, address in cluster.addresses.items()
        ]
    assert not cluster["r"].pid("etcd")


def test_a_member_is_made_the_leader(cluster: Cluster) -> None:
    for name in "abc":
        cluster.move_leader(name)
        assert cluster.leader() == name


def test_without_its_leader_another_member_leads(cluster: Cluster) -> None:
    leader = cluster.wait_leader()
    cluster.etcdctl(leader, "put", "key", "before the cut")
    cluster.power_cut(leader)
    other = cluster.wait_leader(leader)
    assert not cluster.health()[leader]
    assert cluster.etcdctl(other, "get", "key").stdout == "key\nbefore the cut\n"
    cluster.etcdctl(other, "put", "key", "after the cut")
    cluster.boot(leader)
    cluster.wait_healthy()
    assert cluster.etcdctl(leader, "get", "key").stdout == "key\nafter the cut\n"


def test_a_member_is_replaced(cluster: Cluster) -> None:
    cluster.etcdctl("b", "put", "key", "before")
    for member in ("a", "c"):
        before = member_id(cluster, member)
        cluster.replace(member)
        cluster.wait_healthy()
        assert cluster.etcdctl(member, "get", "key").stdout == "key\nbefore\n"
        assert member_id(cluster, member) != before


def member_id(cluster: Cluster, name: str) -> int:
    status = cluster.etcdctl(name, "endpoint", "status", "-w", "json").stdout
    return int(json.loads(status)[0]["Status"]["header"]["member_id"])


def test_a_leader_that_is_cut_off_leads_no_longer(cluster: Cluster) -> None:
    leader = cluster.wait_leader()
    cluster.cut(leader)
    cluster.wait_leader(leader)
    assert not cluster.health()[leader]
    cluster.join(leader)
    cluster.wait_healthy()


def test_a_cut_outlasts_a_reboot(cluster: Cluster) -> None:
    url = f"http://a:{CLIENTS}/health"
    cluster.cut("r")
    cluster["r"].reboot()
    assert get(cluster["r"], url, "--max-time", "1")
    cluster.join("r")
    cluster["r"].wait_until(lambda: not get(cluster["r"], url), "an answer after the cut")


# What is done, and whether a datagram is lost then: sender, receiver, and the ports of both.
CUTS: dict[str, tuple[Callable[[Cluster], object], Callable[[str, str, int, int], bool]]] = {
    "a link": (
        lambda cluster: cluster.cut("a"),
        lambda sender, receiver, *_: "a" in {sender, receiver},
    ),
    "a link, inwards": (
        lambda cluster: cluster.cut("a", "in"),
        lambda sender, receiver, *_: receiver == "a",
    ),
    "a link, outwards": (
        lambda cluster: cluster.cut("a", "out"),
        lambda sender, receiver, *_: sender == "a",
    ),
    "a port": (
        lambda cluster: cluster.block("a", ports=[CLIENTS]),
        lambda sender, receiver, *ports: "a" in {sender, receiver} and CLIENTS in ports,
    ),
    "a port, outwards": (
        lambda cluster: cluster.block("a", direction="out", ports=[CLIENTS]),
        lambda sender, receiver, *ports: sender == "a" and CLIENTS in ports,
    ),
    "a peer": (
        lambda cluster: cluster.block("a", peers=["r"]),
        lambda sender, receiver, *_: {sender, receiver} == {"a", "r"},
    ),
    "a peer's port, inwards": (
        lambda cluster: cluster.block("a", direction="in", ports=[OTHER_PORT], peers=["b", "r"]),
        lambda sender, receiver, *ports: (
            sender in "br" and receiver == "a" and OTHER_PORT in ports
        ),
    ),
    "two at once": (
        lambda cluster: (cluster.block("a", peers=["b"]), cluster.cut("c", "out")),
        lambda sender, receiver, *_: {sender, receiver} == {"a", "b"} or sender == "c",
    ),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_cuts_what_it_says_and_nothing_else(cluster: Cluster, post: Post, cut: str) -> None:
    make, lost = CUTS[cut]
    make(cluster)
    post.send("cut")
    assert post.all > {datagram for datagram in post.all if lost(*datagram)} > set()
    cluster.repair()
    post.send("last")
    assert post.received_before("last") == {("cut", one) for one in post.all if not lost(*one)}


def test_what_one_fault_blocks_outlasts_the_end_of_another(cluster: Cluster, post: Post) -> None:
    peer = cluster.block("a", peers=["r"])
    port = cluster.block("a", ports=[OTHER_PORT])
    cluster.unblock(port)
    post.send("peer")
    cluster.unblock(peer)
    post.send("last")
    lost = {one for one in post.all if {one[0], one[1]} == {"a", "r"}}
    assert post.received_before("last") == {("peer", one) for one in post.all - lost}


def test_loss_loses_some_datagrams_and_not_all(cluster: Cluster, post: Post) -> None:
    cluster.loss("a", 50)
    texts = [f"loss{number}" for number in range(5)]
    for text in texts:
        post.send(text)
    cluster.repair()
    post.send("last")
    sent = {(text, one) for text in texts for one in post.all}
    lost = sent - post.received_before("last")
    of_a = {(text, one) for text, one in sent if "a" in one[:2]}
    assert set() < lost < of_a
    assert {one[0] == "a" for _, one in lost} == {True, False}


def test_a_frozen_host_does_nothing_until_it_is_thawed(cluster: Cluster) -> None:
    cluster.freeze("b")
    cluster.wait_healthy("a", "c")
    assert not cluster.health()["b"]
    assert get(cluster["a"], f"http://b:{CLIENTS}/health", "--max-time", "1") == 28
    cluster.thaw("b")
    cluster.wait_healthy("b")


def test_the_power_of_a_frozen_host_can_be_cut(cluster: Cluster) -> None:
    cluster.freeze("b")
    cluster.power_cut("b")
    cluster.boot("b")
    cluster.wait_healthy("b")


def test_a_frozen_unit_is_connected_to_and_answers_nothing(cluster: Cluster) -> None:
    url = f"http://b:{CLIENTS}/health"
    cluster.freeze_unit("b", "etcd")
    cluster["a"].run(["bash", "-c", f"exec 3<>/dev/tcp/b/{CLIENTS}"])
    assert get(cluster["a"], url, "--max-time", "1") == 28
    assert cluster["b"].run("hostname").stdout == "b\n"
    cluster.thaw_unit("b", "etcd")
    cluster.wait_healthy("b")
    assert get(cluster["a"], url) == 0


def test_a_slow_disk_slows_down_its_member_alone(cluster: Cluster) -> None:
    slow = next(name for name in "abc" if name != cluster.wait_leader())
    cluster.slow_disk(slow, 0.3)
    started = time.monotonic()
    assert "OK" in cluster.etcdctl(slow, "put", "key", "slow").stdout
    assert time.monotonic() - started >= 0.3
    cluster.slow_disk(slow, 0)
    cluster.etcdctl(slow, "put", "key", "fast")
    assert not cluster["r"].run("pgrep strace", check=False).stdout


def test_certificates_passwords_and_a_full_etcd(release: str) -> None:
    etcd = Etcd(heartbeat=50, election=500, quota=4 << 20, tls=True)
    with Cluster(dict.fromkeys("abc", release), etcd=etcd) as cluster:
        host = cluster["a"]
        refused = get(host, f"https://b:{CLIENTS}/health", "--cacert", CA)
        assert refused and get(host, f"http://b:{CLIENTS}/health")
        tls = ["--cacert", CA, "--cert", CLIENT]
        assert get(host, f"https://b:{CLIENTS}/health", *tls) == 0

        cluster.fill()
        full = cluster.etcdctl("b", "put", "key", "value", check=False)
        assert "database space exceeded" in full.stderr
        cluster.make_room()
        cluster.etcdctl("b", "put", "key", "value")

        cluster.enable_authentication({"main": "its-own", "other": "another"})
        assert put_as(cluster, "main:its-own", "/sendrecv/main/x") == ""
        assert gateway(cluster, "main", "its-own", "/sendrecv/main/x") == ["header"]
        assert "permission denied" in put_as(cluster, "main:its-own", "/sendrecv/other/x")
        assert "authentication failed" in put_as(cluster, "main:another", "/sendrecv/main/x")
        assert cluster.health() == {"a": True, "b": True, "c": True}


def put_as(cluster: Cluster, user: str, key: str) -> str:
    """Writes that key with that user and password; returns etcdctl's complaint."""
    command = ["etcdctl", f"--endpoints=https://b:{CLIENTS}", f"--user={user}", "put", key, "1"]
    tls = [f"--cacert={CA}", f"--cert={CLIENT}", f"--key={CLIENT}"]
    return cluster["a"].run([*command, *tls], check=False).stderr


def gateway(cluster: Cluster, user: str, password: str, key: str) -> list[str]:
    """The same by etcd's JSON gateway; returns what is in its answer."""

    def post(path: str, body: dict[str, str], *options: str) -> dict[str, str]:
        tls = ["--cacert", CA, "--cert", CLIENT, "-d", json.dumps(body)]
        url = f"https://b:{CLIENTS}/v3/{path}"
        answer: dict[str, str] = json.loads(
            cluster["a"].run(["curl", "-s", *tls, *options, url]).stdout
        )
        return answer

    token = post("auth/authenticate", {"name": user, "password": password})["token"]
    encoded = base64.b64encode(key.encode()).decode()
    return list(post("kv/put", {"key": encoded, "value": ""}, "-H", f"Authorization: {token}"))


def in_network(inode: int) -> list[str]:
    """The processes in that network namespace."""
    found = []
    for process in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            if process.stat().st_ino == inode:
                found.append(process.parts[2])
    return found


def test_dies_with_the_process_that_booted_it(release: str) -> None:
    script = (
        "import os, sys, time; from tests.lab.cluster import Cluster\n"
        "with Cluster({'a': sys.argv[1]}) as cluster:\n"
        "    print(os.stat(cluster.network.namespace).st_ino, cluster['a'].leader, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, release]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True) as tester:
        inode, leader = map(int, (tester.stdout or sys.stdin).readline().split())
        assert in_network(inode)
        machine_gone = os.pidfd_open(leader)
        tester.kill()
    assert select.select([machine_gone], [], [], HANG)[0]
    os.close(machine_gone)
    wait_until(lambda: not in_network(inode), "the network to be gone")
