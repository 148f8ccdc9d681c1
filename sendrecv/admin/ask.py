"""Asks the receiver what it knows: on its Unix socket, or elsewhere with the token."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from sendrecv.admin import exchange
from sendrecv.admin.exchange import MAX_ANSWER, TIMEOUT, WHOLE, NoAnswer
from sendrecv.config import STATUS_URL
from sendrecv.core import tokens
from sendrecv.core.errors import quoted
from sendrecv.errors import CredentialError, ReceiverUnavailable

TOKEN = Path("/etc/sendrecv/token")
UNIX = "unix://"
MAY_ASK = "counts are shown to root and to members of the group adm"
_STATUS = "/status"


def receiver(url: str = STATUS_URL, ca: str = "") -> Mapping[str, object]:
    """Its answer to GET /status, see receiver/report.py: `apps` is an object of objects, and the
    rest is as it came. ca: a file, "" for the CAs of the machine. Raises SendrecvError.
    """
    body = _ask_socket(url.removeprefix(UNIX)) if url.startswith(UNIX) else _ask_port(url, ca)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    apps = found.get("apps") if isinstance(found, dict) else None
    if not isinstance(apps, dict) or not all(isinstance(app, dict) for app in apps.values()):
        raise ReceiverUnavailable(f"receiver at {quoted(url)}: not a receiver's answer")
    return dict(found)


def apps() -> Mapping[str, Mapping[str, object]]:
    """What this machine's receiver has of each App. Raises SendrecvError."""
    found = receiver()["apps"]
    assert isinstance(found, dict)
    return found


def _ask_socket(path: str) -> bytes:
    """The mode of the socket says who may ask: no token is needed."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(path)
            deadline = time.monotonic() + WHOLE
            return exchange.get(connection, _STATUS, ("Host: localhost",), deadline, MAX_ANSWER)
    except PermissionError:
        raise CredentialError(f"{path}: you may not ask", MAY_ASK) from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise ReceiverUnavailable(
            f"nothing listens on {path}", "see systemctl status receiver.socket"
        ) from None
    except (OSError, NoAnswer) as error:
        why = str(error) if isinstance(error, NoAnswer) else "no answer"
        raise unavailable(UNIX + path, why) from None


def _ask_port(url: str, ca: str) -> bytes:
    """With the token, see _ask_socket()."""
    from sendrecv.admin import ask_port  # its imports take long

    try:
        return ask_port.get(url, _STATUS, _token(), ca)
    except NoAnswer as error:
        known = {"HTTP 401": f"its token is not that of {TOKEN}"}
        raise unavailable(url, known.get(str(error), str(error))) from None


def _token() -> str:
    try:
        return tokens.parse(TOKEN.read_text(encoding="ascii")).widest()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise CredentialError(f"{TOKEN}: {reason}", "the receiver tells only root") from None


def unavailable(url: str, reason: str) -> ReceiverUnavailable:
    """The error of a receiver that gives no answer."""
    return ReceiverUnavailable(f"receiver at {quoted(url)}: {reason}", "see journalctl -u receiver")
