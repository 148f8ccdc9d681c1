"""What matters once an App reaches other hosts: the clock. What is said of etcd: test_etcd.py."""

import pytest

from sendrecv.admin.checks import hosts
from sendrecv.admin.checks.settings import AppSettings
from sendrecv.admin.facts import STOPPED, App
from sendrecv.admin.units import half_of
from sendrecv.config import SenderConfig, StoreConfig
from tests.unit.only import only

STORE = StoreConfig((("a", 1),), False, "", 2.0, "alpha", False)
HERE, BY_TLS = "unix:///run/sendrecv.sock", "https://receiver.example:3443"


def known(name: str, url: str = HERE, store: StoreConfig | None = None) -> AppSettings:
    halves = (half_of(name, "main"), half_of(name, "failover"))
    app = App(name, name, STOPPED, False, False, halves)
    return AppSettings(app, SenderConfig(name, "main", 1.0, url, store=store))


@pytest.mark.parametrize(
    ("apps", "named", "why"),
    [
        ([known("x", store=STORE)], "App x reaches", "a lease rests on clocks"),
        ([known("x", BY_TLS)], "App x reaches", "a certificate may look"),
        # One is said for all: it is one clock.
        ([known("x"), known("y", BY_TLS), known("z", store=STORE)], "App y reaches", "certificate"),
    ],
)
def test_a_clock_that_is_not_synchronised_is_one_warning(
    apps: list[AppSettings], named: str, why: str
) -> None:
    problem = only(hosts.clock(apps, False))
    assert (problem.app, problem.code, problem.is_error) == ("", "clock", False)
    assert named in problem.text and why in problem.cost
    assert not [*hosts.clock(apps, True)]
    assert not [*hosts.clock(apps, None)]  # nobody knows


def test_no_app_of_one_machine_needs_the_right_time() -> None:
    apps = [known("x"), known("y", "http://127.0.0.1:3000")]
    assert not [*hosts.clock(apps, False)]


def test_the_kernel_is_asked_and_its_clock_left_alone() -> None:
    assert hosts.is_synchronised() in {True, False, None}
