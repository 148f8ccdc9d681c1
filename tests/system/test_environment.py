"""What the manager's environment or a person's says to libraries and programs is not obeyed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import TOP, Machine
from tests.system.app import App
from tests.system.trouble import FAST, Said, allow_tcp, app_on, assert_sound, assert_unbroken

RECEIVER = "http://127.0.0.1:3000"
CERTIFICATE = "/opt/tests/lab/certificates/good.pem"
PORT = 3128
PROXY = f"http://login:word@127.0.0.1:{PORT}"
OPENSSL = "/etc/openssl-of-nobody.cnf"
# A provider that is not there, and none that knows a cipher or a digest.
NO_CIPHERS = """
openssl_conf = start
[start]
providers = providers
[providers]
base = base
missing = missing
[base]
activate = 1
[missing]
activate = 1
module = /nonexistent.so
"""
# A library would spare this host if nobody said which hosts to spare.
VARIABLES = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), PROXY),
    **dict.fromkeys(("all_proxy", "ALL_PROXY"), PROXY),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "a.example"),
    **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), "/dev/null"),
    "WEBSOCKET_CLIENT_CA_BUNDLE": "/dev/null",
    "OPENSSL_CONF": OPENSSL,
    # systemctl and journalctl: colours where a program reads, other lines, and nothing done at all.
    **{"SYSTEMD_COLORS": "1", "SYSTEMD_LOG_LEVEL": "debug", "SYSTEMD_OFFLINE": "1"},
    **dict.fromkeys(("SYSTEMD_PAGER", "PAGER"), "/bin/false"),
    **dict.fromkeys(("DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS"), "unix:path=/dev/null"),
    "LC_ALL": "POSIX",
}
# Prints the first line of whatever it is told, and cuts; and says when OpenSSL's file is opened.
LISTENER = f"""
import ctypes, os, socket, threading
libc = ctypes.CDLL(None)
watch = libc.inotify_init()
assert libc.inotify_add_watch(watch, b"{OPENSSL}", 0x20) > 0
def look():
    while os.read(watch, 4096):
        print("{OPENSSL} is read", flush=True)
threading.Thread(target=look, daemon=True).start()
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
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        machine.write(OPENSSL, NO_CIPHERS)
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
    assert said(host) == ["listening"]
    assert_unbroken(host)


def test_senders_count_and_tell_a_proxy_nothing(host: Machine, app: App) -> None:
    with app.counts_from("failover"):
        host.kill(app.main, "KILL")
    host.kill("receiver", "KILL")
    assert_sound(app)


def test_a_new_ledger_knows_what_the_journal_tells(host: Machine, app: App) -> None:
    with app_on(host) as stopped:
        pass
    log = Said(host)
    host.run("systemctl stop receiver.socket receiver; rm -r /var/lib/sendrecv-receiver/*")
    with app.counts_from("main"):
        host.run("systemctl start receiver.socket receiver-tcp.socket")
    shown = json.loads(host.run("sendrecv status --json").stdout)
    counts = {one["appID"]: one["count"] for one in shown["apps"]}
    assert isinstance(counts[stopped.name], int) and not log.lines("the journal cannot be asked")
    assert_sound(app)


def test_an_orderly_end_and_a_half_that_is_masked_are_taken_over(host: Machine, app: App) -> None:
    with app.counts_from("failover"):
        app.systemctl("stop", app.main)
    log = Said(host)
    with app.counts_from("main"):
        app.systemctl("mask", "--runtime", "--now", app.failover)
    log.wait(f"{app.failover} is masked, starting the other half")
    app.systemctl("unmask", "--runtime", app.failover)
    assert_sound(app)


def test_the_guard_starts_what_is_meant_to_run(host: Machine, app: App) -> None:
    app.stop()
    log = Said(host)
    with app.counts_from("main"):
        app.systemctl("start", app.target)
    log.wait(f"App {app.name} has no sender, starting main")
    assert_sound(app)


def test_a_new_token_reaches_receiver_and_senders(host: Machine, app: App) -> None:
    """Units of other Apps that have failed are still loaded, and may be named first."""
    log = Said(host)
    with app.counts_from("main"):
        host.run("umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \\n' > /etc/sendrecv/token")
        log.wait("tokens: changed the only one")
        assert app.main in log.wait("restarting what has an old token: ")
    assert_sound(app)


def test_a_certificate_is_handed_over_in_a_reload(host: Machine, app: App) -> None:
    settings = (f"SENDRECV_TLS_{name}={CERTIFICATE}\n" for name in ("KEY", "CERTIFICATE"))
    host.write("/etc/sendrecv/receiver.env", "".join(settings))
    host.run("systemctl reload receiver")
    assert "PRIVATE KEY" in host.run("cat /run/sendrecv-tls/identity.pem").stdout
    host.run("rm /etc/sendrecv/receiver.env; systemctl reload receiver")
    assert_sound(app)


def test_the_port_opens_beside_a_receiver_that_runs(host: Machine, app: App) -> None:
    with app.counts_from("main"):
        host.run("systemctl stop receiver-tcp.socket; systemctl start receiver.socket receiver")
        host.run("systemctl start receiver-tcp.socket")
    assert_sound(app)


def test_status_tells_a_proxy_nothing(host: Machine, app: App) -> None:
    home = "HOME=/root NETRC=/root/.netrc"
    for where in ("", f"--url {RECEIVER}"):
        done = host.run(f"env {home} {WORDS} sendrecv status {where} {app.name}")
        assert f"\n{app.name} " in done.stdout and not done.stderr


def test_whoever_obeys_them_is_heard(host: Machine) -> None:
    """Last: the listener would have said so."""
    ask = "import urllib.request as it; it.urlopen('http://127.0.0.1:3000/healthz')"
    host.run(f'env {WORDS} OPENSSL_CONF=/dev/null python3 -c "{ask}"', check=False)
    told = "told GET http://127.0.0.1:3000/healthz HTTP/1.1"
    host.wait_until(lambda: told in said(host), "the proxy is told")
    host.run(f'env {WORDS} python3 -c "import ssl; ssl.create_default_context()"', check=False)
    host.wait_until(lambda: f"{OPENSSL} is read" in said(host), "the file is read")
