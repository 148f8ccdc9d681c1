"""Apps on three hosts with etcd, and a receiver on a fourth: who counts, and what each fault does.

The verdict is that of the receiver's journal: each count once and in order, epochs that grow.
"""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.judges.checker import Entry, Kind, check
from tests.lab import roots
from tests.lab.etcd import Etcd
from tests.lab.hosts import Hosts
from tests.lab.machine import Machine
from tests.lab.probe import Probe

QUOTA = 16 << 20
FAST = "SENDRECV_INTERVAL=0.2"
WATCHDOG = 0.85
"""Seconds: the limit of a sender's watchdog with the default lease."""
COUNTS = (Kind.DUPLICATE, Kind.CONFLICT, Kind.GAP, Kind.DISORDER, Kind.EPOCH)


@pytest.fixture(scope="module")
def hosts(release: str, installed_host: Callable[[str], Path]) -> Iterator[Hosts]:
    """One cluster for all tests here; each has an App of its own, and repairs what it broke. One
    of the hosts has the other release, and so the other etcd.
    """
    (other,) = set(roots.RELEASES) - {release}
    releases = dict.fromkeys("acr", release) | {"b": other}
    layers = {one: installed_host(one) for one in roots.RELEASES}
    with Hosts(releases, layers=layers, etcd=Etcd(quota=QUOTA)) as hosts:
        yield hosts


class App:
    """One App on all hosts; it counts on a at first."""

    def __init__(
        self, hosts: Hosts, name: str, settings: str = FAST, *, start: bool = True
    ) -> None:
        self.hosts = hosts
        self.name = name
        self.since = hosts.receiver.cursor()
        with self.counts_from("a") if start else contextlib.nullcontext():
            hosts.add(name, settings, start=start)

    @contextlib.contextmanager
    def counts_from(self, node: str = "") -> Iterator[None]:
        """Waits, after what is done in this context, for a count of that node (or of any)."""
        after = self.hosts.receiver.cursor()
        yield
        self.hosts.receiver.wait_entry(
            lambda entry: any(not node or line.node == node for line in self._lines([entry])),
            "_SYSTEMD_UNIT=receiver.service",
            after=after,
            what=f"a count of {self.name} from {node or 'any node'}",
        )

    def nodes(self) -> list[str]:
        """The nodes in the order in which they counted."""
        nodes = [line.node for line in self._lines(self._entries())]
        return [node for node, before in zip(nodes, ["", *nodes], strict=False) if node != before]

    def assert_sound(self) -> None:
        """It counts on; each count was printed once, in order, and epochs grow."""
        with self.counts_from():
            pass
        verdict = check(self._entries())
        faults = [one for one in verdict.faults if one.kind in COUNTS and one.app == self.name]
        assert not faults and verdict.lines[self.name], faults

    def count(self) -> int:
        """The last one that is printed."""
        return int(self._lines(self._entries())[-1].count)

    def stop(self) -> None:
        """For good, on each host."""
        for name in self.hosts.cluster.members:
            self.hosts[name].run(["systemctl", "stop", f"sendrecv@{self.name}.target"])

    def systemctl(self, host: str, *words: str) -> None:
        """Types that on the host."""
        self.hosts[host].run(["systemctl", *words])

    def move(self, typed_on: str, host: str) -> tuple[int, str]:
        """sendrecv move, its exit status and what it says."""
        command = ["sendrecv", "move", "--reason=a new disk", self.name, host]
        done = self.hosts[typed_on].run(command, check=False)
        return done.returncode, done.stdout + done.stderr

    def moves(self, typed_on: str, host: str) -> None:
        """As move(), until it is there: on a slow machine, sendrecv move may not wait so long."""
        self.hosts[typed_on].wait_until(
            lambda: self.move(typed_on, host)[0] != 69, f"a move to {host}"
        )
        assert self.move(typed_on, host) == (0, f"App {self.name} counts on {host} already\n")

    def history(self, host: str) -> list[tuple[str, ...]]:
        """From which host the App came to this one, and why: all times."""
        command = ["sendrecv", "history", "--json", self.name]
        told = json.loads(self.hosts[host].run(command).stdout)["events"]
        keys = ("fromHost", "code", "reason")
        return [tuple(event[key] or "" for key in keys) for event in told]

    def said(self, host: str, text: str) -> None:
        """Waits until the sender of that host has said that, at any time."""
        self.hosts[host].wait_entry(
            lambda entry: text in str(entry.get("MESSAGE")),
            *(
                f"_SYSTEMD_UNIT={half}@{self.name}.service"
                for half in ("sender", "sender-failover")
            ),
            what=text,
        )

    def etcd_problems(self, host: str) -> list[str]:
        """The codes of what sendrecv check finds wrong with etcd."""
        command = ["sendrecv", "check", "--json", self.name]
        found = json.loads(self.hosts[host].run(command, check=False).stdout)["problems"]
        return sorted(one["code"] for one in found if one["code"].startswith("etcd"))

    def status(self, host: str, pattern: str) -> None:
        """Waits until the status on that host is such."""
        self.hosts[host].wait_until(
            lambda: re.fullmatch(pattern, self.hosts.status(self.name, host)), pattern
        )

    def _entries(self) -> list[Entry]:
        since = [f"--after-cursor={self.since}"] if self.since else []
        return list(self.hosts.receiver.journal(*since))

    def _lines(self, entries: list[Entry]) -> list:  # type: ignore[type-arg]  # of checker.Line
        return list(check(entries, first=None).lines.get(self.name, ()))


MakeApp = Callable[..., App]


@pytest.fixture(name="app_on")
def fixture_app_on(hosts: Hosts) -> Iterator[MakeApp]:
    """Makes an App, which is stopped after the test: see App."""
    made: list[App] = []

    def make(name: str, settings: str = FAST, *, start: bool = True) -> App:
        made.append(App(hosts, name, settings, start=start))
        return made[-1]

    yield make
    hosts.cluster.repair()
    for app in made:
        app.stop()


TIME = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"


def test_one_counts_and_the_others_say_who_since_when_and_at_which_count(
    hosts: Hosts, app_on: MakeApp
) -> None:
    app = app_on("one")
    app.status("a", rf"counting here since {TIME}, count \d+, connected, epoch 1")
    for host in "bc":
        app.status(host, rf"standing by, a \(a\) counts since {TIME}, count \d+")
        assert hosts[host].show("sender@one", "ActiveState") == "active"
    app.assert_sound()


@pytest.mark.parametrize("signal", ["KILL", "SEGV"])
def test_a_process_that_ends_is_followed_by_the_other_half_of_its_host(
    hosts: Hosts, app_on: MakeApp, signal: str
) -> None:
    app = app_on(f"half-{signal}")
    with app.counts_from("a-failover"):
        hosts["a"].kill(f"sender@{app.name}", signal)
    with app.counts_from("a"):
        app.systemctl("a", "stop", f"sender-failover@{app.name}")
    assert app.nodes() == ["a", "a-failover", "a"]
    app.assert_sound()
    app.said("a", "counting here: this host held the App")


def test_a_process_that_hangs_is_killed(hosts: Hosts, app_on: MakeApp) -> None:
    """On a machine that is not starved, before its lease is over: make bench ONLY=hosts."""
    app = app_on("hung")
    after = hosts["a"].cursor()
    with app.counts_from():
        hosts["a"].kill("sender@hung", "STOP")
        hosts["a"].wait_entry(
            lambda entry: "Failed with result 'watchdog'" in str(entry.get("MESSAGE")),
            "UNIT=sender@hung.service",
            after=after,
            what="the watchdog",
        )
    app.assert_sound()
    assert app.nodes()[1:] in (["a-failover"], ["b"], ["c"])


def test_a_move_typed_on_any_host(app_on: MakeApp) -> None:
    app = app_on("moved")
    for typed_on, to in (("a", "b"), ("a", "c"), ("c", "a")):
        with app.counts_from(to):
            app.moves(typed_on, to)
    assert app.nodes() == ["a", "b", "c", "a"]
    app.assert_sound()
    app.said("a", "c has handed the App over, as a person asked ('a new disk')")
    assert app.history("a") == [("", "new", ""), ("c", "moved", "a new disk")]
    assert app.history("b") == [("a", "moved", "a new disk")]


def test_a_move_to_a_host_that_does_not_stand_by_leaves_the_app_where_it_is(
    app_on: MakeApp,
) -> None:
    app = app_on("kept")
    app.systemctl("c", "stop", "sendrecv@kept.target")
    code, said = app.move("b", "c")
    assert code == 69 and "c has not taken App kept within 5 s: it counts on a; is" in said
    app.assert_sound()
    assert app.nodes() == ["a"]
    code, said = app.move("c", "b")
    assert (code, said) == (
        64,
        "sendrecv: no sender of App kept runs on this host: systemctl start sender@kept\n",
    )


def test_an_app_that_is_stopped_on_its_host_goes_to_another_at_once(
    hosts: Hosts, app_on: MakeApp
) -> None:
    app = app_on("stopped")
    with app.counts_from():
        app.systemctl("a", "stop", "sendrecv@stopped.target")
    holder = hosts.wait_holder("stopped", "bc")
    app.said(holder, "counting here: a released the App: stopped")
    app.said(holder, "a has released the App, which was stopped there")
    app.systemctl("a", "start", "sender@stopped")
    app.status("a", rf"standing by, {holder} \({holder}\) counts since .*")
    app.assert_sound()
    assert app.nodes() == ["a", holder]


def test_a_host_that_is_lost_while_the_receiver_is_away(hosts: Hosts, app_on: MakeApp) -> None:
    """The next one goes on from the count that was reached, not from the receiver's last."""
    app = app_on("lost")
    hosts.receiver.run("systemctl stop receiver-tcp.socket receiver.socket receiver.service")
    last = app.count()
    hosts["a"].wait_until(lambda: hosts.key("lost")["record"]["count"] > last + 20, "a backlog")
    reached = hosts.key("lost")["record"]["count"]
    hosts.cluster.power_cut("a")
    holder = hosts.wait_holder("lost", "bc")
    with app.counts_from(holder):
        hosts.receiver.run("systemctl start receiver.socket receiver-tcp.socket receiver.service")
    app.assert_sound()
    assert app.count() > reached and app.nodes() == ["a", holder]
    app.said(holder, "counting here: a has not renewed its lease")
    app.said(holder, ": a has not renewed its lease in time")
    hosts.cluster.boot("a")
    app.systemctl("a", "start", "sender@lost")
    app.status("a", rf"standing by, {holder} .*")
    app.assert_sound()
    assert app.nodes() == ["a", holder]


def test_a_holder_that_sleeps_past_its_lease_does_not_fight(hosts: Hosts, app_on: MakeApp) -> None:
    app = app_on("frozen")
    with app.counts_from():
        hosts.cluster.freeze("a")
        holder = hosts.wait_holder("frozen", "bc")
    hosts.cluster.thaw("a")
    app.status("a", rf"standing by, {holder} .*")
    app.assert_sound()
    assert app.nodes() == ["a", holder]
    hosts.cluster.wait_healthy()


def test_a_holder_that_is_cut_off_from_etcd_stands_by(hosts: Hosts, app_on: MakeApp) -> None:
    app = app_on("cut")
    rule = hosts.cluster.block("a", ports=[2379, 2380], peers=["b", "c"])
    with app.counts_from():
        holder = hosts.wait_holder("cut", "bc")
    app.assert_sound()
    hosts.cluster.unblock(rule)
    app.status("a", rf"standing by, {holder} .*")
    app.assert_sound()
    assert app.nodes() == ["a", holder]
    hosts.cluster.wait_healthy()


def test_a_holder_that_is_cut_off_from_the_receiver_only_keeps_the_app(
    hosts: Hosts, app_on: MakeApp
) -> None:
    app = app_on("backlog")
    rule = hosts.cluster.block("a", peers=["r"])
    last = app.count()
    hosts["a"].wait_until(lambda: hosts.key("backlog")["record"]["count"] > last + 20, "backlog")
    with app.counts_from("a"):
        hosts.cluster.unblock(rule)
    app.assert_sound()
    assert app.nodes() == ["a"]


def test_without_a_majority_it_waits_or_counts_on_as_it_is_set(
    hosts: Hosts, app_on: MakeApp
) -> None:
    waits = app_on("waits")
    counts = app_on("counts", f"{FAST}\nSENDRECV_ETCD_OUTAGE=continue")
    assert waits.etcd_problems("a") == []
    for host in "bc":
        hosts[host].run("systemctl stop etcd")
    counts.said("a", "counting on without etcd, see SENDRECV_ETCD_OUTAGE")
    waits.said("a", "not counting until it can be written")
    last = waits.count()
    for _ in range(3):
        with counts.counts_from("a"):
            pass
    assert waits.count() == last
    assert waits.etcd_problems("a") == ["etcd-member", "etcd-quorum"]
    with counts.counts_from("a-failover"):  # its process dies while etcd is out
        hosts["a"].kill("sender@counts", "KILL")
    assert waits.count() == last
    with waits.counts_from("a"):
        for host in "bc":
            hosts[host].run("systemctl start --no-block etcd")
    counts.said("a", "etcd answers again, and this host still has the lease")
    for app in (waits, counts):
        app.assert_sound()
    assert waits.nodes() == ["a"] and counts.nodes() == ["a", "a-failover"]
    hosts.cluster.wait_healthy()


def _says(host: Machine, unit: str, words: str) -> bool:
    return words in host.show(unit, "StatusText")


def test_a_full_etcd_is_waited_for(hosts: Hosts, app_on: MakeApp) -> None:
    """The holder cannot renew its lease, and no other host can take it; each says why. No watchdog
    takes one of them for hung, unless its machine stood still.
    """
    app = app_on("full")
    probes = {host: Probe(hosts[host]) for host in "abc"}
    before = {host: hosts[host].cursor() for host in "abc"}
    hosts.cluster.fill()
    app.said("a", "not counting until it can be written")
    for host in "bc":
        full = partial(_says, hosts[host], "sender@full", "space exceeded")
        hosts[host].wait_until(full, f"{host} cannot take the App")
    time.sleep(3)  # several times the limit of a watchdog
    with app.counts_from():
        hosts.cluster.make_room()
    for host, cursor in before.items():
        beats = probes[host].stop()
        lines = hosts[host].journal("UNIT=sender@full.service", f"--after-cursor={cursor}")
        kills = [it for it in lines if "Watchdog timeout" in str(it["MESSAGE"])]
        assert [it for it in kills if not beats.excuse(it, WATCHDOG)] == [], host
    app.assert_sound()
    hosts.cluster.wait_healthy()


def test_from_one_host_to_three_and_back(hosts: Hosts, app_on: MakeApp) -> None:
    app = app_on("grown", start=False)
    file = "/etc/sendrecv/grown.env"
    hosts["a"].run(f"sed -i /SENDRECV_STORE/d {file}")
    with app.counts_from("main"):
        app.systemctl("a", "start", "sender@grown")
    app.systemctl("a", "stop", "sendrecv@grown.target")
    reached = app.count()
    hosts["a"].write(file, hosts["b"].run(f"cat {file}").stdout)
    with app.counts_from("a"):
        app.systemctl("a", "start", "sender@grown")
    app.systemctl("b", "start", "sender@grown")
    app.said("b", "standing by, a (a) counts")
    assert hosts.key("grown")["record"]["count"] > reached
    for host in "ba":
        app.systemctl(host, "stop", "sendrecv@grown.target")
    hosts["a"].run(f"sed -i /SENDRECV_STORE/d {file}")
    with app.counts_from("main"):
        app.systemctl("a", "start", "sender@grown")
    app.assert_sound()
    assert app.nodes() == ["main", "a", "main"]


def test_a_host_without_the_drop_in_says_what_is_missing(hosts: Hosts, app_on: MakeApp) -> None:
    machine: Machine = hosts["c"]
    app_on("shut", start=False)
    directory = "/run/systemd/system/sender@shut.service.d"
    machine.write(
        f"{directory}/shut.conf",
        "[Service]\nRestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX\n",
    )
    machine.run("systemctl daemon-reload; systemctl start sender@shut")
    machine.wait_until(lambda: "network.conf" in hosts.status("shut", "c"), "it says so")
    machine.run(f"systemctl stop sendrecv@shut.target; rm -r {directory}; systemctl daemon-reload")
