"""`sendrecv status`: shows what systemd says of the units, and what the receiver has of Apps."""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from sendrecv.commandline import Parser
from sendrecv.config import STATUS_URL, problem_of
from sendrecv.core import tokens
from sendrecv.core.errors import quoted
from sendrecv.errors import (
    DONE,
    NOT_RUNNING,
    CredentialError,
    ReceiverUnavailable,
    SendrecvError,
    UsageError,
)

TOKEN = Path("/etc/sendrecv/token")
TIMEOUT = 5.0
_UNIX = "unix://"
_HALVES = {"sender": "main", "sender-failover": "failover"}


@dataclass(frozen=True)
class Half:
    """One sender unit. state: its ActiveState=, or "masked"; text: its STATUS=."""

    instance: str
    role: str
    state: str
    text: str


def main(argv: Sequence[str]) -> int:
    """Print the tables. The exit status says whether each App that is shown has an active half."""
    options = _parse(argv)
    halves = [half for half in _halves() if _wanted(half.instance, options.instance)]
    running = {half.instance for half in halves if half.state == "active"}
    print(table(("INSTANCE", "MAIN", "FAILOVER", "STATUS"), unit_rows(halves)))
    known = {half.instance for half in halves} | set(options.instance)
    sys.stdout.flush()  # what is known so far, before the error
    try:
        found = apps(options.url, options.ca)
    except SendrecvError as error:
        print(f"sendrecv: {error}", file=sys.stderr)
        return error.exit_status
    print()
    header = ("APPID", "NODEID", "EPOCH", "COUNT", "CONNECTED SINCE")
    print(table(header, app_rows(found, options.instance)))
    return DONE if known <= running else NOT_RUNNING


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sendrecv status",
        description="Show the senders' units, and, to root and the group adm, what the receiver has"
        " of each App.",
    )
    parser.add_argument("instance", nargs="*", help="Apps to show (default: all)")
    parser.add_argument("--url", default=STATUS_URL, help="the receiver (default: this machine's)")
    parser.add_argument(
        "--ca",
        metavar="FILE",
        default="",
        help="the CAs that may have signed the receiver's certificate (default: the machine's)",
    )
    options = parser.parse_args(argv)
    if problem := problem_of(options.url, "--url=", "--ca="):
        raise UsageError(f"--url={quoted(options.url)}", f"must be {problem}")
    _look_at_ca(options.ca)
    return options


def _look_at_ca(file: str) -> None:
    """Raises UsageError if there is a file, and it has no certificates."""
    try:
        if file:
            ssl.create_default_context(cafile=file)
    except OSError as error:  # an SSLError is one, too
        raise UsageError(f"--ca={quoted(file)}", error.strerror or str(error)) from None


def _systemctl_show(properties: str, *units: str) -> str:
    # --all: or a pattern would not match units that are inactive.
    command = ["systemctl", "show", "--all", f"--property={properties}", *units]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _wanted(name: str, asked: Sequence[str]) -> bool:
    return not asked or name in asked


# Units.


def _halves() -> list[Half]:
    """Of each App that systemd knows, or that is meant to run."""
    properties = "Id,ActiveState,LoadState,StatusText"
    shown = _systemctl_show(properties, *(f"{prefix}@*.service" for prefix in _HALVES))
    targets = _systemctl_show("Id,ActiveState", "sendrecv@*.target")
    known = halves_of(shown)
    unknown = meant_to_run(targets) - {half.instance for half in known}
    if not unknown:
        return known
    more = (f"{prefix}@{instance}.service" for instance in unknown for prefix in _HALVES)
    return halves_of(f"{shown}\n\n{_systemctl_show(properties, *more)}")


def meant_to_run(shown: str) -> set[str]:
    """The instances whose target is active, in what `systemctl show` prints of the targets."""
    targets = map(_values, _blocks(shown))
    active = (target["Id"] for target in targets if target["ActiveState"] == "active")
    return {name.removesuffix(".target").partition("@")[2] for name in active}


def halves_of(shown: str) -> list[Half]:
    """The sender units in what `systemctl show` prints: Id, ActiveState, LoadState, StatusText."""
    halves = map(_half, _blocks(shown))
    return sorted(halves, key=lambda half: (half.instance, half.role))


def _blocks(shown: str) -> list[str]:
    return [block for block in shown.split("\n\n") if block.strip()]


def _values(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.strip().splitlines())


def _half(block: str) -> Half:
    values = _values(block)
    prefix, _, instance = values["Id"].removesuffix(".service").partition("@")
    state = values["ActiveState"]
    if values.get("LoadState") == "masked" and state in {"inactive", "failed"}:
        state = "masked"
    return Half(instance, _HALVES[prefix], state, values.get("StatusText", ""))


def unit_rows(halves: Iterable[Half]) -> list[tuple[str, ...]]:
    """Of each instance: its name, the states of its two halves, the status of the active one."""
    states: dict[str, dict[str, str]] = {}
    texts: dict[str, str] = {}
    for half in halves:
        states.setdefault(half.instance, {})[half.role] = half.state
        if half.state in {"active", "activating"}:
            texts[half.instance] = half.text
    return [
        (name, *(roles.get(role, "inactive") for role in _HALVES.values()), texts.get(name, ""))
        for name, roles in sorted(states.items())
    ]


# The receiver.


def apps(url: str = STATUS_URL, ca: str = "") -> Mapping[str, Mapping[str, object]]:
    """What the receiver there has of each App. ca: a file, "" for the CAs of the machine. Raises
    SendrecvError.
    """
    body = _ask_socket(url[len(_UNIX) :]) if url.startswith(_UNIX) else _ask_port(url, ca)
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(app, dict) for app in found.values()):
        raise ReceiverUnavailable(f"receiver at {quoted(url)}: not a receiver's answer")
    return found


class _UnixConnection(http.client.HTTPConnection):
    """HTTP on a Unix socket. Nothing of the environment, such as a proxy, has a say in it."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


def _ask_socket(path: str) -> bytes:
    """The answer to GET /apps. The mode of the socket says who may ask: no token is needed."""
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/apps")
        reply = connection.getresponse()
        body = reply.read()
    except PermissionError:
        raise CredentialError(
            f"{path}: you may not ask", "counts are shown to root and to members of the group adm"
        ) from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise ReceiverUnavailable(
            f"nothing listens on {path}", "see systemctl status receiver.socket"
        ) from None
    except (OSError, http.client.HTTPException):
        raise _unavailable(_UNIX + path, "no answer") from None
    finally:
        connection.close()
    if reply.status != http.client.OK:
        raise _unavailable(_UNIX + path, f"HTTP {reply.status}")
    return body


def _ask_port(url: str, ca: str) -> bytes:
    """As _ask_socket(), with the token."""
    headers = {"Authorization": f"Bearer {_token()}"}
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no CAs, and no other login from ~/.netrc
            session.verify = ca or True
            reply = session.get(
                f"{url}/apps", headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
        reply.raise_for_status()
    except requests.RequestException as error:
        code = error.response.status_code if error.response is not None else 0
        known = {0: _cause_of(error), 401: f"its token is not that of {TOKEN}"}
        raise _unavailable(url, known.get(code, f"HTTP {code}")) from None
    return reply.content


def _cause_of(error: BaseException) -> str:
    """Why there was no answer. The libraries' errors have OpenSSL's as the context of a context."""
    cause: BaseException | None = error
    for _ in range(10):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}; does --ca name its CA?"
        if isinstance(cause, ssl.SSLError):
            return f"no TLS: {quoted(cause.reason or str(cause))}"
        cause = cause and (cause.__cause__ or cause.__context__)
    return "no answer"


def _unavailable(url: str, reason: str) -> ReceiverUnavailable:
    return ReceiverUnavailable(f"receiver at {quoted(url)}: {reason}", "see journalctl -u receiver")


def _token() -> str:
    try:
        return tokens.parse(TOKEN.read_text(encoding="ascii")).widest()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise CredentialError(f"{TOKEN}: {reason}", "the receiver tells only root") from None


def app_rows(
    apps: Mapping[str, Mapping[str, object]], asked: Sequence[str]
) -> list[tuple[str, ...]]:
    """What the receiver has of each App that was asked for; of all Apps, if none was."""
    return [
        (name, *(str(app.get(key)) for key in ("nodeID", "epoch", "count")), _since(app))
        for name, app in sorted(apps.items())
        if _wanted(name, asked)
    ]


def _since(app: Mapping[str, object]) -> str:
    since = app.get("connectedSince")
    if not isinstance(since, (int, float)):
        return "not connected"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows below their header, in columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
