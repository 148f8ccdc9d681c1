"""A receiver that other hosts can reach: by TLS only, with certificates that are renewed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import TOP, Machine
from tests.system.app import App
from tests.system.trouble import Said, app_on, assert_sound

HERE = "192.0.2.1"
CERTIFICATES = "/opt/tests/lab/certificates"
SOCKET = f"""
[Unit]
Wants=sendrecv-tls.service sendrecv-tls.timer
After=sendrecv-tls.service
[Socket]
ListenStream={HERE}:3443
IPAddressAllow={HERE}
"""
SETTINGS = f"SENDRECV_INTERVAL=0.1\nSENDRECV_URL=https://{HERE}:3443\nSENDRECV_CA="
UNSERVED = "an address that other hosts can reach is not served without TLS: set SENDRECV_TLS_CERT"


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """A machine with an address that is not on loopback, on which the receiver listens too."""
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        machine.run(f"ip addr add {HERE}/32 dev lo")
        machine.write("/etc/systemd/system/receiver.socket.d/others.conf", SOCKET)
        machine.write(
            "/etc/systemd/system/sendrecv.slice.d/others.conf", f"[Slice]\nIPAddressAllow={HERE}\n"
        )
        files = "SENDRECV_TLS_CERTIFICATE=/etc/tls/live/c.pem\nSENDRECV_TLS_KEY=/etc/tls/live/k.pem"
        machine.write("/etc/sendrecv/receiver.env", f"{files}\n")
        said = Said(machine)
        machine.run("systemctl daemon-reload; systemctl restart receiver.socket receiver")
        said.wait(UNSERVED)
        said.wait("/etc/sendrecv/receiver.env: /etc/tls/live/k.pem: No such file or directory")
        install(machine, "good")
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
    with app_on(host, f"{SETTINGS}{CERTIFICATES}/ca.pem") as one:
        yield one


def test_a_takeover_by_tls(host: Machine, app: App) -> None:
    with app.counts_from("failover"):
        host.kill(app.main, "KILL")
    with app.counts_from("failover"):
        host.kill("receiver", "KILL")
    assert_sound(app)


def test_another_certificate_without_a_restart(host: Machine, app: App) -> None:
    """The timer finds it. Who trusts it goes on; what is wrong is not taken over."""
    said = Said(host)
    pids = host.pid("receiver"), host.pid(app.main)
    install(host, "other")
    said.wait("TLS: new certificate taken over")
    assert_sound(app)
    assert (host.pid("receiver"), host.pid(app.main)) == pids
    with app_on(host, f"{SETTINGS}{CERTIFICATES}/ca.pem", start=False) as one:
        one.systemctl("start", one.main)
        said.wait("its certificate is not trusted: unable to get local issuer certificate; does")
    with app_on(host, f"{SETTINGS}{CERTIFICATES}/other-ca.pem") as one:
        assert_sound(one)
    host.run("ln -sfn /nonexistent /etc/tls/live; ! systemctl start sendrecv-tls")
    assert_sound(app)
    install(host, "good")
    host.run("systemctl start sendrecv-tls")
    assert_sound(app)


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
