"""A receiver that other hosts can reach: by TLS only, with certificates that are renewed.

systemd/tls-files hands them to it.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.judges.checker import Entry
from tests.lab.machine import TOP, Machine
from tests.peers.tls_impostor import KINDS
from tests.system.app import App
from tests.system.trouble import Said, allow_tcp, app_on, assert_sound

HERE = "192.0.2.1"
ADDRESS = f"ip addr add {HERE}/32 dev lo"
CERTIFICATES = "/opt/tests/lab/certificates"
SOCKET = f"""
[Socket]
ListenStream=0.0.0.0:3443
IPAddressAllow={HERE}
"""
RECEIVER = """
SENDRECV_TLS_CERTIFICATE=/etc/tls/live/c.pem
SENDRECV_TLS_KEY=/etc/tls/live/k.pem
"""
SETTINGS = f"SENDRECV_INTERVAL=0.1\nSENDRECV_URL=https://{HERE}:3443\nSENDRECV_CA="
UNSERVED = "an address that other hosts can reach is not served without TLS: set SENDRECV_TLS_CERT"
# As time services are: they set the clock, and wait for all sockets.
CLOCK = """
[Unit]
Wants=time-sync.target
Before=time-sync.target
[Service]
Type=oneshot
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """A machine with an address that is not on loopback, on which the receiver listens too."""
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        machine.run(ADDRESS)
        machine.write("/etc/systemd/system/receiver-tcp.socket.d/others.conf", SOCKET)
        machine.write(
            "/etc/systemd/system/sendrecv.slice.d/others.conf", f"[Slice]\nIPAddressAllow={HERE}\n"
        )
        machine.write("/etc/sendrecv/receiver.env", RECEIVER)
        said = Said(machine)
        allow_tcp(machine)
        machine.run("systemctl start receiver")
        said.wait(UNSERVED)
        said.wait("/etc/sendrecv/receiver.env: /etc/tls/live/k.pem: No such file or directory")
        install(machine, "good")
        machine.run(
            f"chmod 755 /etc/tls; cp {CERTIFICATES}/ca.pem {CERTIFICATES}/other-ca.pem /etc/tls"
        )
        machine.run("systemctl start sendrecv-tls")
        said.wait("TLS: certificate taken over")
        yield machine


def install(machine: Machine, name: str) -> None:
    """Another certificate and key, behind a link; the key is root's alone."""
    there = f"/etc/tls/{name}"
    machine.run(
        f"umask 077; mkdir -p {there}; from={CERTIFICATES}/{name}.pem;"
        f" sed '/BEGIN CERT/,$d' $from > {there}/k.pem;"
        f" sed -n '/BEGIN CERT/,$p' $from > {there}/c.pem;"
        f" ln -sfn {there} /etc/tls/live"
    )


@pytest.fixture
def app(host: Machine) -> Iterator[App]:
    """An App whose sender comes by TLS."""
    with app_on(host, f"{SETTINGS}/etc/tls/ca.pem") as one:
        yield one


def by_tls(machine: Machine) -> str:
    """The connections to the port that other hosts can reach."""
    return machine.run(f"ss -Htn state established dst {HERE}:3443").stdout


def test_a_takeover_by_tls(host: Machine, app: App) -> None:
    """While the senders of this machine are on the Unix socket, as ever."""
    with app_on(host) as own:
        assert len(by_tls(host).splitlines()) == 1
        for one in (app, own):
            with one.counts_from("failover"):
                host.kill(one.main, "KILL")
        with app.counts_from("failover"), own.counts_from("failover"):
            host.kill("receiver", "KILL")
        assert len(by_tls(host).splitlines()) == 1
        assert_sound(own)
    assert_sound(app)


def test_another_certificate_without_a_restart(host: Machine, app: App) -> None:
    """The timer finds it. Who trusts it goes on; what is wrong is not taken over."""
    said = Said(host)
    pids = host.pid("receiver"), host.pid(app.main)
    install(host, "other")
    said.wait("TLS: new certificate taken over")
    assert_sound(app)
    assert (host.pid("receiver"), host.pid(app.main)) == pids
    with app_on(host, f"{SETTINGS}/etc/tls/ca.pem", start=False) as one:
        one.systemctl("start", one.main)
        said.wait("its certificate is not trusted: unable to get local issuer certificate; does")
    with app_on(host, f"{SETTINGS}{CERTIFICATES}/other-ca.pem", start=False) as one:
        one.systemctl("start", one.main)
        said.wait("No such file or directory; a sender sees files in /etc, /usr and /run alone")
    with app_on(host, f"{SETTINGS}/etc/tls/other-ca.pem") as one:
        assert_sound(one)
    host.run("ln -sfn /nonexistent /etc/tls/live; ! systemctl start sendrecv-tls")
    assert_sound(app)
    # By hand, too, and then it is in use when the command returns.
    said = Said(host)
    install(host, "good")
    host.run("systemctl reload receiver; journalctl --sync")
    said.assert_one_line("TLS: new certificate taken over")
    assert_sound(app)
    assert (host.pid("receiver"), host.pid(app.main)) == pids


def test_nothing_is_said_without_tls(host: Machine) -> None:
    code = (
        "import socket; s = socket.create_connection(('192.0.2.1', 3443), 60);"
        " s.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n');"
        " print(b'HTTP' in s.recv(4096))"
    )
    assert host.run(["python3", "-c", code]).stdout == "False\n"
    assert (
        "ok"
        in host.run(
            'python3 -c "import urllib.request as it;'
            " print(it.urlopen('http://127.0.0.1:3000/healthz').read())\""
        ).stdout
    )


def test_a_sender_tells_no_other_host_its_token_in_the_clear(host: Machine) -> None:
    said = Said(host)
    with app_on(host, f"SENDRECV_URL=http://{HERE}:3443", start=False) as one:
        one.systemctl("start", one.main, check=False)
        said.wait("must be https:// for another host: the token is not sent in the clear")


# An impostor at the receiver's address


HEARD = "/tmp/heard"
IMPOSTOR = (
    f"install -o nobody /dev/null {HEARD};"
    " systemd-run -q --unit=impostor --uid=nobody -p WorkingDirectory=/opt"
    f" python3 -m tests.peers.tls_impostor {HERE} 3443"
)
NOT = f"no receiver at https://{HERE}:3443 (its certificate is not trusted: "
NO_TLS = f"no receiver at https://{HERE}:3443 (no TLS: "
CAUSES = {
    "wrong-name": f"{NOT}IP address mismatch, certificate is not valid for '{HERE}'.); ",
    "expired": f"{NOT}certificate has expired); ",
    "self-signed": f"{NOT}self-signed certificate; does SENDRECV_CA= name",
    "other": f"{NOT}unable to get local issuer certificate; does SENDRECV_CA= name",
    "plain": f"{NO_TLS}'WRONG_VERSION_NUMBER'); ",
    "old TLS": f"{NO_TLS}'TLSV1_ALERT_PROTOCOL_VERSION'); ",
    "slow": f"no receiver at https://{HERE}:3443 (timed out); ",
    "huge": f"{NO_TLS}'EXCESSIVE_MESSAGE_SIZE'); ",
    "endless": "the receiver does not answer; ",
}
AT_MOST = 64
"""Bytes that a sender says after its ClientHello: one alert, encrypted or not. A token has 64."""


@contextmanager
def impostor(machine: Machine, kind: str) -> Iterator[None]:
    """It listens there meanwhile, and the receiver does not."""
    machine.run(f"{IMPOSTOR} '{kind}' {HEARD}")
    machine.wait_until(lambda: f"{HERE}:3443 " in machine.run("ss -Hltn").stdout, "it listens")
    try:
        yield
    finally:
        machine.run("systemctl stop impostor")


def heard(machine: Machine, what: str) -> list[str]:
    """What it was told, of that sort."""
    lines = map(json.loads, machine.run(f"cat {HEARD}").stdout.splitlines())
    return [str(value) for line in lines for name, value in line.items() if name == what]


def taken(machine: Machine, app: App) -> int:
    """The last count in the App's record."""
    text = machine.run(["cat", f"/var/lib/sendrecv/{app.name}.record"]).stdout
    return max(map(int, re.findall(r'"count": ?(\d+)', text)))


def assert_few_lines(pid: int, entries: list[Entry]) -> None:
    """That process has said something, and fewer than ten lines in each minute."""
    ours = [entry for entry in entries if entry.get("_PID") == str(pid)]
    at = [int(entry["__MONOTONIC_TIMESTAMP"]) for entry in ours]
    assert at and all(
        later - first > 60_000_000 for first, later in zip(at, at[9:], strict=False)
    ), ours


def assert_told_nothing(machine: Machine, *apps: App) -> None:
    """Not even what could be decrypted later."""
    told, hellos = "".join(heard(machine, "told")), heard(machine, "hello")
    token = machine.run("cat /etc/sendrecv/token").stdout.strip()
    assert hellos and not heard(machine, "read")
    for secret in (token, "GET ", "HTTP", *(app.name for app in apps)):
        assert secret not in told
    assert len(told) <= AT_MOST * len(hellos)


def meet(machine: Machine, kind: str, counting: App, moved: App, new: App) -> None:
    """An impostor of that kind: as an App counts, at a takeover, and before an App starts."""
    said, before = Said(machine), taken(machine, counting)
    with impostor(machine, kind):
        (node,) = moved.active()
        new.systemctl("start", new.main)
        machine.kill(moved.unit(node), "KILL")
        line = said.wait(CAUSES[kind], new.main)
        assert line.endswith("; the first count waits for it"), line
        line = said.wait(CAUSES[kind], moved.main if node == "failover" else moved.failover)
        assert line.endswith(" kept to send later"), line
        # So long that the first one has tried too, which does so every two seconds.
        machine.wait_until(lambda: taken(machine, counting) > before + 40, "it counts")
        assert_told_nothing(machine, counting, moved, new)
        new.stop()


def test_impostors_at_the_receiver_s_address(host: Machine, app: App) -> None:
    """Each is told nothing, and all that was counted meanwhile is delivered once, in order, when
    the receiver is back.
    """
    assert set(CAUSES) == set(KINDS)
    settings, pid, said = f"{SETTINGS}/etc/tls/ca.pem", host.pid(app.main), Said(host)
    with app_on(host, settings) as moved, app_on(host, settings, start=False) as new:
        host.run("systemctl stop receiver-tcp.socket")
        for kind in KINDS:
            meet(host, kind, app, moved, new)
        assert_few_lines(pid, said.entries())
        last = taken(host, app)
        with app.counts_from("main"), moved.counts_from(), new.counts_from("main"):
            host.run("systemctl start receiver-tcp.socket")
            new.systemctl("start", new.main)
        for one in (app, moved, new):
            assert_sound(one)
        assert app.verdict().lines[app.name][-1].count > last
        assert host.pid(app.main) == pid and app.nodes() == ["main"]


def test_an_impostor_would_have_been_told(host: Machine) -> None:
    """By a sender that does not look at the name: the test above can fail."""
    file = "/usr/lib/python3/dist-packages/sendrecv/sender/patched_websocket.py"
    host.run(f"cp -p {file} /root/whole; systemctl stop receiver-tcp.socket")
    host.run(
        f"sed -i 's/^    context.minimum_version/    context.check_hostname = False\\n&/' {file}"
    )
    with app_on(host, f"{SETTINGS}/etc/tls/ca.pem", start=False) as one:
        with impostor(host, "wrong-name"):
            one.systemctl("start", one.main)
            host.wait_until(lambda: heard(host, "read"), "it is told")
            assert heard(host, "read")[0].startswith("GET /socket.io/")
            with pytest.raises(AssertionError):
                assert_told_nothing(host, one)
    host.run(f"mv /root/whole {file}; systemctl start receiver-tcp.socket")


# Last, because they end what runs in the machine


def test_a_boot_with_the_port(host: Machine) -> None:
    """The certificate is there in time, and no unit waits for one that waits for it."""
    host.write("/etc/systemd/system/clock.service", CLOCK)
    host.run("systemctl daemon-reload; systemctl enable clock receiver-tcp.socket")
    host.reboot()
    for unit in ("receiver-tcp.socket", "sendrecv-tls.timer"):
        assert host.show(unit, "ActiveState") == "active", unit
    assert host.show("clock.service", "ExecMainExitTimestampMonotonic") != "0"
    host.run(ADDRESS)
    with app_on(host, f"{SETTINGS}/etc/tls/ca.pem") as one:
        assert_sound(one)
    assert not [entry for entry in host.journal("--boot") if UNSERVED in str(entry["MESSAGE"])]


def test_without_the_port_nobody_looks_for_certificates(host: Machine) -> None:
    assert host.show("sendrecv-tls.timer", "ActiveState") == "active"
    host.run("systemctl disable --now receiver-tcp.socket")
    assert host.show("sendrecv-tls.timer", "ActiveState") == "inactive"
    with app_on(host) as one:
        assert_sound(one)
