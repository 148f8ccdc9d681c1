"""For tests that open connections in this process."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def sockets_left() -> Iterator[None]:
    """Collects, in the test that has made them, the sockets of connections that failed to open.

    websocket-client and engineio leave them to the garbage collector. Such a test has to allow
    ResourceWarning.
    """
    yield
    gc.collect()
