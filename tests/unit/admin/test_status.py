"""`sendrecv status`: its exit status, and what it makes of what answers at the URL."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sendrecv.admin import ask, facts, status, takeovers
from sendrecv.admin.facts import STOPPED, App
from sendrecv.admin.screen import Screen
from sendrecv.admin.takeovers import Takeover
from sendrecv.admin.units import half_of
from sendrecv.core.errors import quoted
from sendrecv.descriptors import Listener
from sendrecv.errors import CredentialError, UsageError
from tests.lab.paths import TOP
from tests.lab.reception import TOKEN, Reception
from tests.peers.peer import Peer, auth, payload
from tests.unit.admin.journals import EVENT

NONE = "no-such-instance"
UNKNOWN = f"sendrecv: no App is called {NONE}, as far as this user may see"


# The receiver


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that status reads the token from, in place of the one in /etc."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n", encoding="ascii")
    monkeypatch.setattr(ask, "TOKEN", path)
    return path


def listening(path: Path) -> socket.socket:
    """A Unix socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


@pytest.fixture
def reception(tmp_path: Path) -> Iterator[Reception]:
    """A receiver that has an App called shown, of which nobody is connected, and an epoch of 5."""
    directory = tmp_path / "reception"
    directory.mkdir()
    readers = Listener("receiver-status", listening(directory / "status.sock").detach())
    with Reception(directory, more=[readers]) as one:
        one.do(_count_to_2, one)
        yield one


def _count_to_2(reception: Reception) -> None:
    with reception.peer() as peer:
        _admit(peer, "shown")
        batch = [payload(count, "shown") for count in range(3)]
        assert peer.call("count", *batch) == {"status": "accepted", "last": 2}


def _admit(peer: Peer, app_id: str) -> None:
    assert peer.open() == 101 and "sid" in (peer.connect(auth(app_id, TOKEN, epoch=5)) or {})


def url(reception: Reception) -> str:
    return f"http://127.0.0.1:{reception.address[1]}"


def socket_url(reception: Reception, tmp_path: Path) -> str:
    assert reception.address
    return f"unix://{tmp_path}/reception/status.sock"


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("by", ["port", "socket"])
def test_a_real_receiver(
    reception: Reception, capsys: pytest.CaptureFixture[str], tmp_path: Path, by: str
) -> None:
    """Beside it there are no units here: neither App runs, and one name is nobody's."""
    address = url(reception) if by == "port" else socket_url(reception, tmp_path)

    def ask_while_connected() -> int:
        with reception.peer() as peer:
            _admit(peer, "there")
            return status.main(["--url", address, NONE, "there", "shown"])

    assert reception.do(ask_while_connected) == 4
    said = capsys.readouterr()
    assert "Receiver: up since " in said.out and ", 1 connected, " in said.out
    header, shown, there = said.out.split("\n\n")[1].splitlines()[:3]
    assert header.split() == ["APP", "STATE", "BY", "SINCE", "COUNT", "BEAT", "EPOCH", "BOOT"]
    assert shown.split() == ["shown", "stopped", "2", "5", "no"]
    assert there.split()[:3] == ["there", "elsewhere", "main"] and there.split()[3].count(":") == 2
    assert f"sendrecv: no App is called {NONE}" in reception.said()


@pytest.mark.parametrize(("names", "code"), [(["shown"], 3), (["SHOWN"], 4)])
def test_the_exit_status(
    reception: Reception,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    code: int,
) -> None:
    """An App that is stopped is wrong if it is asked for."""
    assert reception.do(status.main, ["--url", socket_url(reception, tmp_path), *names]) == code
    assert ("shown" in capsys.readouterr().out) == (code != 4)
    said = [line for line in reception.said() if line.startswith("sendrecv: ")]
    assert said == ["sendrecv: no App is called SHOWN; there is shown"] * (code == 4)


def test_as_json(reception: Reception, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--json", "--url", socket_url(reception, tmp_path), "sender@shown.service"]
    assert reception.do(status.main, arguments) == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["exitStatus"], said["unknown"]) == (1, 3, [])
    assert said["receiver"]["counts"] == 3 and said["receiver"]["lastRefusal"] is None
    (app,) = said["apps"]
    expected = {"instance": "shown", "state": "stopped", "count": 2, "epoch": 5, "takeover": None}
    assert expected.items() <= app.items()


def complaint(reception: Reception) -> str:
    """What status says; the receiver says things too."""
    assert reception.do(status.main, ["--url", url(reception), NONE]) == 69
    said = [line for line in reception.said() if line.startswith("sendrecv: ")]
    assert said[0] == UNKNOWN
    return said[1]


def test_another_token(
    reception: Reception, token: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token.write_text("another", encoding="ascii")
    assert complaint(reception) == (
        f"sendrecv: receiver at '{url(reception)}': its token is not that of {token}:"
        " see journalctl -u receiver"
    )
    assert "APP" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), (b"\xff\n", "not text")]
)
def test_no_token(
    token: Path, content: bytes | None, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    token.unlink()
    if content:
        token.write_bytes(content)
    assert status.main(["--url", "http://127.0.0.1:1", NONE]) == 77
    lines = capsys.readouterr().err.splitlines()
    assert lines == [UNKNOWN, f"sendrecv: {token}: {reason}: the receiver tells only root"]


def test_the_socket_needs_no_token_and_asks_no_proxy(
    reception: Reception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "TOKEN", tmp_path / "none")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    arguments = ["--url", socket_url(reception, tmp_path), NONE]
    assert reception.do(status.main, arguments) == 4


# Whoever else may listen there


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("by", ["port", "socket"])
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'[{"nodeID": "main"}]', "not a receiver's answer"),
        (b'{"app": 7}', "not a receiver's answer"),
        (b"<html>", "not a receiver's answer"),
        (b"", "not a receiver's answer"),
        (None, "no answer: see journalctl -u receiver"),
    ],
)
def test_what_is_no_receiver(
    body: bytes | None, problem: str, by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """body: of its answer; None: it hangs up without one."""
    is_port, path = by == "port", tmp_path / "socket"
    with socket.create_server(("127.0.0.1", 0)) if is_port else listening(path) as listener:
        port = f"http://127.0.0.1:{listener.getsockname()[1]}"
        address = port if is_port else f"unix://{path}"
        thread = threading.Thread(target=_answer_one, args=(listener, body))
        thread.start()
        assert status.main(["--url", address, NONE]) == 69
        thread.join()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [UNKNOWN, f"sendrecv: receiver at {quoted(address)}: {problem}"]


def _answer_one(listener: socket.socket, body: bytes | None) -> None:
    peer, _ = listener.accept()
    with closing(peer):
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += peer.recv(4096)
        if body is not None:
            peer.sendall(b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


CERTIFICATES = TOP / "tests/lab/certificates"
ADDRESSES = "an address like https://receiver.example:3443, http://127.0.0.1:3000 (this machine "


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--ca", str(CERTIFICATES / "ca.pem")], ""),
        ([], "its certificate is not trusted: unable to get local issuer certificate; does --ca "),
        (["--ca", str(CERTIFICATES / "other-ca.pem")], "its certificate is not trusted: "),
    ],
)
def test_by_tls(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    """The CA is the one that the command line names, and no other one."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(CERTIFICATES / "ca.pem"))
    tcp = Listener("receiver-tcp", socket.create_server(("0.0.0.0", 0)).detach())
    (tmp_path / "ledger").mkdir()
    identity = CERTIFICATES / "good.pem"
    with Reception(tmp_path / "ledger", more=[tcp], identity=identity) as reception:
        address = f"https://localhost:{tcp.getsockname()[1]}"
        done = reception.do(status.main, ["--url", address, *arguments, NONE])
        said = [line for line in reception.said() if line.startswith("sendrecv: ")]
    if problem:
        assert done == 69 and said[-1].startswith(f"sendrecv: receiver at '{address}': {problem}")
    else:
        assert done == 4 and said == [f"sendrecv: no App is called {NONE}"]
        assert "Receiver: up since" in capsys.readouterr().out


def test_a_receiver_that_does_not_speak_tls(reception: Reception, token: Path) -> None:
    assert token.exists()
    address = url(reception).replace("http:", "https:")
    assert reception.do(status.main, ["--url", address, NONE]) == 69
    assert any(f"'{address}': no TLS: " in line for line in reception.said())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--url", "ftp://x"], f"--url='ftp://x': must be {ADDRESSES}"),
        (["--url", "receiver:3000"], f"--url='receiver:3000': must be {ADDRESSES}"),
        (
            ["--url", "http://a:3000"],
            "must be https:// for another host: the token is not sent in ",
        ),
        (["--url", "http://a:3000"], " write --url=https://a:3000, and --ca=FILE if its CA is not"),
        (["--ca", "/nonexistent"], "--ca='/nonexistent': No such file or directory"),
        (["--ca", "/dev/null"], "--ca='/dev/null': "),
    ],
)
def test_a_command_line_that_is_wrong(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        status.main([*arguments, NONE])
    assert problem in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nobody_listens(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["--url", f"http://{host}:1", NONE]) == 69
    said = "'http://127.0.0.1:1': no answer: see journalctl -u receiver\n"
    assert capsys.readouterr().err.endswith(said)


@pytest.mark.parametrize("there", ["nothing", "nobody"])
def test_nobody_listens_on_the_socket(
    tmp_path: Path, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as unheard:
        if there == "nobody":
            unheard.bind(str(path))
        assert status.main(["--url", f"unix://{path}", NONE]) == 69
    problem = f"nothing listens on {path}: see systemctl status receiver.socket"
    assert capsys.readouterr().err.splitlines() == [UNKNOWN, f"sendrecv: {problem}"]


def test_the_newest_takeovers_are_below_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    events = [replace(EVENT, instance=f"app{n}", when=EVENT.when + 86400 * n) for n in range(6)]
    halves = (half_of("x", "main"), half_of("x", "failover"))
    apps = [
        App(event.instance, "x", STOPPED, False, False, halves, takeover=event) for event in events
    ]
    lines = list(status.last_takeovers(Screen(), [*apps, apps[0].replace(takeover=None)], 0.0))
    assert lines[:2] == ["", "Last takeovers:"] and max(map(len, lines)) <= 60
    text = " ".join(" ".join(lines).split())
    assert re.findall("app[0-9]", text) == ["app5", "app4", "app3", "app2"]
    assert text.count("by failover, 0.3 s without a count: main was killed by signal 9") == 4
    assert not list(status.last_takeovers(Screen(), [], 0.0))


def test_each_app_has_its_last_takeover(monkeypatch: pytest.MonkeyPatch) -> None:
    halves = (half_of("one", "main"), half_of("one", "failover"))
    one = App("one", "app", STOPPED, False, False, halves)
    later = replace(EVENT, when=EVENT.when + 1)
    monkeypatch.setattr(takeovers, "takeovers", lambda newest: [EVENT, later][:newest])
    (found, other), sees = facts._with_takeovers([one, one.replace(instance="other")])
    assert (found.takeover, other.takeover, sees) == (later, None, True)


def test_who_may_not_read_the_journal_sees_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(newest: int) -> list[Takeover]:
        raise CredentialError(f"the journal: {newest}")

    monkeypatch.setattr(takeovers, "takeovers", refuse)
    assert facts._with_takeovers([]) == ((), False)
