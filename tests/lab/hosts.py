"""Apps on several hosts: a cluster with etcd on a, b and c, and a receiver on r.

As docs/hosts.md has it.

    with Hosts("trixie") as hosts:
        hosts.add("one", "SENDRECV_INTERVAL=0.1")
        hosts.cluster.power_cut(hosts.holder("one"))

By hand: python3 -m tests.lab.hosts trixie
"""

import argparse
import contextlib
import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from tests.lab import roots
from tests.lab.cluster import Cluster, installed
from tests.lab.etcd import Etcd
from tests.lab.machine import Machine
from tests.lab.paths import TOP

RECEIVER = "r"
NAME = "receiver.example"
"""That of the receiver, in its certificate."""
CA = "/etc/sendrecv/ca.pem"
_CERTIFICATES = TOP / "tests/lab/certificates"
_SOCKET = "[Socket]\nListenStream=0.0.0.0:3443\n"
_TLS = "SENDRECV_TLS_CERTIFICATE=/etc/tls/c.pem\nSENDRECV_TLS_KEY=/etc/tls/k.pem\n"


class Hosts:
    """The cluster, with the package set up on each host. releases: of each host, or of all."""

    def __init__(
        self,
        releases: str | Mapping[str, str],
        *,
        etcd: Etcd = Etcd(),
        layers: Mapping[str, Path] | None = None,
    ) -> None:
        if isinstance(releases, str):
            releases = dict.fromkeys(["a", "b", "c", RECEIVER], releases)
        self._held = contextlib.ExitStack()
        self._releases = releases
        self._etcd = etcd
        self._layers = layers
        self.cluster: Cluster

    def __enter__(self) -> Self:
        with self._held as held:
            layers = self._layers or {
                release: held.enter_context(installed(release))
                for release in set(self._releases.values())
            }
            cluster = Cluster(self._releases, etcd=self._etcd, layers=layers)
            self.cluster = held.enter_context(cluster)
            self._set_up()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def __getitem__(self, name: str) -> Machine:
        return self.cluster[name]

    @property
    def receiver(self) -> Machine:
        """Its host."""
        return self.cluster[RECEIVER]

    @property
    def store(self) -> str:
        """For SENDRECV_STORE=."""
        scheme = "etcds" if self._etcd.tls else "etcd"
        return f"{scheme}://{','.join(f'{name}:2379' for name in self.cluster.members)}"

    def add(self, app: str, settings: str = "", *, start: bool = True) -> None:
        """An App on each host that has etcd; started on a first, so that it counts."""
        lines = f"SENDRECV_STORE={self.store}\nSENDRECV_URL=https://{NAME}:3443\nSENDRECV_CA={CA}\n"
        for name in self.cluster.members:
            self.cluster[name].write(f"/etc/sendrecv/{app}.env", f"{lines}{settings}\n")
            if start:
                self.cluster[name].run(["systemctl", "start", f"sender@{app}"])

    def status(self, app: str, name: str) -> str:
        """What `systemctl status` says on that host."""
        host = self.cluster[name]
        texts = [host.show(unit, "StatusText") for unit in units(app)]
        return " ".join(text for text in texts if text)

    def holder(self, app: str) -> str:
        """The host that counts, as etcd has it; "" for none."""
        there = self.key(app)
        return "" if not there or there["released"] else str(there["host"])

    def key(self, app: str) -> dict[str, Any]:
        """What the App's key says; {} if there is none."""
        for name in self.cluster.members:
            if self.cluster[name].running:
                done = self.cluster.etcdctl(
                    name, "get", "--print-value-only", f"/sendrecv/{app}/record", check=False
                )
                if not done.returncode:
                    return dict(json.loads(done.stdout)) if done.stdout.strip() else {}
        return {}

    def wait_holder(self, app: str, names: str) -> str:
        """Waits until one of those hosts counts, and returns its name."""
        return (
            self.receiver.wait_until(
                lambda: (name := self.holder(app)) in [*names] and name, f"one of {names} counts"
            )
            or ""
        )

    def _set_up(self) -> None:
        receiver = self.receiver
        address = self.cluster.addresses[RECEIVER]
        receiver.write("/etc/systemd/system/receiver-tcp.socket.d/others.conf", _SOCKET)
        receiver.write("/etc/sendrecv/receiver.env", _TLS)
        text = (_CERTIFICATES / "good.pem").read_text(encoding="ascii")
        key, found, certificate = text.partition("-----BEGIN CERTIFICATE-----")
        receiver.write("/etc/tls/c.pem", found + certificate)
        receiver.write("/etc/tls/k.pem", key)
        receiver.run("chmod 600 /etc/tls/k.pem; systemctl daemon-reload")
        receiver.run("systemctl start receiver-tcp.socket receiver.service")
        token = receiver.run("cat /etc/sendrecv/token").stdout
        for name in self.cluster.members:
            host = self.cluster[name]
            host.write("/etc/sendrecv/token", token)
            host.put(_CERTIFICATES / "ca.pem", CA)
            host.run(f"echo {address} {NAME} >> /etc/hosts")
            for half in ("sender", "sender-failover"):
                directory = f"/etc/systemd/system/{half}@.service.d"
                host.run(f"install -D -m 644 -t {directory} /usr/lib/sendrecv/network.conf")
            host.run("systemctl daemon-reload")


def host_of(node: str) -> str:
    """The host of that node, as the nodes of an App on several hosts are called by default."""
    return node.removesuffix("-failover")


def units(app: str) -> list[str]:
    """Of both halves of an App."""
    return [f"sender@{app}.service", f"sender-failover@{app}.service"]


@contextlib.contextmanager
def _until_interrupted() -> Iterator[None]:
    with contextlib.suppress(KeyboardInterrupt):
        yield
        signal.pause()


def main() -> None:
    """Hosts for a person, with one App, until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab.hosts", description=__doc__)
    parser.add_argument("release", choices=roots.RELEASES, nargs="?", default="trixie")
    with Hosts(parser.parse_args().release) as hosts:
        hosts.add("main")
        for name, host in hosts.cluster.hosts.items():
            print(f"{name}: nsenter --all --target {host.leader}", flush=True)
        with _until_interrupted():
            pass


if __name__ == "__main__":
    main()
