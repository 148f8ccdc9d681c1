"""Hosts with the store of several hosts, on an etcd of a few lines: compare, write, read.

That etcd is a few keys in memory. What is tested on real ones: tests/system/test_hosts.py.
"""

from collections.abc import Callable
from pathlib import Path


from sendrecv.core.lease import Here, Holding, decode
from sendrecv.core.reach import App
from sendrecv.core.record import Record
from sendrecv.core.values import SECOND
from sendrecv.sender.etcd import CompareFailed, EtcdError, EtcdKey, Written
from sendrecv.sender.store_etcd import EtcdStore, Hooks
from sendrecv.sender.store_file import StateFile

LEASE = 2 * SECOND
RECORD = "/sendrecv/one/record"
PAUSED = "/sendrecv/one/paused"


class Cluster:
    """A few keys, and one clock for all hosts. key: that of the record. silent: it answers nobody.
    unheard: so many of the next writes are carried out, and nobody is told.
    """

    def __init__(self) -> None:
        self.now = SECOND
        self.key: EtcdKey | None = None
        self.others: dict[str, EtcdKey] = {}
        self.accepted = -1  # the last count that the receiver of test_several_hosts.py has
        self.silent = False
        self.is_proven = True
        self.unheard = 0
        self.before_write: Callable[[], None] = lambda: None
        self.revision = 10

    def get(self, key: str, timeout: float) -> EtcdKey | None:
        """See Etcd."""
        assert timeout <= LEASE / SECOND / 8
        if self.silent:
            raise EtcdError("no endpoint answers")
        return self.key if key == RECORD else self.others.get(key)

    def put_if(
        self, key: str, revision: int, value: bytes, timeout: float, *, absent: str = ""
    ) -> Written | CompareFailed:
        """See Etcd."""
        before, self.before_write = self.before_write, lambda: None
        before()
        there = self.get(key, timeout)
        if revision != (there.revision if there else 0) or (absent and self.get(absent, timeout)):
            return CompareFailed(there)
        self.write(value, key)
        if self.unheard:
            self.unheard -= 1
            raise EtcdError("no endpoint answers")
        return Written(self.revision)

    def write(self, value: bytes, key: str = RECORD) -> None:
        """Whoever does it."""
        self.revision += 1
        if key == RECORD:
            self.key = EtcdKey(self.revision, value)
        else:
            self.others[key] = EtcdKey(self.revision, value)

    def holding(self) -> Holding:
        """What the key says."""
        assert self.key is not None
        found = decode(self.key.value)
        assert found is not None
        return found

    def close(self) -> None:
        """See Etcd."""


class Host:
    """A host, and one process of the App on it."""

    def __init__(
        self,
        cluster: Cluster,
        directory: Path,
        name: str,
        node: str = "",
        *,
        continues: bool = False,
    ) -> None:
        self.cluster = cluster
        self.leaves = False
        self.ends: list[int] = []
        self.about_to_take: list[int] = []
        self.statuses: list[str] = []
        self.by_person = False
        directory.joinpath(name).mkdir(exist_ok=True)
        app = App("one", node or name, (node or name).ljust(32, "0"), name * 32, SECOND)
        self.app = app
        self.local = StateFile(directory / name / "one.record")
        here = Here(name, name * 32, LEASE)
        self.store = EtcdStore(
            app,
            here,
            self.local,
            cluster,  # type: ignore[arg-type]  # what is needed of it
            Hooks(
                lambda: self.leaves,
                lambda: self.ends.append(cluster.revision),
                lambda: self.about_to_take.append(cluster.revision),
                "one",
                str(directory / name / "one.paused"),
                lambda: self.by_person,
            ),
            continues=continues,
            clock=lambda: cluster.now,
        )
        self.store.acquire()

    def stand_by(self, seconds: float = 60) -> tuple[Record | None, int] | None:
        """For at most so long."""
        ends = self.cluster.now + int(seconds * SECOND)

        def idle(status: str, pause: float) -> bool:
            assert 0 < pause <= LEASE / SECOND
            self.statuses.append(status)
            self.cluster.now += int(pause * SECOND)
            return self.cluster.now < ends

        return self.store.stand_by(idle)

    def takes(self) -> Record:
        """It may count now."""
        found = self.stand_by()
        assert found is not None
        record, epoch = found
        assert record is None or record.epoch == epoch
        return self.cluster.holding().record

    def commit(self, count: int) -> None:
        """A count is taken."""
        record = self.cluster.holding().record
        self.store.commit(record.replace(count=count, run=self.app.run, node_id=self.app.node_id))
