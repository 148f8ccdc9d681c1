"""Settings, from the environment: the name of each, its default, and its allowed values.

systemd reads /etc/sendrecv/INSTANCE.env and receiver.env into the environment (EnvironmentFile= in
systemd.exec(5)). An error names the place that a user has to edit: mostly that file.
"""

from __future__ import annotations

import re

from sendrecv.core.errors import quoted
from sendrecv.core.values import Value
from sendrecv.core.wire import NAME_RULE, is_name
from sendrecv.errors import ConfigError

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PREFIX = "SENDRECV_"
SENDER_SETTINGS = (
    "SENDRECV_APP_ID",
    "SENDRECV_CA",
    "SENDRECV_ETCD_OUTAGE",
    "SENDRECV_ETCD_USER",
    "SENDRECV_FAILOVER_NODE_ID",
    "SENDRECV_INTERVAL",
    "SENDRECV_LEASE",
    "SENDRECV_MAIN_NODE_ID",
    "SENDRECV_STORE",
    "SENDRECV_URL",
)
RECEIVER_SETTINGS = (
    "SENDRECV_MAX_CONNECTIONS",
    "SENDRECV_MAX_TCP_CONNECTIONS",
    "SENDRECV_TLS_CERTIFICATE",
    "SENDRECV_TLS_KEY",
    "SENDRECV_TOKEN_OVERLAP",
)
MAX_CONNECTIONS = 16_000
"""Twice as many are below the LimitNOFILE= of receiver.service."""
DEFAULT_URL = "unix:///run/sendrecv-socket/receiver.sock"
"""Where receiver.socket listens."""
SPECIFIERS = " (a specifier such as %H works in a drop-in alone, see sendrecv.env(5))"
STATUS_URL = "unix:///run/sendrecv-socket/status.sock"
"""Where receiver-status.socket listens."""
_URL = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?")
_UNIX_URL = re.compile(r"unix://(?=.{2,107}$)(?:/[A-Za-z0-9._@+-]+)+")
"""The kernel takes a path of at most 107 bytes."""
_ENDPOINT = re.compile(r"(?:([A-Za-z0-9._-]{1,253})|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{1,5}))?")


# Compiled when they are used: the default address needs neither, and a start would wait for it.
_ON_LOOPBACK = r"127(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}"
_LOOPBACK = rf"http://(?:{_ON_LOOPBACK}|localhost|\[::1\])(?::[0-9]{{1,5}})?/?"


def is_secure(url: str) -> bool:
    """Whether a token may be told there: by TLS, or to this machine itself."""
    return url.startswith("https:") or bool(re.fullmatch(_LOOPBACK, url))


def certain(url: str) -> str:
    """That address, in which problem_of() finds nothing wrong, with 127.0.0.1 for localhost.

    The name may mean ::1, too, where the receiver does not listen, and any user may. With https://
    the certificate says who is there.
    """
    plain = "http://localhost"
    return f"http://127.0.0.1{url.removeprefix(plain)}" if url.startswith(plain) else url


def problem_of(url: str, setting: str = "SENDRECV_URL=", ca: str = "SENDRECV_CA=") -> str:
    """What the address of a receiver must be, if this one is not; else "". setting, ca: where a
    person writes the address, and the CA's file.
    """
    if _UNIX_URL.fullmatch(url):
        return ""
    found = _URL.fullmatch(url)
    if not found or not 0 < int(found[1] or 1) < 65536:
        known = "https://receiver.example:3443, http://127.0.0.1:3000 (this machine only)"
        return f"an address like {known} or {DEFAULT_URL}"
    if is_secure(url):
        return ""
    better = quoted(f"{setting}https{url.removeprefix('http')}")[1:-1]
    return (
        "https:// for another host: the token is not sent in the clear; once the receiver there"
        f" speaks TLS, write {better}, and {ca}FILE if its CA is not one of this machine's"
    )


class StoreConfig(Value):
    """Where an App of several hosts has its lease. endpoints: host and port of each member of etcd.
    user: "" if etcd asks for none. lease: seconds. host: the name of this host. continues: whether
    the holder counts on while etcd does not answer.
    """

    endpoints: tuple[tuple[str, int], ...]
    tls: bool
    user: str
    lease: float
    host: str
    continues: bool


class SenderConfig(Value):
    """Settings of a sender. interval: seconds between counts, 0 for as fast as acknowledged. ca:
    the file of the CAs that may sign the receiver's certificate, "" for those of the machine.
    store: None for an App of this machine alone.
    """

    app_id: str
    node_id: str
    interval: float
    url: str
    ca: str = ""
    store: StoreConfig | None = None


class ReceiverConfig(Value):
    """Settings of the receiver. max_connections: of senders on this machine, max_tcp_connections:
    of TCP clients; above these, connections are cut (crowds.py).
    certificate, key: files, "" for none; sendrecv-tls.service reads them. token_overlap: for how
    many seconds a token that was changed is valid together with the new one.
    """

    max_connections: int
    max_tcp_connections: int
    certificate: str = ""
    key: str = ""
    token_overlap: float = 3600.0


def sender_config(
    instance: str,
    role: str,
    environ: Mapping[str, str],
    host: str = "",
    where: Callable[[str], str] | None = None,
) -> SenderConfig:
    """The settings of one half of an App. role: "main" or "failover". host: the name of this host,
    up to its first dot. where: says where a setting was made, which an error names; None: in the
    file. Raises ConfigError.
    """
    if instance == "receiver":
        raise ConfigError("no App can be called receiver", "receiver.env is the receiver's")
    if "\\" in instance:  # EnvironmentFile= is a pattern: systemd would read another file
        raise ConfigError(f"no App can be called {quoted(instance)}", f"must be {NAME_RULE}")
    # An error is one line, whatever the name of the instance is.
    file = instance if instance.isprintable() else quoted(instance)
    reader = _Reader(f"/etc/sendrecv/{file}.env", environ, where)
    app_id = reader.name("SENDRECV_APP_ID", instance)
    store = reader.store(host)
    names = (host, f"{host}-failover") if store else ("main", "failover")
    nodes = {
        "main": reader.name("SENDRECV_MAIN_NODE_ID", names[0]),
        "failover": reader.name("SENDRECV_FAILOVER_NODE_ID", names[1]),
    }
    if nodes["main"] == nodes["failover"]:
        reader.fail_both("SENDRECV_MAIN_NODE_ID", "SENDRECV_FAILOVER_NODE_ID", nodes["main"])
    config = SenderConfig(
        app_id,
        nodes[role],
        reader.number("SENDRECV_INTERVAL", 1.0, 0.0, 86400.0),
        reader.url("SENDRECV_URL", DEFAULT_URL),
        reader.path("SENDRECV_CA"),
        store,
    )
    reader.finish(SENDER_SETTINGS)
    return config


def receiver_config(
    environ: Mapping[str, str], where: Callable[[str], str] | None = None
) -> ReceiverConfig:
    """The settings of the receiver. where: see sender_config(). Raises ConfigError."""
    reader = _Reader("/etc/sendrecv/receiver.env", environ, where)
    config = ReceiverConfig(
        reader.integer("SENDRECV_MAX_CONNECTIONS", 4096, 1, MAX_CONNECTIONS),
        reader.integer("SENDRECV_MAX_TCP_CONNECTIONS", 1024, 1, MAX_CONNECTIONS),
        reader.path("SENDRECV_TLS_CERTIFICATE"),
        reader.path("SENDRECV_TLS_KEY"),
        reader.number("SENDRECV_TOKEN_OVERLAP", 3600.0, 0.0, 604800.0),
    )
    reader.finish(RECEIVER_SETTINGS)
    return config


class _Reader:
    def __init__(
        self, file: str, environ: Mapping[str, str], where: Callable[[str], str] | None
    ) -> None:
        self._file = file
        self._environ = environ
        self._where = where or (lambda _key: file)

    def fail(self, key: str, allowed: str) -> None:
        value = self._environ.get(key, "")
        hint = SPECIFIERS if "%" in value else ""
        raise ConfigError(f"{self._where(key)}: {key}={quoted(value)}: must be {allowed}{hint}")

    def fail_both(self, key: str, other: str, value: str) -> None:
        """One of the two may be a default."""
        place = self._where(key if key in self._environ else other)
        raise ConfigError(f"{place}: {key} and {other} are both {value}: must be different")

    def name(self, key: str, default: str) -> str:
        value = self._get(key, default)
        if not is_name(value):
            if key not in self._environ:
                whose = "the instance name" if key == "SENDRECV_APP_ID" else "from the host's name,"
                raise ConfigError(
                    f"{self._file}: {key} is not set, and {whose} {quoted(value)}"
                    f" cannot be its default: must be {NAME_RULE}"
                )
            self.fail(key, NAME_RULE)
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = _number(self._get(key, str(default)), float)
        if not least <= value <= most:
            self.fail(key, f"a number from {least:g} to {most:g}")
        return value

    def integer(self, key: str, default: int, least: int, most: int) -> int:
        value = _number(self._get(key, str(default)), int)
        if not least <= value <= most:
            self.fail(key, f"a whole number from {least} to {most}")
        return int(value)

    def url(self, key: str, default: str) -> str:
        value = self._get(key, default)
        if problem := problem_of(value):
            self.fail(key, problem)
        return certain(value)

    def store(self, host: str) -> StoreConfig | None:
        url = self._get("SENDRECV_STORE", "")
        lease = self.number("SENDRECV_LEASE", 2.0, 1.0, 60.0)
        outage = self._get("SENDRECV_ETCD_OUTAGE", "stop")
        user = self._get("SENDRECV_ETCD_USER", "")
        if outage not in {"stop", "continue"}:
            self.fail("SENDRECV_ETCD_OUTAGE", "stop or continue")
        if not url:
            return None
        scheme, _, rest = url.partition("://")
        found = [_ENDPOINT.fullmatch(endpoint) for endpoint in rest.removesuffix("/").split(",")]
        endpoints = tuple((one[1] or one[2], int(one[3] or 2379)) for one in found if one)
        right = len(endpoints) == len(found) <= 9 and all(0 < port < 65536 for _, port in endpoints)
        if scheme not in {"etcd", "etcds"} or not right:
            self.fail("SENDRECV_STORE", "like etcd://a:2379,b:2379,c:2379 (etcds:// for TLS)")
        if scheme == "etcd":  # see certain()
            here = {"localhost": "127.0.0.1"}
            endpoints = tuple((here.get(name, name), port) for name, port in endpoints)
        if user and scheme == "etcd":  # also on loopback: any user may listen there
            self.fail("SENDRECV_STORE", "etcds:// for a user: no password is sent in the clear")
        if not user.isprintable() or len(user) > 64:
            self.fail("SENDRECV_ETCD_USER", "a name of at most 64 characters")
        return StoreConfig(endpoints, scheme == "etcds", user, lease, host, outage == "continue")

    def path(self, key: str) -> str:
        value = self._get(key, "")
        if value and not (value.startswith("/") and value.isprintable()):
            self.fail(key, "the path of a file, from / on")
        return value

    def finish(self, known: Iterable[str]) -> None:
        for key in sorted(self._environ):
            if key.startswith(PREFIX) and key not in known:
                place, there = self._where(key), ", ".join(known)
                raise ConfigError(f"{place}: {quoted(key)} is no setting: there are {there}")

    def _get(self, key: str, default: str) -> str:
        return self._environ.get(key, default)


def _number(text: str, parse: Callable[[str], float]) -> float:
    """The number in `text`. NaN, which is within no bounds, if `text` is no number."""
    try:
        return parse(text)
    except ValueError:
        return float("nan")
