"""No variable but those that a setting names is obeyed: each command in a process of its own."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab.paths import TOP

MAIN = "from sendrecv.cli import main; main()"
# The test of its own parent, and of what the C libraries see.
SHOW = """
import ctypes, json, os, sys
from sendrecv import cli
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
cli._run = lambda _: print(json.dumps([sorted(os.environ), bool(libc.getenv(b"SSL_CERT_FILE"))]))
cli.main()
"""
FOREIGN = {
    "SSL_CERT_FILE": "/tmp/ca.pem",
    "SSLKEYLOGFILE": "/tmp/keys",
    "OPENSSL_CONF": "/tmp/openssl.cnf",
    "REQUESTS_CA_BUNDLE": "/tmp/ca.pem",
    "WEBSOCKET_CLIENT_CA_BUNDLE": "/tmp/ca.pem",
    "PYTHONASYNCIODEBUG": "1",
    "DBUS_SYSTEM_BUS_ADDRESS": "tcp:host=127.0.0.1",
    "HOSTALIASES": "/tmp/aliases",
    "NEVER_HEARD_OF": "1",
}
OURS = {"PATH": os.defpath, "TZ": "UTC", "LC_CTYPE": "C.UTF-8", "SENDRECV_URL": "http://a"}


def run(code: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**OURS, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_no_setting_names_is_gone_before_a_command_begins() -> None:
    done = run(SHOW, **FOREIGN)
    assert done.stdout == '[["LC_CTYPE", "PATH", "SENDRECV_URL", "TZ"], false]\n', done.stderr


@pytest.fixture(name="listeners")
def fixture_listeners() -> Iterator[tuple[socket.socket, socket.socket]]:
    """One is the receiver's, the other a proxy's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as receiver,
        socket.create_server(("127.0.0.1", 0)) as proxy,
    ):
        receiver.settimeout(60)
        proxy.setblocking(False)
        yield receiver, proxy


def proxied(proxy: socket.socket) -> dict[str, str]:
    """Without no_proxy, libraries would spare this host."""
    url = f"http://login:word@127.0.0.1:{proxy.getsockname()[1]}"
    names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    return {**dict.fromkeys(names, url), "no_proxy": "a.example", "NO_PROXY": "a.example"}


def request_to(listener: socket.socket) -> bytes:
    """The first bytes of the first connection, which is then cut."""
    peer, _ = listener.accept()
    with closing(peer):
        peer.settimeout(60)
        return peer.recv(4096)


def assert_told_nothing(proxy: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        proxy.accept()


def test_a_sender_goes_to_its_receiver_and_not_to_a_proxy(
    listeners: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    receiver, proxy = listeners
    environ = {**OURS, **proxied(proxy), "STATE_DIRECTORY": str(tmp_path)}
    environ["SENDRECV_URL"] = f"http://127.0.0.1:{receiver.getsockname()[1]}"
    command = [sys.executable, "-c", MAIN, "send", "x", "main"]
    null = subprocess.DEVNULL
    with subprocess.Popen(command, env=environ, stdin=null, stderr=null) as sender:
        try:
            assert request_to(receiver).startswith(b"GET /socket.io/")
        finally:
            sender.kill()
    assert_told_nothing(proxy)


STATUS = """
import pathlib, sys
from sendrecv.admin import ask
ask.TOKEN = pathlib.Path(sys.argv.pop())
"""


def test_status_goes_to_its_receiver_with_its_own_token(
    listeners: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    receiver, proxy = listeners
    address = f"127.0.0.1:{receiver.getsockname()[1]}"
    (tmp_path / "token").write_text("a-token-of-our-own-machine\n", encoding="ascii")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n", encoding="ascii")
    (tmp_path / ".netrc").chmod(0o600)
    home = {"HOME": str(tmp_path), "NETRC": str(tmp_path / ".netrc")}
    command = [sys.executable, "-c", STATUS + MAIN, "status", "--url", f"http://{address}"]
    with subprocess.Popen(
        [*command, str(tmp_path / "token")],
        env={**OURS, **proxied(proxy), **home},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as asking:
        request = request_to(receiver)
        assert asking.stderr and "no answer" in asking.stderr.read()
    assert request.startswith(b"GET /status ")
    assert b"\r\nAuthorization: Bearer a-token-of-our-own-machine\r\n" in request
    assert_told_nothing(proxy)


@pytest.mark.parametrize("place", ["/status", "http://localhost:{}/status"])
def test_status_follows_nobody_elsewhere(
    listeners: tuple[socket.socket, socket.socket], tmp_path: Path, place: str
) -> None:
    """An answer that sends it elsewhere is no receiver's."""
    receiver, other = listeners
    (tmp_path / "token").write_text("a-token-of-our-own-machine\n", encoding="ascii")
    url = f"http://127.0.0.1:{receiver.getsockname()[1]}"
    command = [sys.executable, "-c", STATUS + MAIN, "status", "--url", url]
    with subprocess.Popen(
        [*command, str(tmp_path / "token")], env=OURS, stderr=subprocess.PIPE, text=True
    ) as asking:
        peer, _ = receiver.accept()
        with closing(peer):
            peer.recv(4096)
            there = place.format(other.getsockname()[1])
            head = f"HTTP/1.1 302 x\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
            peer.sendall(head.encode())
        assert asking.stderr and ": HTTP 302: " in asking.stderr.read()
    assert_told_nothing(other)


# What units run beside /usr/bin/sendrecv


SCRIPTS = sorted(path for path in (TOP / "systemd").iterdir() if path.read_bytes()[:2] == b"#!")
FIRST_LINE = re.compile(r"#!/usr/bin/env -S -i ((?:[A-Z_]+=\S+ )*)/(bin/sh|usr/bin/python3 -IS)")
OF_SYSTEMD = {"MAINPID", "MONITOR_INVOCATION_ID", "NOTIFY_SOCKET"}
OF_INTERPRETERS = {"LC_CTYPE", "PWD"}
"""Set by themselves."""
SHOW_ALL = {
    "bin/sh": "unset PWD; exec env -0",
    "usr/bin/python3 -IS": "print(*[f'{n}={v}' for n, v in __import__('os').environ.items()],"
    " sep='\\0', end='\\0')",
}
BEGINS_ANEW = re.compile(
    "[-+@:!|]*(/usr/lib/sendrecv/[a-z-]+|/usr/bin/sendrecv|/usr/bin/env -i)( .*)?"
)


def exec_lines(text: str) -> list[str]:
    """What a unit runs, each with its prefix, without the empty ones."""
    return re.findall(r"^Exec[A-Za-z]+=(.+)", text, re.MULTILINE)


def test_whatever_a_unit_runs_begins_with_an_environment_of_its_own() -> None:
    lines = {
        (unit.name, line)
        for unit in (TOP / "systemd").iterdir()
        if unit not in SCRIPTS
        for line in exec_lines(unit.read_text(encoding="utf-8"))
    }
    assert {(name, line) for name, line in lines if not BEGINS_ANEW.fullmatch(line)} == set()
    ours = {line.lstrip("+-").split()[0] for _, line in lines}
    assert len(lines) > 12 and {f"/usr/lib/sendrecv/{path.name}" for path in SCRIPTS} <= ours


@pytest.mark.parametrize(
    "line", ["/bin/true", "-/bin/sh -c 'true'", "+systemctl stop a", "env -i a"]
)
def test_what_does_not_is_found(line: str) -> None:
    assert exec_lines(f"[Service]\nExecStart=\nExecStartPre={line}\n") == [line]
    assert not BEGINS_ANEW.fullmatch(line)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_has_the_variables_that_its_first_line_names(script: Path, tmp_path: Path) -> None:
    """Each as it is, also if there is none. The kernel reads 255 bytes of the line."""
    with script.open(encoding="ascii") as file:
        line = file.readline().rstrip("\n")
    found = FIRST_LINE.fullmatch(line)
    assert found and len(line) < 256, line
    given = dict(word.split("=", 1) for word in found[1].split())
    passed = {name for name, value in given.items() if value == f"${{{name}}}"}
    assert {name for name in passed if not name.startswith("SENDRECV_")} <= OF_SYSTEMD
    assert given.keys() - passed <= {"PATH"} and given.get("PATH") in {None, "/usr/bin"}
    copy = tmp_path / "script"
    copy.write_text(f"{line}\n{SHOW_ALL[found[2]]}\n", encoding="ascii")
    copy.chmod(0o755)
    for value in ("", "a  'b\" $PATH\n\\"):
        outside = {**FOREIGN, **OURS, **(dict.fromkeys(passed, value) if value else {})}
        done = subprocess.run([copy], env=outside, capture_output=True, text=True, check=True)
        shown = dict(word.split("=", 1) for word in done.stdout.split("\0")[:-1])
        inside = {name: shown[name] for name in shown.keys() - OF_INTERPRETERS}
        assert inside == {**given, **dict.fromkeys(passed, value)}
