"""Asks a receiver by TCP, with TLS or without. A module of its own: its imports take long."""

from __future__ import annotations

import socket
import ssl
import time
from urllib.parse import urlsplit

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
    deadline = time.monotonic() + whole
    parts = urlsplit(url)
    fields = (f"Host: {parts.netloc}", f"Authorization: Bearer {token}")
    is_plain, host = parts.scheme == "http", parts.hostname or ""
    port = parts.port or (80 if is_plain else 443)
    try:
        with socket.create_connection((host, port), min(TIMEOUT, whole)) as plain:
            if is_plain:
                return exchange.get(plain, path, fields, deadline, most)
            context = ssl.create_default_context(cafile=ca or None)
            with context.wrap_socket(plain, server_hostname=host) as secure:
                return exchange.get(secure, path, fields, deadline, most)
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not trusted: {error.verify_message}; does --ca name its CA?"
    except ssl.SSLError as error:
        why = f"no TLS: {quoted(error.reason or str(error))}"
    except (OSError, UnicodeError):  # a name may be none
        why = "no answer"
    raise NoAnswer(why)
