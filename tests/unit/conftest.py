"""Settings of the unit tests, wherever they run, and what those of several modules need."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline: two steps of `make test` share the machine. A failing example is printed in a form
# that replays it, because the tree that it was found in is gone afterwards.
settings.register_profile(
    "sendrecv", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sendrecv")


@pytest.fixture(name="manager")
def fixture_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket that a service manager would read notifications from."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(120)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield manager
