"""A network of machines: a bridge in a network namespace, and what it does not forward.

    with Network(root) as network:
        network.set([Block("10.77.0.1", direction="in"), Loss("10.77.0.2", percent=20)])

No process of the host has an interface in it, and no traffic leaves it. The namespace has no name:
the kernel removes it, and all that is in it, with the last process that runs in it. One process
keeps it until this one ends, in whatever way.

The bridge is a switch that somebody has configured: what is blocked is dropped there, so an
interface in a machine keeps its carrier, and a connection that is cut is half open. Only the whole
set is ever replaced, in one transaction of the kernel, and open connections are not spared.
(tc's netem is no part of each kernel, nftables is.)
"""

import contextlib
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

BRIDGE = "br0"
Direction = Literal["in", "out", "both"]
"""Of packets, as the host sees it."""

_TABLE = """table bridge lab
delete table bridge lab
table bridge lab {{
    chain forward {{
        type filter hook forward priority 0
        {rules}
    }}
}}
"""


class NetworkError(Exception):
    """A command of iproute2 or nftables failed; the text is what it said."""


class Rule(Protocol):
    """Something that the bridge does with a host's packets."""

    @property
    def address(self) -> str:
        """The host's."""

    def statements(self) -> Iterable[str]:
        """In the language of nft(8)."""


@dataclass(frozen=True)
class Block:
    """Packets of one host that are dropped.

    `peers`: only those from and to these addresses. `ports`: only those of TCP or UDP, to or from
    one of these ports. With neither, the host's link is cut in that direction.
    """

    address: str
    direction: Direction = "both"
    ports: Sequence[int] = ()
    peers: Sequence[str] = ()

    def statements(self) -> Iterable[str]:
        """In the language of nft(8)."""
        if self.direction != "in":
            yield from self._one_way("saddr", "daddr")
        if self.direction != "out":
            yield from self._one_way("daddr", "saddr")

    def _one_way(self, own: str, other: str) -> Iterable[str]:
        packet = f"ip {own} {self.address}"
        if self.peers:
            packet += f" ip {other} {_set(self.peers)}"
        if self.ports:
            for port in ("sport", "dport"):
                yield f"{packet} meta l4proto {{ tcp, udp }} th {port} {_set(self.ports)} drop"
            return
        yield f"{packet} drop"
        if not self.peers:
            yield f"arp {own} ip {self.address} drop"


@dataclass(frozen=True)
class Loss:
    """That many percent of a host's packets are dropped, in each direction, at random."""

    address: str
    percent: int

    def statements(self) -> Iterable[str]:
        """In the language of nft(8)."""
        for own in ("saddr", "daddr"):
            yield f"ip {own} {self.address} numgen random mod 100 < {self.percent} drop"


def _set(members: Iterable[object]) -> str:
    return f"{{ {', '.join(map(str, members))} }}"


class Network:
    """The namespace with the bridge. `root`: a Debian root that has iproute2 and nftables."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._keeper: subprocess.Popen[str] | None = None
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        # It ends when its standard input does, and so with this process.
        command = ["unshare", "--net", "sh", "-c", "echo made; exec cat"]
        keeper = subprocess.Popen(command, stdin=-1, stdout=-1, encoding="ascii")
        with self._held:
            self._held.callback(keeper.communicate)
            if not keeper.stdout or not keeper.stdout.readline():
                raise NetworkError("no network namespace can be made")
            self._keeper = keeper
            # Without the delay, a new port would forward nothing for 15 s.
            self.run("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
            self.run("ip", "link", "set", BRIDGE, "up")
            self._held = self._held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def namespace(self) -> Path:
        """For nsenter(1), and for Machine(network=)."""
        if self._keeper is None:
            raise NetworkError("the network is not there yet")
        return Path(f"/proc/{self._keeper.pid}/ns/net")

    def set(self, rules: Iterable[Rule]) -> None:
        """From now on these rules hold, and no others."""
        lines = [line for rule in rules for line in rule.statements()]
        self.run("nft", "-f", "-", text=_TABLE.format(rules="\n        ".join(lines)))

    def run(self, *command: str, text: str = "") -> str:
        """Runs a program of the root in the namespace; returns its output."""
        enter = ["nsenter", f"--net={self.namespace}", "chroot", str(self._root)]
        done = subprocess.run(
            [*enter, *command], input=text, capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode:
            raise NetworkError(f"{' '.join(command)}: {done.stderr.strip()}\n{text}")
        return done.stdout
