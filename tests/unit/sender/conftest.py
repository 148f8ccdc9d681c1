"""For tests that open connections in this process, and those of the client of etcd."""

import gc
from collections.abc import Iterator

import pytest

from sendrecv.sender import etcd as client
from sendrecv.sender.etcd import HEDGE
from tests.lab.waiting import HANG


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
    """The next endpoint is asked while the first one is silent."""
    del one_at_a_time  # it comes first
    monkeypatch.setattr(client, "HEDGE", HEDGE)
