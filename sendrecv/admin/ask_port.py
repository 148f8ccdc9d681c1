"""Asks a receiver by TCP, with TLS or without. A module of its own: its imports take long."""

from __future__ import annotations

import socket
import ssl
import time
from urllib.parse import SplitResult, urlsplit

from sendrecv.admin import exchange
from sendrecv.admin.exchange import MAX_ANSWER, TIMEOUT, WHOLE, NoAnswer
from sendrecv.core.errors import quoted
from sendrecv.errors import UsageError


def look_at_ca(file: str) -> None:
    """Raises UsageError if the file has no certificates."""
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # an SSLError is one, too
        raise UsageError(f"--ca={quoted(file)}", error.strerror or str(error)) from None


def get(
    url: str, path: str, token: str, ca: str, *, whole: float = WHOLE, most: int = MAX_ANSWER
) -> bytes:
    """What is at that path of a receiver. ca: a file, "" for the CAs of the machine. whole, most:
    the limits of the answer, in seconds and bytes. Raises NoAnswer.
    """
    parts = urlsplit(url)
    fields = (f"Host: {parts.netloc}", f"Authorization: Bearer {token}")
    deadline = time.monotonic() + whole
    try:
        with _connected(parts, ca, min(TIMEOUT, whole)) as connection:
            return exchange.get(connection, path, fields, deadline, most)
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not trusted: {error.verify_message}; does --ca name its CA?"
        raise NoAnswer(why) from None
    except ssl.SSLError as error:
        raise NoAnswer(f"no TLS: {quoted(error.reason or str(error))}") from None
    except (OSError, UnicodeError):  # a name may be none
        raise NoAnswer("no answer") from None


def _connected(parts: SplitResult, ca: str, timeout: float) -> socket.socket:
    """After the TLS handshake, if there has to be one."""
    is_plain, host = parts.scheme == "http", parts.hostname or ""
    plain = socket.create_connection((host, parts.port or (80 if is_plain else 443)), timeout)
    if is_plain:
        return plain
    with plain:  # which is closed, unless the other one has taken it over
        context = ssl.create_default_context(cafile=ca or None)
        return context.wrap_socket(plain, server_hostname=host)
