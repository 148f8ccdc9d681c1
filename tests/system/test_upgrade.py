"""An upgrade from the version that had a port, the real one, with all that may use the port."""

from collections.abc import Iterator

import pytest

from tests.judges.checker import check
from tests.lab import before, npm
from tests.lab.machine import DEB, TOP, Machine
from tests.system.app import FIELDS, App

# As the old package's message says.
PORT = """
mkdir -p /etc/systemd/system/receiver.socket.d
printf '[Socket]\\nListenStream=\\nListenStream=127.0.0.1:3001\\n' \
    > /etc/systemd/system/receiver.socket.d/port.conf
systemctl daemon-reload && systemctl restart receiver.socket
"""
HOME = "/srv/js"
JS = "js"


@pytest.fixture
def machine(release: str) -> Iterator[Machine]:
    """A machine that has the old package, the new one in /root, and npm's client."""
    binds = {npm.modules(TOP / "tests/peers/js"): f"{HOME}/node_modules"}
    with Machine(release, binds={**binds, TOP / "tests": "/opt/tests"}) as machine:
        machine.install_deb(before.deb())
        machine.put(DEB, "/root/sendrecv.deb")
        machine.put(TOP / "tests/peers/js/counting.js", f"{HOME}/counting.js")
        yield machine


def upgrade(machine: Machine, options: str = "") -> str:
    """What it says."""
    return machine.run(f"apt-get install -qq {options} /root/sendrecv.deb 2>&1").stdout


def start_client(machine: Machine, port: int) -> App:
    """npm's client, of which systemd knows only that it is a program."""
    client = App(machine, JS)
    url = f"http://127.0.0.1:{port}"
    machine.run(f"systemd-run -q --unit=client node {HOME}/counting.js {url} {JS}")
    client.count(3)
    return client


def stop_client(machine: Machine) -> int:
    """Its last count that was acknowledged. Each was printed once, in order."""
    after = machine.cursor()
    machine.run("systemctl kill client")
    entry = machine.wait_entry(
        lambda entry: str(entry.get("MESSAGE")).startswith("acknowledged "),
        after=after,
        what="the client has ended",
    )
    last = int(str(entry["MESSAGE"]).split()[1])
    lines = check(machine.journal(fields=FIELDS)).lines[JS]
    assert [line.count for line in lines] == list(range(last + 1))
    return last


@pytest.mark.parametrize("port", [3000, 3001], ids=["the port it had", "a port that was set"])
def test_an_upgrade_from_the_version_with_a_port(machine: Machine, port: int) -> None:
    """Apps go on, and so does whoever else uses the port; one message says what has changed."""
    if port != 3000:
        machine.run(PORT)
    url = f"SENDRECV_INTERVAL=0.1\nSENDRECV_URL=http://127.0.0.1:{port}"
    # Of an App without SENDRECV_URL= nothing reached another port.
    apps = [App(machine, "set", url), *([App(machine, "plain")] if port == 3000 else [])]
    for app in apps:
        app.start()
        assert str(port) in machine.run("ss -Htn state established").stdout
    pids = [machine.pid(app.main) for app in apps]
    client = start_client(machine, port)
    there = 'SENDRECV_URL="http://192.0.2.1:3000"'
    machine.write("/etc/sendrecv/other.env", f"# on another host\n{there}\n")
    said = upgrade(machine)
    assert said.count("systemctl disable --now receiver-tcp.socket") == 1
    _assert_told_to_use_tls(machine, said, there)
    assert said.count("App set may use the network") == 1 and "App plain" not in said
    for app in apps:
        with app.counts_from("main"):
            pass
    assert [machine.pid(app.main) for app in apps] == pids
    client.count(3)
    last = stop_client(machine)
    _assert_new_halves_count(machine, apps)
    machine.reboot()
    start_client(machine, port)
    assert stop_client(machine) > last
    again = upgrade(machine, "--reinstall")
    assert "receiver-tcp" not in again.replace("receiver-tcp.socket.d", ""), again
    machine.run("apt-get purge -qq sendrecv")
    assert machine.run("find /etc -name network.conf").stdout == ""
    assert str(port) not in machine.run("ss -Hltn").stdout


def test_nobody_else_gets_the_port_meanwhile(machine: Machine) -> None:
    """An impostor waits for it. Those who use the port tell it nothing: the port is never free."""
    app = App(machine, "plain")
    app.start()
    client = start_client(machine, 3000)
    heard, python = "/tmp/heard", "env PYTHONPATH=/opt python3 -m"
    machine.run(f"install -o nobody /dev/null {heard}")
    machine.run(f"systemd-run -q --unit=it --uid=nobody {python} tests.peers.impostor 3000 {heard}")
    said = upgrade(machine)
    assert "could not be opened" not in said, said
    app.count(3)
    client.count(3)
    assert machine.run(f"cat {heard}").stdout == ""
    assert machine.show("receiver-tcp.socket", "ActiveState") == "active"
    assert "ReusePort=yes" not in machine.run("systemctl cat receiver-tcp.socket").stdout
    stop_client(machine)
    app.assert_sound()
    # It was there all the time: now a sender of the old version tells it what it knows.
    machine.run("systemctl stop receiver-tcp.socket")
    told = f'grep -q \'"appID":"plain".*"token":"\' {heard}'
    machine.wait_until(lambda: not machine.run(told, check=False).returncode, "it is told")


def _assert_told_to_use_tls(machine: Machine, said: str, line: str) -> None:
    """Of one App, with file, line and what to write; by the sender too."""
    assert said.count("needs TLS to reach its receiver") == 1
    assert "sendrecv: App other needs TLS" in said
    assert f"line 2 of /etc/sendrecv/other.env\n    from {line}\n" in said
    assert f"    to   {line.replace('http:', 'https:')}\n" in said
    after = machine.cursor()
    machine.run("systemctl start sender@other", check=False)
    machine.run("systemctl stop sendrecv@other.target")
    entries = [str(entry["MESSAGE"]) for entry in machine.journal(f"--after-cursor={after}")]
    hint = "write SENDRECV_URL=https://192.0.2.1:3000, and SENDRECV_CA=FILE if its CA is not one of"
    ours = [entry for entry in entries if hint in entry]
    where = "/etc/sendrecv/other.env, line 2: SENDRECV_URL='http://192"
    assert ours and all(where in it for it in ours)


def _assert_new_halves_count(machine: Machine, apps: list[App]) -> None:
    """A failover is of the new version, and so is an App that has not run before."""
    for app in apps:
        with app.counts_from("failover"):
            machine.kill(app.main, "KILL")
        app.assert_sound()
    with App(machine, "new").counts_from("main"):
        machine.run("systemctl start sender@new")
