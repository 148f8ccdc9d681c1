"""Several tokens in one file: each client has its Apps, and one is shut out without the others.

systemd/token-changed, systemd/token-file and systemd/reload hand a changed file over.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.machine import TOP, Machine
from tests.peers.peer import RUN
from tests.system.app import App
from tests.system.trouble import FAST, Said, allow_tcp, app_on, assert_sound

TOKEN = "/etc/sendrecv/token"
BY_TCP = f"{FAST}\nSENDRECV_URL=http://127.0.0.1:3000"
HERE, BERLIN, PARIS = "1" * 64, "2" * 64, "3" * 64
PLACE = "systemd-run -q --unit=client -p StandardOutput=journal -E PYTHONPATH=/opt python3 -u -c"
# Connects, tells of it, and of the end of the connection.
STAYS = """
from tests.peers.peer import admitted
peer = admitted({app!r}, {token!r})
print("this client was", "admitted", flush=True)
while peer.read() is not None:
    pass
print("this client was", "cut off", flush=True)
"""

# What the holder of a token tries with another App, whose run it has found out, and what it sees.
HOLDER = """
import json, sys
from tests.peers.peer import Peer, admitted, auth, payload
app, token, run = sys.argv[1:]
def get(path):
    with Peer() as peer:
        head = f"GET {path} HTTP/1.1\\r\\nHost: a\\r\\nAuthorization: Bearer {token}"
        return json.loads(peer.request(head)[1])
def claim(**other):
    with Peer() as peer:
        peer.open()
        return peer.connect(auth(app, token, **other)).get("data", "admitted")
def count():
    with admitted("p", token) as peer:
        return [peer.call("count", payload(0, app)), peer.call("count", payload(0, "p"))]
claims = [{"epoch": 1, "run": run}, {"epoch": 2}, {"epoch": 2**44, "nodeID": "failover"}]
done = {"claims": [claim(**one) for one in claims], "counts": count()}
status = get("/status")
seen = {"apps": sorted(get("/apps")), "status": [status["receiver"], sorted(status["apps"])]}
print(json.dumps(done | seen))
"""


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests."""
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        allow_tcp(machine)
        yield machine


def write(host: Machine, *lines: str) -> None:
    """The token file, as an editor leaves it: another file under its name."""
    text = "".join(f"{line}\n" for line in lines)
    host.run(f"umask 077; cat > {TOKEN}.new && mv {TOKEN}.new {TOKEN}", input=text)


def play(host: Machine, app_id: str, token: str) -> Any:
    """What the receiver says to a client with that token."""
    auth = {"appID": app_id, "nodeID": "main", "epoch": 1, "run": RUN, "token": token}
    command = ["env", "PYTHONPATH=/opt", "python3", "-m", "tests.peers.peer"]
    return json.loads(host.run(command, input=json.dumps([{"auth": auth}])).stdout)[0]["connect"]


@pytest.fixture
def app(host: Machine) -> Iterator[App]:
    """An App that counts, since before there were several tokens."""
    with app_on(host, BY_TCP) as one:
        yield one


def reload(host: Machine) -> None:
    """By hand, besides the one that the path unit asks for."""
    host.run("systemctl reload receiver")


def test_several_tokens(host: Machine, app: App) -> None:
    lines = [f"here * {HERE}", f"berlin b {BERLIN}", f"paris p {PARIS}"]
    said = Said(host)
    receiver, pid = host.pid("receiver"), host.pid(app.main)
    with app.counts_from("main"):
        write(host, *lines)
        said.wait("tokens: added here, berlin, paris; changed the only one (the old one is valid ")
    assert_sound(app)
    assert play(host, "b", BERLIN) is True and play(host, "p", PARIS) is True
    assert play(host, "b", PARIS) == {"reason": "token"}
    said.wait("the token paris is not for App b, refused")
    said_by_all = json.loads(host.run("sendrecv status --json").stdout)
    assert {"b", "p", app.name} <= {one["appID"] for one in said_by_all["apps"]}
    # Berlin, which is connected, is shut out. Nobody else is.
    host.run([*PLACE.split(), STAYS.format(app="b", token=BERLIN)])
    said.wait("this client was admitted")
    write(host, lines[0], lines[2])
    said.wait("this client was cut off")
    said.wait("tokens: removed berlin (shut out); connections ended: 1")
    assert play(host, "b", BERLIN) == {"reason": "token"}
    assert play(host, "p", PARIS) is True
    assert_sound(app)
    assert (host.pid("receiver"), host.pid(app.main)) == (receiver, pid)
    assert not any(HERE[:16] in str(entry.get("MESSAGE")) for entry in said.entries())


def test_the_holder_of_a_token_neither_claims_nor_sees_another_app(host: Machine, app: App) -> None:
    said = Said(host)
    with app.counts_from():
        write(host, f"here * {HERE}", f"paris p {PARIS}")
        reload(host)
    run = host.show(app.main, "InvocationID")
    hold = ["env", "PYTHONPATH=/opt", "python3", "-c", HOLDER, app.name]
    assert json.loads(host.run([*hold, PARIS, run]).stdout) == {
        "claims": 3 * [{"reason": "token"}],
        "counts": [{"status": "invalid", "last": None}, {"status": "accepted", "last": 0}],
        "apps": ["p"],
        "status": [None, ["p"]],
    }
    said.wait(f"the token paris is not for App {app.name}, refused")
    assert_sound(app)
    assert app.nodes() == ["main"] and len(app.verdict().runs[app.name]) == 1
    # With a token for all Apps it does.
    done = json.loads(host.run([*hold, HERE, run]).stdout)
    assert done["claims"] == 3 * ["admitted"]
    assert app.name in done["apps"] and app.name in done["status"][1] and done["status"][0]


def test_old_and_new_are_valid_together(host: Machine, app: App) -> None:
    """Also once the receiver was killed."""
    with app.counts_from():
        write(host, f"here * {HERE}", f"berlin b {BERLIN}")
        reload(host)
    said = Said(host)
    receiver = host.pid("receiver")
    host.run([*PLACE.split(), STAYS.format(app="b", token=BERLIN)])
    said.wait("this client was admitted")
    with app.counts_from():
        write(host, f"here * {HERE}", f"berlin b {PARIS}")
        reload(host)
    assert "tokens: changed berlin (the old one is valid until " in said.wait("tokens: changed")
    assert host.run("systemctl is-active client").stdout == "active\n"
    assert host.pid("receiver") == receiver
    for _ in range(2):
        assert play(host, "b", BERLIN) is True and play(host, "b", PARIS) is True
        with app.counts_from():
            host.kill("receiver", "KILL")
    write(host, f"here * {HERE}")
    reload(host)
    said.wait("tokens: removed berlin (shut out)")
    assert play(host, "b", BERLIN) == play(host, "b", PARIS) == {"reason": "token"}
    assert_sound(app)
    assert_secret(host, said)


def test_a_change_while_the_one_before_is_handed_over(host: Machine, app: App) -> None:
    """A path unit sees nothing while its service runs; and whoever reloads then is answered by the
    reload that is under way.
    """
    slow, held = "/run/systemd/system/receiver.service.d/slow.conf", "/run/sendrecv-receiver/held"
    wait = f"while test -e {held}; do sleep 0.1; done"
    host.write(slow, f"[Service]\nExecReload=/bin/sh -c '{wait}'\n")
    write(host, f"here * {HERE}")
    reload(host)
    host.run(f"touch {held}; systemctl daemon-reload")
    said = Said(host)
    write(host, f"here * {HERE}", f"rome r {BERLIN}")
    said.wait("added rome")
    assert host.show("sendrecv-token.service", "ActiveState") == "activating"
    write(host, f"here * {HERE}")
    host.run(f"rm {held}")
    said.wait("tokens: removed rome (shut out)")
    host.run(f"rm {slow}; systemctl daemon-reload")
    assert_sound(app)


@pytest.mark.parametrize("seen", [True, False])
def test_a_change_while_the_receiver_starts(host: Machine, app: App, seen: bool) -> None:
    """systemd drops a reload then, on both releases. seen: by the path unit. A symbolic link that
    points elsewhere is not, and the reload by hand says nothing.
    """
    place = "/run/systemd/system/receiver.service.d/slow.conf"
    command = host.show("receiver", "ExecStart").partition("argv[]=")[2].partition(" ;")[0]
    slow = f"ExecStart=/bin/sh -c 'sleep 3; exec {command}'"  # it has its credentials before that
    write(host, f"here * {HERE}", f"rome r {BERLIN}")
    host.run(f"mv {TOKEN} {TOKEN}.first; ln -s {TOKEN}.first {TOKEN}; systemctl restart receiver")
    host.write(place, f"[Service]\nExecStart=\n{slow}\n")
    said = Said(host)
    host.run("systemctl daemon-reload")
    host.kill("receiver", "KILL")
    host.wait_until(lambda: host.show("receiver", "ActiveState") == "activating", "a start")
    host.wait_until(lambda: host.pid("receiver"), "its process")
    if seen:
        write(host, f"here * {HERE}")
    else:
        host.run(f"echo 'here * {HERE}' > {TOKEN}.second; ln -sf {TOKEN}.second {TOKEN}")
    reload(host)
    said.wait("tokens: removed rome (shut out)")
    host.run(f"rm -f {place} {TOKEN}.first {TOKEN}.second; systemctl daemon-reload")
    write(host, f"here * {HERE}")
    assert_sound(app)


def test_a_mistake_in_the_file_shuts_nobody_out(host: Machine, app: App) -> None:
    """Nor does a signal alone. Also if the receiver is killed then."""
    with app.counts_from():
        write(host, f"here * {HERE}", f"berlin b {BERLIN}")
        reload(host)
    said = Said(host)
    receiver = host.pid("receiver")
    write(host, f"here * {HERE}", "berlin b short")
    assert host.run("systemctl reload receiver", check=False).returncode == 1
    assert "line 2: the token has fewer than 20" in said.wait("; the tokens stay as they were")
    shown = host.run("journalctl -u receiver -p err -o cat").stdout
    assert "line 2: the token has fewer than 20" in shown and "not reloaded, and nothing" in shown
    host.run("systemctl kill --kill-who=main -s HUP receiver")
    said.wait("tokens: as before")
    assert host.pid("receiver") == receiver
    assert play(host, "b", BERLIN) is True
    with app.counts_from():
        host.kill("receiver", "KILL")
    assert play(host, "b", BERLIN) is True
    write(host, f"here * {HERE}", f"berlin b {BERLIN}")
    reload(host)
    assert play(host, "b", BERLIN) is True
    assert_sound(app)
    assert_secret(host, said)


def assert_secret(host: Machine, said: Said) -> None:
    """Nobody else can read a token, or find one in the journal."""
    everything = str([entry.get("MESSAGE") for entry in said.lines("")])  # not systemd-run's
    kept = host.run("cat /run/sendrecv-receiver/tokens").stdout
    assert hashlib.sha256(HERE.encode()).hexdigest() in kept
    assert not any(token[:16] in everything + kept for token in (HERE, BERLIN, PARIS))
    places = "/run/sendrecv-reload /run/sendrecv-receiver"
    assert not host.run(f"find {places} -type f -perm /o=rwx").stdout


def test_a_token_for_one_app_starts_no_other(host: Machine, app: App) -> None:
    """Of the senders here each has the token of its App. One without is told."""
    said = Said(host)
    with app.counts_from():
        write(host, f"one {app.name} {BERLIN}", f"client x {PARIS}")
        said.wait("tokens: ")
    with app_on(host, BY_TCP, start=False) as other:
        other.systemctl("start", other.main)
        said.wait(f"/etc/sendrecv/token: no line is for App {other.name}")
        said.wait("the receiver refuses this sender: token; the first count waits for it")
        assert_sound(app)
        with other.counts_from():
            write(host, f"one {app.name} {BERLIN}", f"other {other.name} {PARIS}")
        assert_sound(other)
    assert_sound(app)
