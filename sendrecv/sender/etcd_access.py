"""Who a client of etcd is, and whom it trusts: credentials, TLS, the token, the cluster."""

from __future__ import annotations

import os

from sendrecv.core.values import Value
from sendrecv.sender import etcd_messages as messages
from sendrecv.sender.etcd_messages import EtcdError

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    import socket
    import ssl

    from sendrecv.sender.etcd_messages import Answer


class Endpoint(Value):
    """Where a member of etcd listens for clients."""

    host: str
    port: int


class Credentials(Value):
    """Who we are, and whom we trust. Empty: not given. ca, certificate, key: paths of PEM files."""

    user: str = ""
    password: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r}, ...)"  # not the password


class Tls:
    """What TLS is done with. The files are read again when they have changed."""

    def __init__(self, credentials: Credentials) -> None:
        """Raises EtcdError if a file cannot be used."""
        self._credentials = credentials
        self._seen: list[object] = []
        try:
            self._context = self._read()
        except OSError as error:  # ssl.SSLError is one
            name = error.filename or " ".join(self._files())
            raise EtcdError(f"{name}: {error.strerror or error}") from None

    def wrap(self, plain: socket.socket, host: str) -> ssl.SSLSocket:
        """The same connection. The handshake is still to be done."""
        try:
            self._context = self._read()
        except OSError:  # one of them is just being written; what was read before may still do
            pass
        return self._context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)

    def _files(self) -> list[str]:
        given = (self._credentials.ca, self._credentials.certificate, self._credentials.key)
        return [file for file in given if file]

    def _read(self) -> ssl.SSLContext:
        import ssl  # a sender without TLS does without

        stats = [os.stat(file) for file in self._files()]
        seen: list[object] = [(one.st_dev, one.st_ino, one.st_mtime_ns) for one in stats]
        if seen == self._seen and hasattr(self, "_context"):
            return self._context
        context = ssl.create_default_context(cafile=self._credentials.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if self._credentials.certificate:
            # A password: OpenSSL would ask on the terminal for that of an encrypted key.
            key = self._credentials.key or None
            context.load_cert_chain(self._credentials.certificate, key, password="")
        self._seen = seen
        return context


class EtcdAccess:
    """What all connections share: credentials, the token, and the number of the cluster.

    etcd tells a token to each of its members. A member forgets it after 5 minutes without use, or
    when it starts again. It is asked for a new one then.

    An endpoint may belong to another cluster, by mistake. A key that is missing there means
    nothing. So the first good answer decides for the life of this object which cluster is believed.
    """

    def __init__(self, credentials: Credentials, tls: Tls | None) -> None:
        self.credentials = credentials
        self.tls = tls
        self.token: str | None = None if credentials.user else ""
        """None: not known. "": etcd wants none."""
        self._cluster: dict[str, str] = {}

    def verify(self, answer: Answer) -> None:
        """Raises EtcdError if another cluster answers than the one that is believed."""
        cluster = messages.cluster_of(answer)
        if self._cluster.get("number", cluster) != cluster:
            raise EtcdError("belongs to another cluster of etcd than has answered before")

    def believe(self, answer: Answer) -> None:
        """It is a good one: from now on this cluster is believed. Raises as verify() does."""
        self._cluster.setdefault("number", messages.cluster_of(answer))
        self.verify(answer)

    def secrets(self) -> tuple[str, ...]:
        """What no text may have in it."""
        return (self.credentials.password, self.token or "")
