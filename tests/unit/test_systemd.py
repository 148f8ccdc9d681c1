"""The contract with the service manager: what it is told, and what a unit hands over."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sendrecv import systemd
from sendrecv.errors import CredentialError, LockBusy, StoreUnusable

# Notifications.


@contextlib.contextmanager
def notifying() -> Iterator[systemd.Notifier]:
    notifier = systemd.Notifier()
    yield notifier
    # pylint: disable-next=protected-access  # a process has one, for its whole life
    if sender := notifier._notifier.socket:
        sender.close()


def test_notifications(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "4")  # or most of these would be too many
    with notifying() as notifier:
        notifier.ready()
        notifier.working("count 1")
        notifier.working("count 1")
        notifier.working("count 2")
        notifier.status("waiting")
        notifier.working("waiting")
        notifier.stopping()
    assert [manager.recv(4096).decode() for _ in range(7)] == [
        "READY=1",
        "WATCHDOG=1\nSTATUS=count 1",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=count 2",
        "STATUS=waiting",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_a_process_can_have_another_watchdog(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1300000")
    with notifying() as notifier:
        notifier.watchdog(1.05)
        assert manager.recv(100) == b"WATCHDOG_USEC=1050000"
        assert notifier.ping_interval == pytest.approx(0.35)
    monkeypatch.delenv("WATCHDOG_USEC")
    with notifying() as notifier:
        notifier.watchdog(1.05)  # there is none, and none is made
        assert notifier.ping_interval == 1.0
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(100)


def test_no_more_pings_than_are_of_use(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setattr(systemd.time, "monotonic", lambda: 1000.0)
    with notifying() as notifier:
        for count in range(10):
            notifier.working(f"count {count}")
        notifier.stopping()
    assert manager.recv(4096) == b"WATCHDOG=1\nSTATUS=count 0"
    assert manager.recv(4096) == b"STOPPING=1"


def test_a_start_shows_that_it_lives_until_it_is_ready(manager: socket.socket) -> None:
    with notifying() as notifier:
        notifier.starting()
        try:
            assert manager.recv(4096) == b"EXTEND_TIMEOUT_USEC=3000000"
        finally:
            notifier.ready()
    while (said := manager.recv(4096)) != b"READY=1":
        assert said == b"EXTEND_TIMEOUT_USEC=3000000"
    time.sleep(1.2 * systemd.START_SLICE)
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


def test_a_start_that_waits_for_too_long_ends(manager: socket.socket) -> None:
    read, write = os.pipe()
    with notifying() as notifier, os.fdopen(read), os.fdopen(write, "w"):
        notifier.starting()
        try:
            with pytest.raises(LockBusy), notifier.at_most(0.5, LockBusy("busy")):
                os.read(read, 1)
            manager.setblocking(False)
            with pytest.raises(BlockingIOError):
                manager.recv(4096)
        finally:
            notifier.ready()


# sdnotify drops its socket when it finds no manager.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("address", [None, "/nonexistent/notify"])
def test_without_a_service_manager_they_go_nowhere(
    monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    with notifying() as notifier:
        notifier.ready()


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [("", 1.0), ("1500000", 0.5), ("60000000", 1.0), ("x", 1.0), ("-4000000", 1.0)],
)
def test_the_watchdog_is_fed_three_times_as_often_as_it_must_be(
    monkeypatch: pytest.MonkeyPatch, allowed: str, expected: float
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", allowed)
    assert systemd.watchdog_interval() == expected


# What the unit hands over.


def test_the_names_of_run_and_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOCATION_ID", "a" * 32)
    monkeypatch.setenv("BOOT_ID", "b" * 32)
    assert (systemd.invocation(), systemd.boot_id()) == ("a" * 32, "b" * 32)
    monkeypatch.delenv("INVOCATION_ID")
    monkeypatch.delenv("BOOT_ID")
    for name in (systemd.invocation(), systemd.boot_id()):
        assert len(name) == 32 and int(name, 16)
    assert systemd.invocation() != systemd.invocation()
    assert systemd.boot_id() == systemd.boot_id()


def test_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/sendrecv")
    assert systemd.state_directory() == "/var/lib/sendrecv"
    monkeypatch.delenv("STATE_DIRECTORY")
    with pytest.raises(StoreUnusable, match="^STATE_DIRECTORY is not set: "):
        systemd.state_directory()


SECRET = "a secret that is long"


@pytest.mark.parametrize("content", ["x" * 20, f"{SECRET}\n", f"  {SECRET} \r\n", "x" * 4096])
def test_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "token").write_text(content, encoding="ascii")
    assert systemd.token() == content.strip()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"two\r\nlines",
        b"x\n" * 40_000,
        b"\xff\xfe",
        "\u00e9".encode(),
        b"a\0b",
        b"x" * 4097,
        b"x" * 19,
        b"secret\n",
    ],
)
def test_what_is_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(CredentialError, match="^/etc/sendrecv/token: .* make one") as caught:
        systemd.token()
    assert str(caught.value).isprintable()


def test_no_token_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(CredentialError, match=f"^{tmp_path}/token: No such file or directory: "):
        systemd.token()
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    # Nor is our standard input, which is no file.
    with pytest.raises(
        CredentialError, match="^the token was not handed over: start the unit; .*network.conf$"
    ):
        systemd.token()


def test_a_token_as_standard_input(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n", encoding="ascii")
    code = "from sendrecv import systemd; print(systemd.token())"
    environ = {key: os.environ[key] for key in os.environ if key != "CREDENTIALS_DIRECTORY"}
    with (tmp_path / "token").open("rb") as file:
        output = subprocess.check_output([sys.executable, "-c", code], stdin=file, env=environ)
    assert output.decode() == f"{SECRET}\n"


def test_a_log_line_has_its_severity(capfd: pytest.CaptureFixture[str]) -> None:
    systemd.log(4, "trouble, ignoring")
    assert capfd.readouterr().err == "trouble, ignoring\n"
