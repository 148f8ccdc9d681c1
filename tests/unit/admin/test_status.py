"""`sendrecv status`: what it makes of systemctl's output, and of what answers at the URL."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sendrecv.admin import status
from sendrecv.admin.status import (
    Half,
    app_rows,
    halves_of,
    meant_to_run,
    table,
    unit_rows,
)
from sendrecv.core.errors import quoted
from sendrecv.errors import UsageError
from sendrecv.systemd import Listener
from tests.lab.paths import TOP
from tests.lab.reception import TOKEN, Reception
from tests.peers.peer import Peer, auth, payload

# As `systemctl show` printed it on Debian 13 and on Debian 12, with two Apps, of one of which main
# had been killed. The units are in no certain order.
SHOWN = {
    "trixie": """\
StatusText=connected, epoch 1
Id=sender@main.service
ActiveState=active

StatusText=connecting, epoch 1, no count yet
Id=sender@billing.eu.service
ActiveState=failed

StatusText=connected, epoch 2
Id=sender-failover@billing.eu.service
ActiveState=active
""",
    "bookworm": """\
StatusText=connected, epoch 1
Id=sender@main.service
ActiveState=active

StatusText=connected, epoch 2
Id=sender-failover@billing.eu.service
ActiveState=active

StatusText=connecting, epoch 1, no count yet
Id=sender@billing.eu.service
ActiveState=failed
""",
}
HEADER = "INSTANCE  MAIN  FAILOVER  STATUS\n"
NONE = "no-such-instance"


# What systemctl prints


@pytest.mark.parametrize("release", SHOWN)
def test_the_table_of_units(release: str) -> None:
    halves = halves_of(SHOWN[release])
    assert halves[0] == Half("billing.eu", "failover", "active", "connected, epoch 2")
    assert unit_rows(halves) == [
        ("billing.eu", "failed", "active", "connected, epoch 2"),
        ("main", "active", "inactive", "connected, epoch 1"),
    ]


def test_no_units() -> None:
    assert halves_of("") == halves_of("\n") == []
    assert unit_rows([]) == []


def test_a_half_that_is_masked_says_so() -> None:
    shown = "Id=sender@x.service\nLoadState=masked\nActiveState={}\n"
    states = {state: halves_of(shown.format(state))[0].state for state in ("failed", "inactive")}
    assert set(states.values()) == {"masked"}
    assert halves_of(shown.format("active"))[0].state == "active"  # it still runs


def test_what_is_meant_to_run() -> None:
    shown = (
        "Id=sendrecv@a.b.target\nActiveState=active\n\n"
        "ActiveState=inactive\nId=sendrecv@c.target\n"
    )
    assert meant_to_run(shown) == {"a.b"} and meant_to_run("") == set()


def test_the_status_of_a_half_that_has_ended_is_not_shown() -> None:
    states = ("failed", "inactive", "deactivating", "active", "activating")
    rows = {state: unit_rows([Half("x", "main", state, "text")])[0] for state in states}
    assert [rows[state][-1] for state in states] == ["", "", "", "text", "text"]


def test_a_name_with_at_signs_and_a_status_with_an_equals_sign() -> None:
    shown = "StatusText=a=b\nId=sender@a@b.service.service\nActiveState=active\n"
    assert halves_of(shown) == [Half("a@b.service", "main", "active", "a=b")]


# The tables


def test_a_table_is_in_columns() -> None:
    shown = table(("A", "LONG HEADER", "C"), [("a long cell", "b", ""), ("x", "y", "z")])
    assert shown == "A            LONG HEADER  C\na long cell  b\nx            y            z"


def test_a_table_without_rows_is_its_header() -> None:
    assert table(("A", "B"), []) == "A  B"


def test_the_rows_of_the_apps_asked_for() -> None:
    app = {"nodeID": "main", "epoch": 7, "count": None, "connectedSince": None}
    rows = app_rows({"b": app, "a": {**app, "count": 3}}, [])
    assert rows == [
        ("a", "main", "7", "3", "not connected"),
        ("b", "main", "7", "None", "not connected"),
    ]
    assert app_rows({"b": app, "a": app}, ["b", "c"]) == rows[1:]


def test_since_when_is_local_time() -> None:
    (row,) = app_rows({"a": {"connectedSince": 0}}, [])
    assert re.fullmatch(r"19(69-12-31|70-01-01) \d\d:\d\d:\d\d", row[-1])


# The receiver


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that status reads the token from, in place of the one in /etc."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n", encoding="ascii")
    monkeypatch.setattr(status, "TOKEN", path)
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
    """Beside it there are no units here: the instance asked for does not run."""
    address = url(reception) if by == "port" else socket_url(reception, tmp_path)

    def ask_while_connected() -> int:
        with reception.peer() as peer:
            _admit(peer, "there")
            return status.main(["--url", address, NONE, "there", "shown"])

    assert reception.do(ask_while_connected) == 3
    units, apps = capsys.readouterr().out.split("\n\n")
    assert units + "\n" == HEADER
    header, shown, there = apps.splitlines()
    assert header.split() == ["APPID", "NODEID", "EPOCH", "COUNT", "CONNECTED", "SINCE"]
    assert shown.split() == ["shown", "main", "5", "2", "not", "connected"]
    assert there.split()[:4] == ["there", "main", "5", "None"]
    assert there.split()[4].count("-") == 2 and there.split()[5].count(":") == 2


def complaint(reception: Reception) -> str:
    """What status says, after its first table; the receiver says things too."""
    assert reception.do(status.main, ["--url", url(reception), NONE]) == 69
    return next(line for line in reception.said() if line.startswith("sendrecv: "))


def test_another_token(
    reception: Reception, token: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token.write_text("another", encoding="ascii")
    assert complaint(reception) == (
        f"sendrecv: receiver at '{url(reception)}': its token is not that of {token}:"
        " see journalctl -u receiver"
    )
    assert capsys.readouterr().out == HEADER  # what is known all the same


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
    said = capsys.readouterr()
    assert said.out == HEADER
    assert said.err == f"sendrecv: {token}: {reason}: the receiver tells only root\n"


def test_the_socket_needs_no_token_and_asks_no_proxy(
    reception: Reception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "TOKEN", tmp_path / "none")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    arguments = ["--url", socket_url(reception, tmp_path), NONE]
    assert reception.do(status.main, arguments) == 3


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
    assert capsys.readouterr().err == f"sendrecv: receiver at {quoted(address)}: {problem}\n"


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
        assert done == 69 and said[0].startswith(f"sendrecv: receiver at '{address}': {problem}")
    else:
        assert done == 3 and not said and "APPID" in capsys.readouterr().out


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
def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["--url", "http://127.0.0.1:1", NONE]) == 69
    assert capsys.readouterr().err.endswith(":1': no answer: see journalctl -u receiver\n")


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
    assert capsys.readouterr().err == f"sendrecv: {problem}\n"
