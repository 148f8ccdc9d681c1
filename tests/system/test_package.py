"""The package on real Debian: install, upgrade, reinstall, remove, purge, with senders running."""

import re

import pytest

from tests.lab.machine import DEB, TOP, Machine
from tests.system.app import App

KINDS = "service|socket|target|timer|path|slice"
# What the package makes beside its files.
MADE = "/etc/sendrecv /var/lib/sendrecv /var/lib/sendrecv-audit /var/lib/sendrecv-receiver"


@pytest.fixture
def main_app(machine: Machine) -> App:
    """An App whose main sender runs."""
    app = App(machine, "one")
    app.start()
    return app


@pytest.fixture
def failover_app(machine: Machine) -> App:
    """An App whose failover runs, and whose main has failed."""
    app = App(machine, "two")
    app.start()
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    return app


def _make_newer(machine: Machine) -> str:
    """The package again, as a newer version."""
    machine.put(DEB, "/root/old.deb")
    machine.run(
        "cd /root && dpkg-deb -R old.deb tree"
        " && sed -i 's/^Version: .*/&+newer/' tree/DEBIAN/control"
        " && echo '# newer' >> tree/usr/lib/python3/dist-packages/sendrecv/cli.py"
        " && dpkg-deb -b tree newer.deb"
    )
    return "apt-get install -qq /root/newer.deb"


def test_install(bare_machine: Machine) -> None:
    bare_machine.install_deb()
    readme = bare_machine.run("cat /usr/share/doc/sendrecv/README.md").stdout
    pages = set(re.findall(r"\]\((docs/[^)]+|SECURITY.md)\)", readme))
    assert len(pages) >= 6, pages
    bare_machine.run(["ls", *(f"/usr/share/doc/sendrecv/{page}" for page in pages)])
    listening = bare_machine.run("systemctl is-enabled receiver.socket; ss -Hltn").stdout
    assert listening == "enabled\n", "a port is open"
    sockets = bare_machine.run(
        "stat -c '%n %U:%G %a' /run/sendrecv-socket /run/sendrecv-socket/*"
    ).stdout
    assert sockets == (
        "/run/sendrecv-socket root:root 755\n"
        "/run/sendrecv-socket/receiver.sock root:sendrecv 660\n"
        "/run/sendrecv-socket/status.sock root:adm 660\n"
    )
    units = bare_machine.run("systemctl list-units -aq --plain 'send*' receiver.service").stdout
    active = [line.split()[0] for line in units.splitlines() if " active " in line]
    assert active == ["sendrecv-audit.path", "sendrecv-audit.timer"]
    assert bare_machine.run("systemctl is-system-running").stdout == "running\n"
    assert bare_machine.run(f"stat -c '%n %U:%G %a' {MADE} /etc/sendrecv/token").stdout == (
        "/etc/sendrecv root:root 755\n"
        "/var/lib/sendrecv sendrecv:sendrecv 700\n"
        "/var/lib/sendrecv-audit sendrecv-audit:sendrecv-audit 755\n"
        "/var/lib/sendrecv-receiver sendrecv-receiver:sendrecv-receiver 700\n"
        "/etc/sendrecv/token root:root 600\n"
    )
    assert re.fullmatch(r"[0-9a-f]{64}\n", bare_machine.run("cat /etc/sendrecv/token").stdout)
    for user in ("sendrecv", "sendrecv-audit", "sendrecv-receiver", "sendrecv-metrics"):
        _, password, *_, home, shell = _account(bare_machine, user)
        assert password.startswith("!") and shell.endswith("nologin"), (home, shell)


def _account(machine: Machine, user: str) -> list[str]:
    shadow, passwd = machine.run(f"getent shadow {user}; getent passwd {user}").stdout.splitlines()
    return [user, shadow.split(":")[1], *passwd.split(":")[2:]]


def test_a_manual_page_for_each_command_and_unit(machine: Machine) -> None:
    files = machine.run("dpkg -L sendrecv").stdout.splitlines()
    names = [path.rpartition("/")[2] for path in files]
    pages = {re.sub(r"\.\d\.gz$", "", name) for name in names if name.endswith(".gz")}
    for path, name in zip(files, names, strict=True):
        if re.search(rf"/systemd/system/[^/]+\.({KINDS})$|^/usr/bin/[^/]+$", path):
            assert name in pages, path
    named = machine.run("cd /usr/lib/systemd/system; grep -orhE 'man:[^ ]+' send* receiver*").stdout
    for page, section in re.findall(r"man:(.+)\((\d)\)", named):
        assert f"/usr/share/man/man{section}/{page}.{section}.gz" in files


def test_what_lies_about_is_not_imported(machine: Machine) -> None:
    """Nor what pip put into /usr/local, nor what the working directory or the environment have."""
    version = "'%d.%d' % sys.version_info[:2]"
    local = machine.run(f'python3 -c "import sys; print({version})"').stdout.strip()
    for directory in (f"/usr/local/lib/python{local}/dist-packages", "/tmp/cwd"):
        for name in ("socketio", "systemd", "re"):
            machine.write(f"{directory}/{name}.py", "raise SystemExit('not the one')")
    App(machine, "one", "SENDRECV_INTERVAL=0.1\nPYTHONPATH=/tmp/cwd").start()
    for command in ("--version", "status", "proof one"):
        done = machine.run(f"cd /tmp/cwd && PYTHONPATH=/tmp/cwd sendrecv {command}")
        assert done.stdout and "not the one" not in done.stderr


def test_install_into_a_tree_that_is_not_running(bare_machine: Machine) -> None:
    """As an image is built: without systemd and so without a start, which is the next boot's."""
    bare_machine.put(DEB, "/root/sendrecv.deb")
    bare_machine.run("mount --bind / /mnt; chroot /mnt apt-get install -qq /root/sendrecv.deb")
    assert bare_machine.run("ls /run/sendrecv-socket", check=False).stdout == ""
    bare_machine.reboot()
    App(bare_machine, "image").start()


EDITED = """\
[Service]
Environment=SENDRECV_FAILOVER_NODE_ID=edited
Nice=7
MemoryMax=200M
"""
OF_ALL = """\
[Service]
Nice=9
"""


def _edit(machine: Machine, unit: str, text: str) -> None:
    """As a person does it, on a terminal."""
    machine.write("/root/drop-in", text)
    insert = 'sed -i "/^### Anything between here/r /root/drop-in" "$file"'
    machine.write("/root/editor", f"#!/bin/sh\nfor file; do :; done  # the last one\n{insert}\n")
    edit = f"SYSTEMD_EDITOR=/root/editor systemctl edit {unit}"
    machine.run(f"chmod +x /root/editor; script -qec '{edit}' /dev/null")


@pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "reinstall"])
def test_senders_run_on_through_an(
    machine: Machine, main_app: App, failover_app: App, upgrade: bool
) -> None:
    """So does what a person has changed with systemctl edit: the next half has it."""
    _edit(machine, main_app.failover, EDITED)
    _edit(machine, "sender@.service", OF_ALL)
    token = machine.run("cat /etc/sendrecv/token").stdout
    units = (main_app.main, failover_app.failover)
    pids, receiver = [machine.pid(unit) for unit in units], machine.pid("receiver")
    listening = machine.show("receiver.socket", "ActiveEnterTimestampMonotonic")
    if upgrade:
        machine.run(_make_newer(machine))
        assert "+newer" in machine.run("dpkg-query -W sendrecv").stdout
    else:
        machine.install_deb()
    with main_app.counts_from("main"), failover_app.counts_from("failover"):
        pass
    assert [machine.pid(unit) for unit in units] == pids
    assert machine.pid("receiver") not in (0, receiver)
    assert machine.show("receiver.socket", "ActiveEnterTimestampMonotonic") == listening
    assert machine.run("cat /etc/sendrecv/token").stdout == token
    assert main_app.nodes() == ["main"]
    with main_app.counts_from("edited"):
        machine.kill(main_app.main, "KILL")
    nice = machine.run(f"ps -o nice= -p {machine.pid(main_app.failover)}").stdout.strip()
    assert (nice, machine.show(main_app.failover, "MemoryMax")) == ("7", str(200 << 20))
    assert machine.show("sender@next.service", "Nice") == "9"
    for app in (main_app, failover_app):
        app.assert_sound()


def test_remove_stops_everything(machine: Machine, main_app: App, failover_app: App) -> None:
    main_app.systemctl("enable", main_app.main)
    machine.run("apt-get remove -qq sendrecv")
    _assert_nothing_runs(machine)
    for app in (main_app, failover_app):
        app.assert_sound()
    assert len(main_app.verdict().runs["one"]) == 1
    machine.install_deb()
    for app, node in ((main_app, "main"), (failover_app, "main")):
        with app.counts_from(node):
            app.systemctl("start", app.main)
        app.assert_sound()


def _assert_nothing_runs(machine: Machine) -> None:
    """Nor is anything left, such as the guard's timer, that would start something later."""
    processes = machine.run("ps -eo user:30,args").stdout
    assert "sendrecv" not in processes
    units = machine.run("systemctl list-units --all --plain -q 'send*' 'receiver*'").stdout
    # Until a purge, what is enabled is still wanted.
    assert all("not-found inactive" in unit for unit in units.splitlines())
    assert not machine.run("systemctl list-jobs --no-legend").stdout
    assert "3000" not in machine.run("ss -Hltn").stdout
    assert machine.run("ls /run/sendrecv-socket", check=False).stdout == ""


def test_purge_leaves_nothing(machine: Machine, main_app: App, failover_app: App) -> None:
    main_app.systemctl("enable", main_app.main)
    main_app.systemctl("enable", "--now", "receiver-tcp.socket")
    main_app.systemctl("enable", "sendrecv-metrics.socket", "sendrecv-metrics.timer")
    main_app.systemctl("enable", failover_app.target)
    with main_app.counts_from("main"):
        machine.kill("receiver", "KILL")  # so that there is a mark in /run
    machine.run("apt-get purge -qq sendrecv")
    _assert_nothing_runs(machine)
    assert machine.run(f"ls -d {MADE} /run/sendrecv*", check=False).stdout == ""
    units = "'send*' 'receiver*' 'run-sendrecv*'"
    assert machine.run(f"systemctl list-units --all --plain -q {units}").stdout == ""
    assert "sendrecv.root" not in machine.run("cat /proc/self/mountinfo").stdout
    left = machine.run(
        "find / -xdev '(' -name '*sendrecv*' -o -name 'sender*@*' -o -name 'receiver.s*'"
        " -o -user sendrecv -o -user sendrecv-audit -o -user sendrecv-receiver"
        " -o -user sendrecv-metrics ')'"
        " -not -path '/proc/*' -not -path '/sys/*' -not -path '/root/*' -not -path '/tmp/*'"
    ).stdout
    assert left == ""
    assert machine.run("systemctl is-system-running").stdout == "running\n"
    # They stay, see postrm.
    for user in ("sendrecv", "sendrecv-audit", "sendrecv-receiver", "sendrecv-metrics"):
        assert _account(machine, user)[1].startswith("!")
    machine.install_deb()
    with App(machine, "one").counts_from("main"):
        main_app.systemctl("start", main_app.main)
    assert not main_app.verdict().faults, "it goes on from what the journal knows"


def _take_port(machine: Machine) -> None:
    """Another program listens on the receiver's port."""
    listen = "import socket, time; s = socket.create_server(('127.0.0.1', 3000)); time.sleep(999)"
    machine.run(["systemd-run", "--unit=other", "--quiet", "python3", "-c", listen])
    machine.wait_until(lambda: "3000" in machine.run("ss -Hltn").stdout, "the port is taken")


def test_the_port_is_taken_by_somebody_else(bare_machine: Machine) -> None:
    """Nothing takes a port, so nothing is said of it."""
    _take_port(bare_machine)
    bare_machine.put(DEB, "/root/sendrecv.deb")
    said = bare_machine.run("apt-get install -qq /root/sendrecv.deb 2>&1").stdout
    assert "sendrecv: " not in said and "3000" not in said, said
    app = App(bare_machine, "main", settings="")
    app.start()
    app.assert_sound()


def test_autopkgtest(machine: Machine) -> None:
    """What debian/tests/control names, run as it says: by root on the installed package."""
    control = (TOP / "debian/tests/control").read_text(encoding="utf-8")
    tests = re.findall(r"^Tests: (.+)$", control, re.MULTILINE)
    assert tests
    machine.put(TOP / "debian", "/root/debian")
    for name in re.findall(r"[^ ,]+", " ".join(tests)):
        machine.run(f"cd /root && debian/tests/{name}", timeout=600)
