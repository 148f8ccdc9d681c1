"""Several throw-away hosts on one network, with etcd on some of them, and the faults of both.

    with Cluster({"a": "trixie", "b": "trixie", "c": "bookworm", "r": "trixie"}) as cluster:
        cluster["a"].run("systemctl start sender@main")
        cluster.power_cut(cluster.leader())
        cluster.cut("b")
        cluster.repair()

By hand, three hosts with etcd and one without, with sendrecv.deb installed if it has been built:

    python3 -m tests.lab.cluster trixie

A host has its name and address from the first instant of each boot, and starts etcd at the end of
it. So power cuts and reboots need no more than that, whoever does them.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from tests.lab import progress, roots
from tests.lab.etcd import CERTIFICATES, PEERS, ROOT_PASSWORD, SEEN_AT, Etcd
from tests.lab.machine import DEB, Machine, MachineError, end
from tests.lab.network import BRIDGE, Block, Direction, Loss, Network, Rule

_ADDRESS = """[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip link set host0 addrgenmode none
ExecStart=ip address replace {address}/24 dev host0
ExecStart=ip link set host0 up
"""
# As a part of the boot, etcd would hold it up until enough of the other members are there.
_ETCD = """[Service]
Type=exec
ExecStart=sh -c 'systemctl is-system-running --wait; systemctl start --no-block etcd'
"""
_UNITS = "/etc/systemd/system"
_FILLING = "lab/filling/"


class Cluster:
    """Hosts by name. Entering the context boots them all, leaving it removes them."""

    def __init__(
        self,
        releases: Mapping[str, str],
        *,
        members: Collection[str] | None = None,
        etcd: Etcd = Etcd(),
        layers: Mapping[str, Path] | None = None,
        binds: Mapping[Path, str] | None = None,
    ) -> None:
        """`releases`: of each host. `members`: which have etcd; by default a, b and c.

        `layers`: for each release the disk of a machine of kind "host" to start from, see
        installed(). `binds`: as for Machine.
        """
        self.addresses = {name: f"10.77.0.{n}" for n, name in enumerate(releases, 1)}
        chosen = [name for name in releases if name in "abc"] if members is None else members
        self.members = {name: self.addresses[name] for name in chosen}
        self.hosts: dict[str, Machine] = {}
        self._releases = dict(releases)
        self._etcd = etcd
        self._password = ""
        self._layers = layers or {}
        self._binds = {CERTIFICATES: SEEN_AT, **(binds or {})}
        self.compacted = 0
        """The revision up to which etcd was made to forget."""
        self._rules: list[Rule] = []
        self._frozen: set[str] = set()
        self._slow: dict[str, subprocess.Popen[str]] = {}
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._held as held:
            root = held.enter_context(roots.use("host", next(iter(self._releases.values()))))
            self.network = held.enter_context(Network(root))
            self.hosts = {name: self._host(name) for name in self._releases}
            with ThreadPoolExecutor(len(self.hosts)) as pool:
                list(pool.map(held.enter_context, self.hosts.values()))
            self.wait_healthy()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._slow):
            self.slow_disk(name, 0)
        self._held.close()

    def __getitem__(self, name: str) -> Machine:
        return self.hosts[name]

    def _host(self, name: str) -> Machine:
        release = self._releases[name]
        hosts = "".join(f"{address} {host}\n" for host, address in self.addresses.items())
        files = {
            "/etc/hostname": f"{name}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n{hosts}",
            f"{_UNITS}/lab-address.service": _ADDRESS.format(address=self.addresses[name]),
            f"{_UNITS}/sysinit.target.d/lab.conf": "[Unit]\nWants=lab-address.service\n",
        }
        if name in self.members:
            files |= {
                "/etc/default/etcd": self._etcd.default_file(name, self.members),
                f"{_UNITS}/lab-etcd.service": _ETCD,
                f"{_UNITS}/multi-user.target.d/lab.conf": "[Unit]\nWants=lab-etcd.service\n",
            }
        return Machine(
            release,
            kind="host",
            layer=self._layers.get(release),
            binds=self._binds,
            options=[f"--network-bridge={BRIDGE}"],
            network=self.network.namespace,
            files=files,
        )

    # etcd

    def etcdctl(
        self, name: str, *command: str, check: bool = True, text: str = "", seconds: int = 10
    ) -> subprocess.CompletedProcess[str]:
        """Runs etcdctl on that host, against its own member, for so many seconds at most.

        `text`: its standard input.
        """
        argv = [*self._etcd.etcdctl(password=self._password), f"--command-timeout={seconds}s"]
        argv += command
        return self[name].run(argv, check=check, input=text)

    def health(self) -> dict[str, bool]:
        """Of each member, whether it can commit something now. Not all can if etcd is full."""
        with ThreadPoolExecutor(len(self.members)) as pool:
            return dict(zip(self.members, pool.map(self._healthy, self.members)))

    def leader(self) -> str:
        """The leader that the majority of the members knows; empty while there is none."""
        with ThreadPoolExecutor(len(self.members)) as pool:
            answers = dict(zip(self.members, pool.map(self._status, self.members)))
        names = {one["header"]["member_id"]: name for name, one in answers.items() if one}
        known = Counter(names.get(one.get("leader"), "") for one in answers.values())
        name, votes = known.most_common(1)[0]
        return name if votes > len(self.members) / 2 else ""

    def wait_leader(self, other_than: str = "") -> str:
        """Returns the leader, once there is one that is another one than this."""

        def found() -> str:
            name = self.leader()
            return name if name != other_than else ""

        return self._any.wait_until(found, f"a leader that is not {other_than}")

    def move_leader(self, name: str) -> None:
        """Makes that member the leader. All members must be there."""
        old = self.wait_leader()
        if old != name:
            member = self._status(name)["header"]["member_id"]
            self.etcdctl(old, "move-leader", f"{member:x}")
            self._any.wait_until(lambda: self.leader() == name, f"{name} is the leader")

    def wait_healthy(self, *names: str) -> None:
        """Waits until these members can commit something; by default all."""
        wanted = set(names or self.members)
        if wanted:
            self._any.wait_until(
                lambda: all(ok for name, ok in self.health().items() if name in wanted),
                f"health of {wanted}",
            )

    def enable_authentication(self, apps: Mapping[str, str]) -> None:
        """From now on etcd asks for a user and a password. `apps`: the password of each App's user.

        The user has the App's name, and may read and write what is below /sendrecv/APP/. root may
        do everything.
        """
        # An etcd 3.5 tells the others a password's hash, which an etcd 3.4 does not look for.
        name = min(self.members, key=lambda name: roots.RELEASES.index(self._releases[name]))
        for user, password in {"root": ROOT_PASSWORD, **apps}.items():
            self.etcdctl(name, "role", "add", user)
            self.etcdctl(name, "user", "add", user, "--interactive=false", text=password)
            self.etcdctl(name, "user", "grant-role", user, user)
        for app in apps:
            prefix = ("--prefix=true", "readwrite", f"/sendrecv/{app}/")
            self.etcdctl(name, "role", "grant-permission", app, *prefix)
        self.etcdctl(name, "auth", "enable")
        self._password = ROOT_PASSWORD
        self.wait_healthy()

    def replace(self, name: str) -> None:
        """Takes that member out of etcd with all it has, and adds a new one on the same host."""
        listed = self.etcdctl(self._any_member, "member", "list").stdout.splitlines()
        number = next(line.split(",")[0] for line in listed if line.split(", ")[2] == name)
        self._change_members(name, "remove", number)
        state = 'ETCD_INITIAL_CLUSTER_STATE="existing"'
        self[name].run(
            "systemctl stop etcd; rm -r /var/lib/etcd/default;"
            f" grep -q '{state}' /etc/default/etcd || echo '{state}' >> /etc/default/etcd"
        )
        url = f"http://{self.members[name]}:{PEERS}"
        self._change_members(name, "add", name, f"--peer-urls={url}")
        self[name].run("systemctl start --no-block etcd")

    def _change_members(self, name: str, *command: str) -> None:
        """Etcd refuses that until the others have known each other for 5 s."""
        other = next(member for member in self.members if member != name and self._status(member))

        def changed() -> bool:
            return not self.etcdctl(other, "member", *command, check=False).returncode

        self._any.wait_until(changed, f"etcd's members: {command}")

    def compact(self) -> None:
        """Makes etcd forget all that was overwritten."""
        name = self._any_member
        status = self._status(name)
        revision = str(status["header"]["revision"])
        done = self.etcdctl(name, "compact", revision, check=False)
        # As it is if nothing has been written since the last time.
        if done.returncode and "has been compacted" not in done.stderr:
            raise MachineError(f"etcd on {name} does not compact {revision}: {done.stderr}")
        self.compacted = int(revision)

    def fill(self) -> None:
        """Writes until etcd takes nothing more. To be used with a small Etcd.quota."""
        name, text = self._any_member, "x" * (1 << 20)
        for number in range(2 + self._etcd.quota // len(text)):
            done = self.etcdctl(name, "put", f"{_FILLING}{number}", check=False, text=text)
            if "database space exceeded" in done.stderr:
                return
        raise MachineError(f"etcd on {name} takes more than its quota")

    def make_room(self) -> None:
        """Ends what fill() has done, as etcd's documents have it. All members must be there."""
        name = self._any_member
        self.etcdctl(name, "del", "--prefix", _FILLING)
        self.compact()
        for member in self.members:
            self.etcdctl(member, "defrag")
        self.etcdctl(name, "alarm", "disarm")

    def slow_disk(self, name: str, seconds: float) -> None:
        """Makes each sync to disk of that member take so much longer, until it is 0 again.

        Also until that etcd ends. All of its other system calls are slowed down a little too.
        """
        if slow := self._slow.pop(name, None):
            end(slow)
        if not seconds:
            return
        pid = self[name].pid("etcd")
        calls = f"fsync,fdatasync:delay_enter={int(seconds * 1e6)}"
        argv = ["strace", "-qq", "-f", "-o", "/dev/null", "-e", f"inject={calls}", "-p", str(pid)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # it warns for nothing
        self._slow[name] = self[name].popen(argv, **quiet)
        traced = f"grep -q '^TracerPid:.*[1-9]' /proc/{pid}/status"
        self[name].wait_until(
            lambda: not self[name].run(traced, check=False).returncode, f"strace of {name}'s etcd"
        )

    # Power

    def power_cut(self, name: str) -> None:
        """Cuts the power of that host; also if it is frozen."""
        self._frozen.discard(name)
        self[name].power_cut()

    def boot(self, name: str) -> None:
        """Turns it on again. Its etcd comes back later: wait_healthy() waits for it."""
        self[name].boot()

    def freeze(self, name: str) -> None:
        """Stops all that runs on that host, as a hung kernel does. Its interface still answers."""
        self[name].freeze()
        self._frozen.add(name)

    def thaw(self, name: str) -> None:
        """Lets it go on."""
        self._frozen.discard(name)
        self[name].thaw()

    def freeze_unit(self, name: str, unit: str) -> None:
        """Stops all processes of a unit: what connects to it gets no answer, and no refusal."""
        self[name].run(["systemctl", "freeze", unit])

    def thaw_unit(self, name: str, unit: str) -> None:
        """Lets it go on."""
        self[name].run(["systemctl", "thaw", unit])

    # Network

    def cut(self, name: str, direction: Direction = "both") -> Block:
        """Nothing more to ("in") or from ("out") that host, until join(). Outlasts a reboot."""
        return self.block(name, direction=direction)

    def join(self, name: str) -> None:
        """Ends each cut(), block() and loss() of that host."""
        address = self.addresses[name]
        self._set([rule for rule in self._rules if rule.address != address])

    def block(
        self,
        name: str,
        *,
        direction: Direction = "both",
        ports: Sequence[int] = (),
        peers: Sequence[str] = (),
    ) -> Block:
        """Drops some packets of that host, until unblock(): see Block. `peers`: hosts' names.

        Not what a host says to itself: a member of etcd still answers clients on its own host.
        """
        others = tuple(self.addresses[peer] for peer in peers)
        rule = Block(self.addresses[name], direction, tuple(ports), others)
        self._add(rule)
        return rule

    def unblock(self, rule: Rule) -> None:
        """Ends what block() has begun."""
        rules = list(self._rules)
        rules.remove(rule)
        self._set(rules)

    def loss(self, name: str, percent: int) -> Loss:
        """Drops so many of its packets, at random in each direction, until unblock()."""
        rule = Loss(self.addresses[name], percent)
        self._add(rule)
        return rule

    def repair(self) -> None:
        """Ends all that was done here to hosts and network. Hosts that are off are booted.

        Not what was done to a unit, nor a full etcd.
        """
        self._set([])
        for name in list(self._slow):
            self.slow_disk(name, 0)
        for name in list(self._frozen):
            self.thaw(name)
        off = [name for name, host in self.hosts.items() if not host.running]
        with ThreadPoolExecutor(max(1, len(off))) as pool:
            list(pool.map(self.boot, off))

    # Inside

    def _add(self, rule: Rule) -> None:
        self._set([*self._rules, rule])

    def _set(self, rules: Sequence[Rule]) -> None:
        self.network.set(rules)
        self._rules = list(rules)

    @property
    def _any_member(self) -> str:
        """One that answers; it need not be healthy, for a full etcd is not."""
        return next(name for name in self.members if self._status(name))

    @property
    def _any(self) -> Machine:
        """For what Machine can do for any host that is on."""
        return next(host for host in self.hosts.values() if host.running)

    def _answering(self, name: str) -> bool:
        """Whether it is worth to ask its etcd, which takes seconds if there is no answer."""
        return self[name].running and name not in self._frozen

    def _healthy(self, name: str) -> bool:
        if not self._answering(name):
            return False
        return not self.etcdctl(name, "endpoint", "health", check=False, seconds=3).returncode

    def _status(self, name: str) -> dict[str, Any]:
        """What that member says of itself; empty if it says nothing."""
        if not self._answering(name):
            return {}
        done = self.etcdctl(name, "endpoint", "status", "-w", "json", check=False, seconds=3)
        if done.returncode:
            return {}
        status: dict[str, Any] = json.loads(done.stdout)[0]["Status"]
        return status


@contextlib.contextmanager
def installed(release: str) -> Iterator[Path]:
    """What installing the package writes on a host of that release, for Cluster(layers=)."""
    with Machine(release, kind="host") as machine:
        machine.install_deb()
        machine.poweroff()
        yield machine.disk


def main() -> int:
    """A cluster for a person, until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab.cluster", description=__doc__)
    parser.add_argument("release", choices=roots.RELEASES, nargs="?", default="trixie")
    release = parser.parse_args().release
    roots.ensure("host", release)
    with contextlib.ExitStack() as held:
        layers = {}
        if DEB.exists():
            with progress.step(f"installing {DEB.name}", "install"):
                layers[release] = held.enter_context(installed(release))
        with progress.step(f"booting four hosts with {roots.NAMES[release]}", "boot"):
            cluster = held.enter_context(Cluster(dict.fromkeys("abcr", release), layers=layers))
        for name, host in cluster.hosts.items():
            etcd = ", with etcd" if name in cluster.members else ""
            print(f"{name}, {cluster.addresses[name]}{etcd}:  nsenter -t {host.leader} -a bash -l")
        print(f"the network:  nsenter --net={cluster.network.namespace}")
        print("Ctrl-C removes them all", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
