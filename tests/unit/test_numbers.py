"""A number, or a path, that stands in two places is the same where neither can read the other."""

import re
from collections.abc import Mapping

import pytest

from sendrecv.admin import acts, pause, paused
from sendrecv.admin.checks import promises
from sendrecv.core import errors as core_errors
from sendrecv.sender import loop, main, several_hosts, story
from tests.chaos import endure, starve
from tests.lab import probe
from tests.lab.paths import TOP
from tests.system import test_hosts

SYSTEMD = TOP / "systemd"
SCRIPTS = sorted(
    path for path in SYSTEMD.iterdir() if path.is_file() and path.read_bytes().startswith(b"#!")
)
SEVERITIES = {
    value for name, value in vars(core_errors).items() if name.isupper() and isinstance(value, int)
}


def text_of(name: str) -> str:
    return (SYSTEMD / name).read_text(encoding="utf-8")


def number(pattern: str, text: str) -> float:
    (found,) = re.findall(pattern, text, re.MULTILINE)
    return float(found)


def test_the_guards_period() -> None:
    period = number(r"^PERIOD=(\d+)\b", text_of("guard"))
    assert period == number(r"^OnCalendar=\*:\*:0/(\d+)$", text_of("sendrecv-guard.timer"))
    assert period == endure.GUARD_PERIOD


def test_the_senders_watchdog() -> None:
    seconds = number(r"^WatchdogSec=([\d.]+)s$", text_of("10-sender.conf"))
    assert promises.WATCHDOG["main"] == promises.WATCHDOG["failover"] == round(seconds * 1e6)
    assert starve.WATCHDOG_SECONDS == seconds


def test_the_pings_of_a_sender() -> None:
    comment = r"every {} s, which is {} of this limit"
    text, a_number = text_of("10-sender.conf"), r"([\d.]+)"
    seconds = number(r"^WatchdogSec=([\d.]+)s$", text)
    part = loop.PINGS_MOST_APART / 3
    assert number(comment.format(a_number, r"[\d.]+"), text) == pytest.approx(part * seconds)
    assert number(comment.format(r"[\d.]+", a_number), text) == pytest.approx(part)
    assert probe.SLACK == pytest.approx(1 - part)
    assert test_hosts.WATCHDOG == several_hosts.SHORTEST


def test_directories() -> None:
    """A command and a script write there what a sender reads, which imports no command."""
    guard, takeover = text_of("guard"), text_of("takeover")
    assert story.STARTED_BY_END == str(acts.NOTES)
    assert f'"{acts.NOTES}/$1.paused"' in guard and f'"{acts.NOTES}/$1.paused"' in takeover
    assert story.GUARD == str(pause.GUARD)
    assert f"\nSTATE={pause.GUARD}\n" in guard and f'"{pause.GUARD}/paused-$1"' in takeover
    assert main.PAUSED == str(paused.DIRECTORY)
    assert f"\nPAUSED={paused.DIRECTORY}\n" in guard and f'"{paused.DIRECTORY}/$1"' in takeover
    assert f'"{paused.DIRECTORY}/$app"' in text_of("masked")


def test_the_receivers_watchdog() -> None:
    milliseconds = number(r"^WatchdogSec=(\d+)ms$", text_of("receiver.service"))
    assert promises.WATCHDOG["receiver.service"] == milliseconds * 1000


def unknown(text: str) -> set[int]:
    """The severities of lines that a script writes, and which the code has no name for."""
    return {int(digit) for digit in re.findall(r"<(\d)>", text)} - SEVERITIES


def test_the_scripts_have_severities_of_the_code() -> None:
    texts: Mapping[str, str] = {path.name: path.read_text(encoding="utf-8") for path in SCRIPTS}
    assert {name: found for name, text in texts.items() if (found := unknown(text))} == {}
    assert sum("<" in text and bool(re.search(r"<\d>", text)) for text in texts.values()) >= 5
    assert unknown('echo "<1>fire"') == {1} and len(SEVERITIES) == 5
