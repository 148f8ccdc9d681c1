"""Asks a receiver by TCP, with TLS or without. A module of its own: its imports take long."""

from __future__ import annotations

import ssl

import requests

from sendrecv.core.errors import quoted
from sendrecv.errors import UsageError


def look_at_ca(file: str) -> None:
    """Raises UsageError if the file has no certificates."""
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # an SSLError is one, too
        raise UsageError(f"--ca={quoted(file)}", error.strerror or str(error)) from None


class NoAnswer(Exception):
    """The text says why there is none."""


def get(address: str, token: str, ca: str, timeout: float) -> bytes:
    """What is at that address. ca: a file, "" for the CAs of the machine. Raises NoAnswer."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no CAs, and no other login from ~/.netrc
            session.verify = ca or True
            reply = session.get(address, headers=headers, timeout=timeout, allow_redirects=False)
        reply.raise_for_status()
    except requests.RequestException as error:
        code = error.response.status_code if error.response is not None else 0
        raise NoAnswer(f"HTTP {code}" if code else _cause_of(error)) from None
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
