"""For tests that open connections in this process, and those of the client and store of etcd."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from sendrecv.sender import etcd as client
from tests.lab.waiting import HANG
from tests.unit.sender.hosts_of_etcd import Cluster, Host


@pytest.fixture
def sockets_left() -> Iterator[None]:
    """Collects, in the test that has made them, the sockets of connections that failed to open.

    websocket-client and engineio leave them to the garbage collector. Such a test has to allow
    ResourceWarning.
    """
    yield
    gc.collect()


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client of etcd asks the next endpoint only after a failure."""
    monkeypatch.setattr(client, "HEDGE", 2 * HANG)


@pytest.fixture
def hedging(one_at_a_time: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next endpoint is asked while the first one is silent: later, as an endpoint of a test
    may need more time than one of etcd, on a busy machine.
    """
    del one_at_a_time  # it comes first
    monkeypatch.setattr(client, "HEDGE", 0.4)


@pytest.fixture(name="cluster")
def fixture_cluster() -> Cluster:
    return Cluster()


@pytest.fixture(name="a")
def fixture_a(cluster: Cluster, tmp_path: Path) -> Iterator[Host]:
    host = Host(cluster, tmp_path, "a")
    yield host
    host.local.release()


@pytest.fixture(name="b")
def fixture_b(cluster: Cluster, tmp_path: Path) -> Iterator[Host]:
    host = Host(cluster, tmp_path, "b")
    yield host
    host.local.release()


@pytest.fixture(name="c")
def fixture_c(cluster: Cluster, tmp_path: Path) -> Iterator[Host]:
    host = Host(cluster, tmp_path, "c", continues=True)
    yield host
    host.local.release()
