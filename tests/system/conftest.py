"""Fixtures of the system tests: machines of the release that --release names."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import nspawn, roots
from tests.lab.cluster import installed
from tests.lab.machine import DEB, Machine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--release", choices=roots.RELEASES, default="trixie", help="Debian release")
    parser.addoption("--not-planted", action="store_true", help="without planted violations")


def pytest_configure() -> None:
    """See nspawn.SYNCS."""
    nspawn.SYNCS = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A planted violation tests a checker, which is the same on both releases."""
    if config.getoption("--not-planted"):
        planted = [item for item in items if item.get_closest_marker("planted")]
        config.hook.pytest_deselected(items=planted)
        items[:] = [item for item in items if item not in planted]


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest) -> str:
    """The Debian release under test."""
    return str(request.config.getoption("--release"))


@pytest.fixture
def bare_machine(release: str) -> Iterator[Machine]:
    """A fresh machine on which the package's dependencies, and not the package, are installed."""
    with Machine(release) as machine:
        yield machine


@pytest.fixture(scope="session")
def installed_disk(release: str) -> Iterator[Path]:
    """What installing the package writes, as a layer that fresh machines start from."""
    assert DEB.exists(), f"{DEB} is missing: make deb"
    with Machine(release) as machine:
        machine.install_deb()
        machine.poweroff()
        yield machine.disk


@pytest.fixture(scope="session")
def installed_host() -> Iterator[Callable[[str], Path]]:
    """The same for a host of tests/lab/cluster.py, for each release that a test asks for."""
    assert DEB.exists(), f"{DEB} is missing: make deb"
    with contextlib.ExitStack() as held:
        yield functools.cache(lambda release: held.enter_context(installed(release)))


@pytest.fixture
def machine(release: str, installed_disk: Path) -> Iterator[Machine]:
    """A fresh machine, just booted, with the package as `apt install ./sendrecv.deb` leaves it."""
    with Machine(release, layer=installed_disk) as machine:
        yield machine
