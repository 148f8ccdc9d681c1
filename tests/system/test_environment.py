"""What the manager's environment or a person's says of proxies and logins is not obeyed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import Machine
from tests.system.app import App
from tests.system.trouble import FAST, allow_tcp, app_on, assert_sound

RECEIVER = "http://127.0.0.1:3000"
PORT = 3128
PROXY = f"http://login:word@127.0.0.1:{PORT}"
# A library would spare this host if nobody said which hosts to spare.
VARIABLES = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), PROXY),
    **dict.fromkeys(("all_proxy", "ALL_PROXY"), PROXY),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "a.example"),
    **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), "/dev/null"),
    "WEBSOCKET_CLIENT_CA_BUNDLE": "/dev/null",
    "OPENSSL_CONF": "/nonexistent",
}
# Prints the first line of whatever it is told, and cuts.
LISTENER = f"""
import socket
with socket.create_server(("127.0.0.1", {PORT})) as listener:
    print("listening", flush=True)
    while True:
        peer, _ = listener.accept()
        with peer:
            print("told", peer.recv(4096).split(b"\\r\\n")[0].decode(), flush=True)
"""
WORDS = " ".join(f"{name}={value}" for name, value in VARIABLES.items())


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """A machine with a proxy, in which every unit is told to use it."""
    with Machine(release, layer=installed_disk) as machine:
        told = f"[Manager]\nDefaultEnvironment={WORDS}\n"
        machine.write("/etc/systemd/system.conf.d/proxy.conf", told)
        machine.write("/root/.netrc", "machine 127.0.0.1 login a password b\n")
        machine.run("chmod 600 /root/.netrc; systemctl daemon-reexec")
        allow_tcp(machine)
        place = "systemd-run -q --unit=proxy -p StandardOutput=journal"
        machine.run([*place.split(), "python3", "-u", "-c", LISTENER])
        machine.wait_until(lambda: said(machine) == ["listening"], "the proxy")
        yield machine


def said(machine: Machine) -> list[str]:
    """What the proxy has printed."""
    machine.run("journalctl --sync")
    entries = machine.journal("_SYSTEMD_UNIT=proxy.service", "_TRANSPORT=stdout")
    return [str(entry["MESSAGE"]) for entry in entries]


@pytest.fixture
def app(host: Machine) -> Iterator[App]:
    """An App that counts, by TCP, whose units have the variables."""
    with app_on(host, f"{FAST}\nSENDRECV_URL={RECEIVER}") as one:
        pid = host.pid(one.main)
        assert f"http_proxy={PROXY}" in host.run(f"tr '\\0' '\\n' < /proc/{pid}/environ").stdout
        yield one


def test_senders_count_and_tell_a_proxy_nothing(host: Machine, app: App) -> None:
    with app.counts_from("failover"):
        host.kill(app.main, "KILL")
    host.kill("receiver", "KILL")
    assert_sound(app)
    assert said(host) == ["listening"]


def test_status_tells_a_proxy_nothing(host: Machine, app: App) -> None:
    home = "HOME=/root NETRC=/root/.netrc"
    for where in ("", f"--url {RECEIVER}"):
        done = host.run(f"env {home} {WORDS} sendrecv status {where} {app.name}")
        assert f"\n{app.name} " in done.stdout and not done.stderr
    assert said(host) == ["listening"]


def test_whoever_obeys_them_is_heard(host: Machine) -> None:
    """Last: the proxy would have said so."""
    ask = "import urllib.request as it; it.urlopen('http://127.0.0.1:3000/healthz')"
    host.run(f'env {WORDS} OPENSSL_CONF=/dev/null python3 -c "{ask}"', check=False)
    told = "told GET http://127.0.0.1:3000/healthz HTTP/1.1"
    host.wait_until(lambda: said(host) == ["listening", told], "the proxy is told")
