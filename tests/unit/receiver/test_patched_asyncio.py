"""What is patched in asyncio's TLS is in use, and is not where asyncio has changed."""

from asyncio import sslproto
from typing import Any

import pytest

from sendrecv import patching
from sendrecv.receiver import patched_asyncio
from sendrecv.receiver.patched_asyncio import BUFFER, TlsProtocol, patch_tls

PLAIN: Any = sslproto.SSLProtocol


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class that asyncio uses, after each test."""
    monkeypatch.setattr(sslproto, "SSLProtocol", PLAIN)


def test_a_tls_connection_has_a_small_buffer(capfd: pytest.CaptureFixture[str]) -> None:
    patch_tls()
    assert sslproto.SSLProtocol is TlsProtocol and issubclass(TlsProtocol, PLAIN)
    assert TlsProtocol.max_size == BUFFER < PLAIN.max_size
    assert not capfd.readouterr().err


@pytest.mark.parametrize("name", ["_set_read_buffer_limits", "max_size", "get_buffer"])
def test_another_asyncio_is_used_as_it_is(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Changed(PLAIN):  # type: ignore[misc]  # its type is not known
        """Without that name, or what it is."""

    setattr(Changed, name, None)
    monkeypatch.setattr(patched_asyncio, "_Protocol", Changed)
    patch_tls()
    assert sslproto.SSLProtocol is PLAIN
    line = capfd.readouterr().err
    assert patching.ASYNCIO.distribution in line and line.count("\n") == 1
    assert "a TLS connection takes much memory, and many handshakes much time, ignoring" in line
