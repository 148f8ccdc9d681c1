"""The senders' client of etcd, against the etcd of both releases, and what is lost in between."""

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab import roots
from tests.lab.cluster import Cluster
from tests.lab.etcd import CA, CLIENT, CLIENTS, Etcd
from tests.lab.machine import HANG, TOP, Machine, end

TREE = "/opt/tree"
BINDS = {TOP / "sendrecv": f"{TREE}/sendrecv", TOP / "tests": f"{TREE}/tests"}
KEY = "/sendrecv/one/lease"
PASSWORD = "one's"


class Client:
    """tests/peers/etcd_client.py on a host."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._woken = 0
        assert self._line() == "ready"

    def get(self, key: str = KEY) -> dict[str, Any]:
        """What came of it."""
        return self._ask(key)

    def put_if(self, revision: int, value: bytes, key: str = KEY) -> dict[str, Any]:
        """What came of it."""
        return self._ask(key, revision, base64.b64encode(value).decode())

    def watch(self) -> None:
        """Begins a watch, which says so."""
        self._say("watch", KEY, None)
        self.wait_woken()

    def wait_woken(self) -> None:
        """Waits for the next call that nobody has waited for."""
        while not self._woken:
            self._note(self._line())
        self._woken -= 1

    def forget_woken(self) -> None:
        """Of those that have come until now. An answer is read, so no line is left."""
        self.get()
        self._woken = 0

    def _ask(self, *words: object) -> dict[str, Any]:
        self._say(*words)
        while not (answer := self._note(self._line())):
            pass
        return answer

    def _say(self, *words: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{json.dumps(words)}\n")
        self._process.stdin.flush()

    def _note(self, line: Any) -> dict[str, Any]:
        """An answer; empty if the line is none."""
        if "woken" in line:
            self._woken += 1
            return {}
        return {**line}

    def _line(self) -> Any:
        assert self._process.stdout and (line := self._process.stdout.readline()), "it has ended"
        return json.loads(line)


@contextmanager
def client(host: Machine, *members: str, tls: bool = False, **credentials: str) -> Iterator[Client]:
    """A client on that host of these members."""
    at = [f"{member}:{CLIENTS}" for member in members]
    says = json.dumps({"at": at, "tls": tls, "credentials": credentials})
    command = ["env", f"--chdir={TREE}", "python3", "-m", "tests.peers.etcd_client", says]
    with host.popen(command, stdin=subprocess.PIPE) as process:
        try:
            yield Client(process)
        finally:
            end(process)


@pytest.fixture(scope="module")
def hosts(release: str) -> Iterator[Cluster]:
    """The clients are on r, of this release; one member is of the other one."""
    (other,) = set(roots.RELEASES) - {release}
    releases = {"a": release, "b": release, "c": other, "r": release}
    with Cluster(releases, binds=BINDS) as cluster:
        yield cluster


@pytest.fixture
def cluster(hosts: Cluster) -> Iterator[Cluster]:
    """With nothing wrong, and without the key."""
    hosts.repair()
    hosts.wait_healthy()
    hosts.etcdctl("a", "del", KEY)
    yield hosts
    hosts.repair()


def shown(value: bytes) -> str:
    return base64.b64encode(value).decode()


@pytest.mark.parametrize("members", ["a", "c", "abc"])
def test_reading_and_writing(cluster: Cluster, members: str) -> None:
    """Through a member of each release."""
    with client(cluster["r"], *members) as one:
        assert one.get()["key"] is None
        assert one.put_if(7, b"too early")["found"] is None
        first = one.put_if(0, bytes(range(256)))["written"]
        assert one.get()["key"] == [first, shown(bytes(range(256)))]
        assert one.put_if(0, b"too late")["found"] == [first, shown(bytes(range(256)))]
        second = one.put_if(first, b"")["written"]
        assert second > first
        assert one.get()["key"] == [second, ""]
        assert cluster.etcdctl("b", "get", KEY).stdout == f"{KEY}\n\n"
        assert one.put_if(second, b"x" * 2_000_000)["error"]


def test_a_watch_wakes(cluster: Cluster) -> None:
    with client(cluster["r"], "c", "a") as one:
        one.watch()
        for value in ("1", "2"):
            one.forget_woken()
            cluster.etcdctl("b", "put", KEY, value)
            one.wait_woken()
        # The member that it asks is gone: it asks another one.
        one.forget_woken()
        cluster.power_cut("c")
        one.wait_woken()
        one.forget_woken()
        cluster.etcdctl("b", "put", KEY, "3")
        one.wait_woken()


def test_a_member_without_a_leader_ends_a_watch(cluster: Cluster) -> None:
    """It would never hear of a change."""
    with client(cluster["r"], "a", "b") as one:
        one.watch()
        one.forget_woken()
        others = [cluster.addresses["b"], cluster.addresses["c"]]
        for other in others:
            cluster["a"].run(f"ip route add blackhole {other}")
        one.wait_woken()
        cluster.etcdctl("b", "put", KEY, "new")
        one.wait_woken()
        for other in others:
            cluster["a"].run(f"ip route del blackhole {other}")


LOSSES: dict[str, Callable[[Cluster, str], object]] = {
    "power cut": lambda cluster, name: cluster.power_cut(name),
    "frozen": lambda cluster, name: cluster.freeze_unit(name, "etcd"),
    "stopped": lambda cluster, name: cluster[name].run("systemctl stop etcd"),
    "killed": lambda cluster, name: cluster[name].run("systemctl kill -s KILL etcd"),
    "cut off": lambda cluster, name: cluster.cut(name),
    "cannot answer": lambda cluster, name: cluster.cut(name, "out"),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=list(LOSSES))
def test_a_member_is_lost(cluster: Cluster, lose: Callable[[Cluster, str], object]) -> None:
    """The one that is asked first, and does not lead. Nothing is written twice."""
    follower, *others = followers_first(cluster)
    with client(cluster["r"], follower, *others) as one:
        revision = one.put_if(0, b"before")["written"]
        lose(cluster, follower)
        assert one.get()["key"] == [revision, shown(b"before")]
        lost = one.put_if(revision, b"after")
        assert lost.get("written") or lost["found"] == [lost["found"][0], shown(b"after")]
        assert one.get()["key"][1] == shown(b"after")
    come_back(cluster, follower)


def come_back(cluster: Cluster, name: str) -> None:
    """What Cluster.repair() does not end: what was done to the unit alone."""
    cluster.repair()
    cluster[name].run("systemctl thaw etcd", check=False)
    cluster[name].run("systemctl start etcd")


def followers_first(cluster: Cluster) -> Sequence[str]:
    return sorted(cluster.members, key=lambda name: (name == cluster.leader(), name))


def answered(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Asks again as long as etcd has no leader, as a sender does."""
    deadline = time.monotonic() + HANG
    while "error" in (answer := ask()):
        assert time.monotonic() < deadline, answer
    return answer


def test_the_leader_is_lost(cluster: Cluster) -> None:
    leader = cluster.leader()
    others = [name for name in cluster.members if name != leader]
    with client(cluster["r"], leader, *others) as one:
        revision = one.put_if(0, b"before")["written"]
        cluster.power_cut(leader)
        assert answered(one.get)["key"] == [revision, shown(b"before")]
        answered(lambda: one.put_if(revision, b"after"))  # written, or found written already
        assert answered(one.get)["key"][1] == shown(b"after")


@pytest.fixture(scope="module")
def guarded(release: str) -> Iterator[Cluster]:
    """One member with TLS, users, and little space."""
    etcd = Etcd(tls=True, quota=16 << 20)
    with Cluster({"a": release}, etcd=etcd, binds=BINDS) as cluster:
        cluster.enable_authentication({"one": PASSWORD, "two": "two's"})
        yield cluster


FILES = {"ca": CA, "certificate": CLIENT, "key": CLIENT}


def test_a_user_with_a_password(guarded: Cluster) -> None:
    """Each App's user may read and write what is the App's, and nothing else."""
    with client(guarded["a"], "a", tls=True, user="one", password=PASSWORD, **FILES) as one:
        written = one.put_if(0, b"value")["written"]
        assert one.get()["key"] == [written, shown(b"value")]
        for answer in (one.get("/sendrecv/two/lease"), one.put_if(0, b"", "/sendrecv/two/lease")):
            assert "permission denied" in answer["error"]
            assert answer["type"] == "EtcdRefused"
        # Its tokens are forgotten.
        guarded["a"].run("systemctl restart etcd")
        guarded.wait_healthy()
        assert one.get()["key"] == [written, shown(b"value")]
        one.watch()


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({"user": "one", "password": "two's"}, "authentication failed"),
        ({"user": "nobody", "password": "two's"}, "authentication failed"),
        # Of TLS without a user, the gateway's own certificate may be taken for one.
        ({}, "a:2379: "),
    ],
)
def test_who_is_not_believed(guarded: Cluster, credentials: dict[str, str], words: str) -> None:
    with client(guarded["a"], "a", tls=True, **credentials, **FILES) as one:
        answer = one.get()
        error = answer["error"]
        assert words in error and answer["type"] == "EtcdRefused"
        assert PASSWORD not in error and "two's" not in error


def test_a_client_without_a_certificate(guarded: Cluster) -> None:
    with client(guarded["a"], "a", tls=True, user="one", password=PASSWORD, ca=CA) as one:
        assert "a:2379 (" in one.get()["error"]


def test_etcd_is_full(guarded: Cluster) -> None:
    guarded.fill()
    with client(guarded["a"], "a", tls=True, user="one", password=PASSWORD, **FILES) as one:
        found = one.get()["key"]
        answer = one.put_if(found[0] if found else 0, b"x" * 1000)
        assert "database space exceeded" in answer["error"]
        assert answer["type"] == "EtcdRefused"
        guarded.make_room()
        assert one.put_if(found[0] if found else 0, b"x" * 1000)["written"]
