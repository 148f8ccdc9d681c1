"""How Debian's etcd is set up on the hosts of tests/lab/cluster.py, and asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.lab.paths import TOP

CERTIFICATES = TOP / "tests" / "lab" / "certificates"
SEEN_AT = "/opt/certificates"
"""Where the certificates are seen on each host."""
CA, CLIENT = f"{SEEN_AT}/etcd-ca.pem", f"{SEEN_AT}/etcd-client.pem"
"""What a client needs to be accepted with TLS; key and certificate are in one file."""
_SERVER = f"{SEEN_AT}/etcd.pem"
ROOT_PASSWORD = "root's"
CLIENTS, PEERS = 2379, 2380
"""The ports."""


@dataclass(frozen=True)
class Etcd:
    """The settings of all members. Times in milliseconds, by default those of etcd.

    `quota`: the bytes from which on etcd takes nothing more; 0: etcd's default, 2 GB. `tls`:
    clients need a certificate that is signed by CA.
    """

    heartbeat: int = 100
    election: int = 1000
    quota: int = 0
    tls: bool = False

    def default_file(self, name: str, members: Mapping[str, str]) -> str:
        """/etc/default/etcd of one of the members, which are addresses by name."""
        scheme, own = "https" if self.tls else "http", members[name]
        settings = {
            "NAME": name,
            "DATA_DIR": "/var/lib/etcd/default",
            "LISTEN_PEER_URLS": f"http://{own}:{PEERS}",
            "LISTEN_CLIENT_URLS": f"{scheme}://{own}:{CLIENTS},{scheme}://127.0.0.1:{CLIENTS}",
            "INITIAL_ADVERTISE_PEER_URLS": f"http://{own}:{PEERS}",
            "ADVERTISE_CLIENT_URLS": f"{scheme}://{name}:{CLIENTS}",
            "INITIAL_CLUSTER": ",".join(
                f"{member}=http://{address}:{PEERS}" for member, address in members.items()
            ),
            "INITIAL_CLUSTER_TOKEN": "lab",
            "HEARTBEAT_INTERVAL": self.heartbeat,
            "ELECTION_TIMEOUT": self.election,
            "QUOTA_BACKEND_BYTES": self.quota,
        }
        if self.tls:
            settings |= {"CERT_FILE": _SERVER, "KEY_FILE": _SERVER}
            settings |= {"TRUSTED_CA_FILE": CA, "CLIENT_CERT_AUTH": "true"}
        return "".join(f'ETCD_{key}="{value}"\n' for key, value in settings.items())

    def etcdctl(self, *, password: str) -> Sequence[str]:
        """The command that asks the member on the same host; `password`: root's, or none."""
        scheme = "https" if self.tls else "http"
        command = ["etcdctl", f"--endpoints={scheme}://127.0.0.1:{CLIENTS}"]
        if self.tls:
            command += [f"--cacert={CA}", f"--cert={CLIENT}", f"--key={CLIENT}"]
        if password:
            command.append(f"--user=root:{password}")
        return command
