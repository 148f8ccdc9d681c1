"""What is said of units that were changed against a promise."""

from pathlib import Path

import pytest

from sendrecv.admin.checks import promises, units
from sendrecv.admin.checks.promises import PropertyValue
from sendrecv.admin.checks.units import COMMON, PACKAGED, Look, judge
from sendrecv.admin.problems import Problem
from tests.unit.only import only

SHIPPED = {"main": "sender@.service", "failover": "sender-failover@.service"}
NAMES = {
    "main": ("sender-failover@x.service", "sender-start-failover@x.service"),
    "failover": ("sender@x.service", "sender-start-main@x.service"),
}


def kept(role: str) -> dict[str, PropertyValue]:
    """The properties of a unit as it was delivered."""
    other, starter = NAMES.get(role, ("", ""))
    found: dict[str, PropertyValue] = {}
    for one in promises.OF[role]:
        wanted = one.wanted
        if isinstance(wanted, tuple):
            names = {"instance": "x", "other": other, "starter": starter}
            there = found.get(one.key, ())
            assert isinstance(there, tuple)
            wanted = (*there, *(text.format(**names) for text in wanted))
        found[one.key] = wanted
    return found


def look(role: str = "main", **more: object) -> Look:
    """A unit as it was delivered, but for `more`."""
    name = {"target": "sendrecv@x.target"}.get(role, SHIPPED.get(role, role).replace("@", "@x"))
    words = {"receiver.service": ("/usr/bin/sendrecv", "receive")}
    one = Look(
        unit=name,
        role=role,
        instance="" if role.startswith("receiver") else "x",
        fragment=f"{PACKAGED}/{SHIPPED.get(role, name)}",
        drop_ins=(f"{PACKAGED}/sender@.service.d/{COMMON}",) if role in SHIPPED else (),
        found=kept(role),
        watchdog=promises.WATCHDOG.get(role),
        command=words.get(role, ("/usr/bin/sendrecv", "send", "x", role)),
    )
    return one.replace(**more)


def found(one: Look) -> list[tuple[str, bool]]:
    return [(it.code, it.is_error) for it in judge(one)]


@pytest.mark.parametrize("role", promises.OF)
def test_a_unit_as_it_was_delivered(role: str) -> None:
    assert found(look(role)) == []


@pytest.mark.parametrize(
    ("role", "key", "value", "words"),
    [
        ("main", "Restart", "on-failure", "sender@x.service has Restart=on-failure"),
        ("main", "Conflicts", (), "has no Conflicts=sender-failover@x.service"),
        ("failover", "Conflicts", ("shutdown.target",), "has no Conflicts=sender@x.service"),
        ("main", "OnFailure", (), "has no OnFailure=sender-failover@x.service"),
        ("failover", "OnFailure", ("other.service",), "has no OnFailure=sender@x.service"),
        ("main", "OnSuccess", (), "has no OnSuccess=sender-start-failover@x.service"),
        ("failover", "After", ("sendrecv@x.target",), "has no After=sender@x.service"),
        ("main", "After", (), "has no After=sendrecv@x.target"),
        ("main", "Type", "simple", "has Type=simple"),
        ("main", "RemainAfterExit", True, "has RemainAfterExit=yes"),
        ("main", "SendSIGKILL", False, "has SendSIGKILL=no"),
        ("main", "StartLimitAction", "reboot", "has StartLimitAction=reboot"),
        ("receiver.service", "Restart", "no", "receiver.service has Restart=no"),
        ("receiver.service", "StandardOutput", "file", "has StandardOutput=file"),
        ("receiver.socket", "Listen", ("/run/x",), "has no ListenStream=/run/sendrecv-socket/rec"),
    ],
)
def test_a_promise_that_is_broken(role: str, key: str, value: PropertyValue, words: str) -> None:
    problem = only(judge(look(role, found={**kept(role), key: value})))
    assert problem.code == "unit-edited" and words in problem.text
    assert problem.is_error and problem.cost and problem.commands


def test_what_the_failover_requires() -> None:
    """The halves would start each other without end, if main requires it too."""
    always = ("sysinit.target", "sendrecv.slice", "sendrecv@x.target", "-.mount")
    assert found(look("failover", requires=always)) == []
    problem = only(judge(look("failover", requires=(*always, "b.service", "a.mount"))))
    assert (problem.code, problem.is_error) == ("unit-requires", True)
    assert problem.text == "sender-failover@x.service requires a.mount b.service"


@pytest.mark.parametrize("role", promises.OF)
def test_each_promise_is_seen_to_be_broken(role: str) -> None:
    for one in promises.OF[role]:
        other: PropertyValue = () if isinstance(one.wanted, tuple) else "something else"
        broken = [*judge(look(role, found={**kept(role), one.key: other}))]
        assert broken and {it.code for it in broken} == {"unit-edited"}, one.key
        assert any(one.setting in it.text for it in broken)


@pytest.mark.parametrize(
    ("watchdog", "is_error", "words"),
    [
        (0, True, "no WatchdogSec="),
        (60_000_000, True, "WatchdogSec=60 s, and not 1.3 s"),
        (3_000_000, False, "WatchdogSec=3.0 s, and not 1.3 s"),
        (200_000, False, "WatchdogSec=0.2s, and not 1.3 s"),
    ],
)
def test_the_watchdog(watchdog: int, is_error: bool, words: str) -> None:
    problem = only(judge(look(watchdog=watchdog)))
    assert (problem.code, problem.is_error) == ("unit-watchdog", is_error) and words in problem.text


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["[Service]\nWatchdogSec=1.3s\n"], 1_300_000),
        (["WatchdogSec=1.3s", "[Unit]\n"], 1_300_000),
        (["WatchdogSec=1.3s", " WatchdogSec = 1min 5s"], 65_000_000),
        (["WatchdogSec=1.3s", "WatchdogSec=\n"], 0),
        (["WatchdogSec=1.3s", "WatchdogSec=infinity\n"], 0),
        (["#WatchdogSec=1.3s"], 0),
        ([], 0),
    ],
)
def test_the_watchdog_in_files(tmp_path: Path, texts: list[str], expected: int) -> None:
    """The later file counts."""
    paths = [tmp_path / str(number) for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="ascii")
    assert units.watchdog_in(map(str, paths)) == expected
    assert units.watchdog_in([str(tmp_path / "none"), *map(str, paths)]) is None


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"load": "bad-setting"}, [("unit-broken", True)]),
        ({"load": "masked"}, [("unit-masked", False)]),
        ({"is_old": True}, [("unit-old", False)]),
        ({"drop_ins": ()}, [("unit-drop-in", True)]),
        (
            {"drop_ins": (f"/etc/systemd/system/sender@.service.d/{COMMON}",)},
            [("unit-drop-in", True)],
        ),
        ({"fragment": "/etc/systemd/system/sender@.service"}, [("unit-copied", False)]),
        ({"command": ("/bin/sleep", "1000")}, [("unit-command", True)]),
        ({"command": ("/usr/bin/sendrecv", "send", "x", "failover")}, [("unit-command", True)]),
        ({"command": ("/usr/bin/python3", "-I", "/usr/bin/sendrecv", "send", "x", "main")}, []),
        ({"level": 4, "burst": 1.0}, []),  # of a sender's own lines
    ],
)
def test_what_else_may_be_wrong(more: dict[str, object], expected: list[tuple[str, bool]]) -> None:
    assert found(look().replace(**more)) == expected


def test_the_receivers_lines() -> None:
    """Of a sender, they are its own; of the receiver, counts."""
    assert found(look("receiver.service", level=5)) == [("unit-log-level", True)]
    assert found(look("receiver.service", level=6)) == []
    assert found(look("receiver.service", burst=100.0)) == [("unit-rate-limit", False)]


def test_it_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("[Service]\n# Restart=no\n Restart = always\n")
    (tmp_path / "b.conf").write_text("[Service]\nNice=5\n")
    drop_ins = (*look().drop_ins, str(tmp_path / "a.conf"), str(tmp_path / "b.conf"))
    problem = only(judge(look(drop_ins=drop_ins, found={**kept("main"), "Restart": "always"})))
    assert problem.text.endswith(f"has Restart=always in {tmp_path}/a.conf")
    assert problem.commands == (f"sensible-editor {tmp_path}/a.conf", "systemctl daemon-reload")


def test_what_stands_in_a_unit_reaches_no_terminal() -> None:
    problem = only(judge(look(command=("/bin/echo", "\x1b[2J"))))
    assert "\x1b" not in problem.text and isinstance(problem, Problem)


def test_where_the_halves_have_their_package_files() -> None:
    assert PACKAGED == "/usr/lib/systemd/system" and units.COMMON == "10-sender.conf"
