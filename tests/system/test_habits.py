"""What other programs of Debian make of the package: shells, needrestart, polkit, piuparts,
autopkgtest.

`make habits` runs it: it needs programs that no other test does. One machine is for all of it.
"""

import re
from collections.abc import Iterator

import pytest

from tests.judges import commands
from tests.lab import roots
from tests.lab.machine import DEB, TOP, Machine
from tests.system.app import App

REPOSITORY = "deb [trusted=yes] file:///repository ./\n"
LIBRARY = "$(readlink -f /usr/lib/*/libz.so.1)"
NEEDRESTART = "needrestart -b -r l -l"
OURS = "/etc/needrestart/conf.d/sendrecv.conf"


@pytest.fixture(scope="module")
def machine(release: str) -> Iterator[Machine]:
    """With the package, and with another root of that release in /base."""
    with roots.use("machine", release) as base:
        with Machine(release, kind="habits", binds={base: "/base"}) as machine:
            machine.install_deb()
            yield machine


@pytest.fixture(scope="module")
def app(machine: Machine) -> App:
    """It runs, and a file of settings names another App and its hosts."""
    app = App(machine, "runs")
    app.start()
    machine.write("/etc/sendrecv/a:b.env", "SENDRECV_STORE=etcd://one:2379,two:2379\n")
    machine.write("/etc/sendrecv/$(reboot) x.env", "")
    return app


# Shells. Each is typed into, on a terminal of its own, as a person has it.

# A key that puts all that the word may become into its place. The line is then printed.
BASH = (
    "bash -i",
    r"""bind '"\C-xa": insert-completions'""",
)
ZSH = (
    "zsh -f -i",
    "autoload -Uz compinit; compinit -u -D; PS1=; zle -C all complete-word _generic;"
    " zstyle ':completion:all:*' completer _all_matches _complete;"
    " zstyle ':completion:all:*' insert true; bindkey '^Xa' all",
)
TYPE = r"""
import os, pty, re, select, sys
shell, begin, *lines = sys.argv[1:]
child, terminal = pty.fork()
if not child:
    os.environ.update(TERM="dumb", COLUMNS="5000")
    os.execvp(shell.split()[0], shell.split())
def until(end):
    said = ""
    while end not in said:
        if not select.select([terminal], [], [], 60)[0]:
            sys.exit(f"no {end!r} after: {said!r}")
        said += os.read(terminal, 65536).decode(errors="replace").replace("\r", "")
    return said
def type(text):
    os.write(terminal, text.encode())
type(f"stty -echo cols 5000; . /usr/share/bash-completion/bash_completion 2>/dev/null; {begin}\n")
type("echo beg''in\n")
until("begin")
for line in lines:
    type(f"{line}\x18a\x01printf '<<%s>>\\n' \n")
    type("echo the'' end\n")
    print(" ".join(re.findall("^.*?<<(.*)>>$", until("the end"), re.M)))
"""
LINES = {
    "sendrecv ": " ".join(sorted(commands.usage())),
    "sendrecv status ": "a:b runs",
    "sendrecv status a:": "a:b",
    "sendrecv move --reason 'a b' a:b o": "one",
    "sendrecv proof --verif": "--verify-key",
    "sendrecv proof --file /etc/hostna": "/etc/hostname",
    "sendrecv forget runs --y": "--yes",
}


@pytest.mark.parametrize("shell", [BASH, ZSH], ids=["bash", "zsh"])
@pytest.mark.usefixtures("app")
def test_completion(machine: Machine, shell: tuple[str, str]) -> None:
    """As the package has it, found by the shell itself."""
    said = machine.run(["python3", "-c", TYPE, *shell, *LINES]).stdout.splitlines()
    assert len(said) == len(LINES)
    for (line, expected), found in zip(LINES.items(), said, strict=True):
        before = line.rpartition(" ")[0].replace("'", "")
        assert found == f"{before} {expected}", line


# needrestart


def _to_restart(machine: Machine) -> set[str]:
    said = machine.run(NEEDRESTART).stdout
    return {*re.findall(r"^NEEDRESTART-SVC: (.+)$", said, re.M)}


def test_needrestart_leaves_senders_alone(machine: Machine, app: App) -> None:
    """And restarts the receiver. Without our file it would restart the sender."""
    pid, receiver = machine.pid(app.main), machine.pid("receiver")
    assert not {app.main, "receiver.service"} & _to_restart(machine)
    # As dpkg does it: another file in its place.
    machine.run(f"cp -p {LIBRARY} {LIBRARY}.new && mv {LIBRARY}.new {LIBRARY}")
    named = _to_restart(machine)
    assert "receiver.service" in named and app.main not in named
    machine.run(f"mv {OURS} /root/ours")
    assert app.main in _to_restart(machine)
    machine.run(f"mv /root/ours {OURS}")
    with app.counts_from("main"):
        machine.run("needrestart -q -r a -l")
    assert machine.pid(app.main) == pid and machine.pid("receiver") not in {0, receiver}
    app.assert_sound()
    _assert_a_restart_ends_the_old_libraries(machine, app)


def _assert_a_restart_ends_the_old_libraries(machine: Machine, app: App) -> None:
    """By the command of docs/operating.md."""
    page = (TOP / "docs/operating.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (grep -l .+)$", page, re.M)
    assert machine.run(command).stdout == f"/proc/{machine.pid(app.main)}/maps\n"
    with app.counts_from("main"):
        app.systemctl("restart", app.target)
    assert machine.run(command, check=False).stdout == ""
    app.assert_sound()


# polkit


def _rule() -> str:
    """As sendrecv-move(1) shows it."""
    page = (TOP / "debian/man/sendrecv-move.1").read_text(encoding="utf-8")
    (rule,) = re.findall(r"^polkit\.addRule.*?^\}\);$", page, re.M | re.S)
    return f"{rule}\n"


def test_polkit_lets_a_group_move_an_app_and_no_more(machine: Machine, app: App) -> None:
    """The user has no terminal, at which polkit could ask for a password: so only a rule helps."""
    machine.run("groupadd operators; useradd -G operators anna; useradd ben")
    move = f"pkexec sendrecv move {app.name} --reason 'her turn'"
    refused = {126, 127}

    def as_user(user: str, command: str) -> int:
        whole = ["runuser", "-u", user, "--", "sh", "-c", command]
        return machine.run(whole, check=False).returncode

    assert as_user("anna", move) in refused
    machine.write("/etc/polkit-1/rules.d/50-sendrecv.rules", _rule())
    machine.wait_until(lambda: as_user("anna", move) not in refused, "the rule holds")
    assert app.nodes()[-1] == "failover"
    assert as_user("ben", move) in refused
    for command in ("pause", "forget", "accept"):
        assert as_user("anna", f"pkexec sendrecv {command} {app.name}") in refused
    assert as_user("anna", "pkexec sh -c id") in refused
    # Without polkit's word nothing runs as root: the command says what to type.
    said = machine.run(f"runuser -u ben -- sendrecv move {app.name}", check=False)
    assert said.returncode == 64 and "pkexec sendrecv move" in said.stderr
    history = machine.run(f"sendrecv history {app.name}").stdout
    assert "by anna: her turn" in history
    with app.counts_from("main"):
        done = machine.run(f"sendrecv move {app.name} main", check=False)
        assert done.returncode in {0, 69}, done  # 69: a slow machine, which it does not wait for
    app.assert_sound()


# Debian's own tests of packages


def _make_repository(machine: Machine) -> None:
    """An archive with an older version, and a root that knows no other archive."""
    machine.put(DEB, f"/root/{DEB.name}")
    machine.run(
        f"""set -e
        cp -a /base /chroot
        rm -rf /chroot/etc/apt/sources.list.d/* /chroot/var/log/journal
        chroot /chroot find /etc -xtype l -delete  # systemd's own, which lead nowhere there
        cd /root
        dpkg-deb -R {DEB.name} older
        sed -i 's/^Version: .*/&~older/' older/DEBIAN/control
        mkdir -p /repository
        dpkg-deb -b older /repository/sendrecv_older_all.deb
        cd /repository
        apt-ftparchive packages . > Packages
        """
    )
    machine.write("/chroot/etc/apt/sources.list", REPOSITORY)


def test_piuparts(machine: Machine) -> None:
    """Install, remove, purge; install an older one, upgrade, purge: nothing is left or changed."""
    _make_repository(machine)
    done = machine.run(
        "piuparts --existing-chroot=/chroot --hard-link --keep-sources-list --bindmount=/repository"
        " --no-eatmydata --install-purge-install --install-remove-install --log-level=info"
        f" --warn-on-others --fail-on-broken-symlinks /root/{DEB.name}",
        check=False,
        timeout=900,
    )
    said = f"{done.stdout}{done.stderr}"
    assert done.returncode == 0, said
    for test in ("Installation and purging test", "Installation, upgrade and purging tests"):
        assert f"PASS: {test}" in said, said
    assert "PASS: All tests." in said and "WARN" not in said, said


def test_autopkgtest(machine: Machine, app: App) -> None:
    """The tests of debian/tests, run by Debian's own program on the package that is installed."""
    app.stop()
    machine.put(TOP / "debian", "/root/tree/debian")
    machine.write("/root/tree/debian/files", "")  # a tree that is built already
    machine.put(DEB, f"/root/{DEB.name}")
    tests = re.findall(r"^Tests: (.+)$", (TOP / "debian/tests/control").read_text("utf-8"), re.M)
    done = machine.run(
        "autopkgtest --no-built-binaries --ignore-restrictions=isolation-container"
        f" /root/{DEB.name} /root/tree -- null",
        check=False,
        timeout=900,
    )
    said = f"{done.stdout}{done.stderr}"
    assert done.returncode == 0, said
    for name in ", ".join(tests).split(", "):
        assert re.search(rf"^{name} +PASS$", said, re.M), said
