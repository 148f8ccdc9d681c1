"""Settings of units: what is wrong, what has no effect, what is older than its file."""

import os
from pathlib import Path

import pytest

from sendrecv import settings_file
from sendrecv.admin.checks import settings
from sendrecv.admin.checks.settings import AppSettings, UnitSettings, judge
from sendrecv.admin.checks.unseen import Unseen
from sendrecv.admin.facts import STOPPED, App
from sendrecv.admin.problems import Problem
from sendrecv.admin.units import half_of

HTTPS = "https://receiver.example:3443"
INTERVAL = "SENDRECV_INTERVAL"


@pytest.fixture(name="file", autouse=True)
def fixture_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings_file, "DIRECTORY", str(tmp_path))
    monkeypatch.setattr(settings_file, "UNITS", ())
    return tmp_path / "x.env"


def app(name: str = "x") -> App:
    halves = (half_of(name, "main"), half_of(name, "failover"))
    return App(name, name, STOPPED, False, False, halves)


def own(environ: dict[str, str] | None = None, **more: object) -> UnitSettings:
    one = UnitSettings("sender@x.service", "x", "main", environ=environ or {})
    return one.replace(**more)


def found(*owns: UnitSettings, apps: tuple[str, ...] = ("x",)) -> list[Problem | Unseen]:
    return [*judge(owns, [app(name) for name in apps], "alpha", [])]


def codes(*owns: UnitSettings) -> list[tuple[str, bool]]:
    return [(it.code, it.is_error) for it in found(*owns) if isinstance(it, Problem)]


def test_nothing_is_wrong() -> None:
    assert found(own(), own(role="failover", unit="sender-failover@x.service")) == []


def test_a_wrong_value_is_said_once_with_its_true_source(file: Path) -> None:
    file.write_text(f"# a\n{INTERVAL}=often\n", encoding="ascii")
    both = (own({INTERVAL: "often"}), own({INTERVAL: "often"}, role="failover"))
    (problem,) = found(*both)
    assert isinstance(problem, Problem) and (problem.code, problem.is_error) == ("setting", True)
    assert problem.text.startswith(f"{file}, line 2: {INTERVAL}='often': must be a number")
    file.write_text("# a\n", encoding="ascii")
    (problem,) = found(*both)
    assert isinstance(problem, Problem)
    assert problem.text.startswith(f"the environment of sender@x.service: {INTERVAL}='often'")


def test_the_receivers_settings() -> None:
    receiver = UnitSettings(
        "receiver.service", "receiver", "", environ={"SENDRECV_MAX_CONNECTIONS": "0"}
    )
    (problem,) = found(receiver)
    assert isinstance(problem, Problem) and problem.app == ""
    assert "SENDRECV_MAX_CONNECTIONS='0'" in problem.text
    assert problem.commands[-1] == "systemctl restart receiver"


def test_a_line_without_effect(file: Path) -> None:
    file.write_text("SENDRCV_INTERVAL=2\n", encoding="ascii")
    (problem,) = found(own(files=(str(file),)), own(files=(str(file),), role="failover"))
    assert isinstance(problem, Problem) and problem.code == "setting-ignored"
    assert not problem.is_error and problem.commands[0] == f"sensible-editor +1 {file}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may see everything")
def test_a_file_that_this_user_may_not_see(file: Path) -> None:
    file.touch(0)
    assert found(own(files=(str(file),))) == [Unseen(str(file))]


def test_a_process_with_older_settings(file: Path) -> None:
    runs = own({INTERVAL: "2", "LANG": "C"}, running={INTERVAL: "1", "TZ": "UTC"}, since=1.0)
    (problem,) = found(runs)
    assert isinstance(problem, Problem) and problem.code == "setting-older"
    assert f"{INTERVAL} '1', now '2'" in problem.text
    assert problem.commands == ("systemctl restart sendrecv@x.target",)
    assert codes(runs.replace(running={INTERVAL: "2"}, changed=9.0)) == []
    assert codes(runs.replace(running={})) == [("setting-older", False)]
    assert "now not set" in str(found(runs.replace(environ={})))
    # Whoever may not see the process has the times.
    unseen = runs.replace(running=None, files=(str(file),))
    assert codes(unseen.replace(changed=2.0)) == [("setting-older", False)]
    assert codes(unseen.replace(changed=0.5)) == []
    assert codes(unseen.replace(changed=2.0, since=None)) == []


@pytest.mark.parametrize(
    ("environ", "more", "expected"),
    [
        ({"SENDRECV_URL": HTTPS}, {"has_network": False}, [("no-network", True)]),
        ({"SENDRECV_STORE": "etcd://a"}, {"has_network": False}, [("no-network", True)]),
        ({"SENDRECV_URL": "http://127.0.0.1:3000"}, {"allowed": False}, []),
        ({"SENDRECV_URL": HTTPS}, {"allowed": False}, [("no-address", True)]),
        ({"SENDRECV_STORE": "etcd://127.0.0.1,[::1]"}, {"allowed": False}, []),
        (
            {"SENDRECV_STORE": "etcd://127.0.0.1,10.0.0.1"},
            {"allowed": False},
            [("no-address", True)],
        ),
        ({}, {"has_network": False, "allowed": False}, []),
        ({"SENDRECV_CA": "/nonexistent"}, {}, [("setting-ca", True)]),
        ({"SENDRECV_CA": "/etc"}, {}, [("setting-ca", True)]),
        ({"SENDRECV_CA": "/etc/hostname"}, {}, []),
        ({"SENDRECV_CA": "/bin/sh"}, {}, [("setting-ca", True)]),
    ],
)
def test_what_a_setting_needs(
    environ: dict[str, str], more: dict[str, object], expected: list[tuple[str, bool]]
) -> None:
    assert codes(own(environ, **more)) == expected


def test_two_apps_with_one_app_id() -> None:
    other = UnitSettings("sender@y.service", "y", "main", environ={"SENDRECV_APP_ID": "x"})
    (problem,) = found(own(), other, apps=("x", "y"))
    assert isinstance(problem, Problem) and (problem.app, problem.code) == ("y", "setting-twice")


def test_what_is_right_is_known() -> None:
    known: list[AppSettings] = []
    assert not [*judge([own({INTERVAL: "5"})], [app()], "alpha", known)]
    assert [(one.app.instance, one.config.interval) for one in known] == [("x", 5.0)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IPAddressAllow=localhost\n#IPAddressAllow=10.0.0.1\n", False),
        ("IPAddressAllow=localhost\nIPAddressAllow=10.0.0.1\n", True),
        ("IPAddressAllow=any\n", True),
        ("", False),
    ],
)
def test_the_addresses_of_a_drop_in(tmp_path: Path, text: str, expected: bool) -> None:
    drop_in = tmp_path / "network.conf"
    drop_in.write_text(text, encoding="ascii")
    allows = settings._allows_others  # pylint: disable=protected-access
    assert allows([str(drop_in)]) == expected
    assert allows([str(tmp_path / "none")])
