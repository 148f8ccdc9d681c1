"""Fixtures of the tests with what administrators have beside the package; see roots.py."""

from collections.abc import Iterator

import pytest

from tests.lab.machine import DEB, Machine
from tests.system.conftest import pytest_addoption, release

__all__ = ["fixture_admin_machine", "pytest_addoption", "release"]


@pytest.fixture(name="admin_machine", scope="module")
def fixture_admin_machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """One machine for all tests of a module, with the package as `apt install` leaves it."""
    assert DEB.exists(), f"{DEB} is missing: make deb"
    with Machine(str(request.config.getoption("--release")), kind="admin") as machine:
        machine.install_deb()
        yield machine
