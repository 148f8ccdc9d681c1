"""The receiver serves each socket that it is given. The socket decides what its peers may."""

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from sendrecv.descriptors import Listener
from tests.lab.reception import TOKEN, Reception
from tests.peers.peer import Address, Peer, auth, payload

ACCEPTED = {"status": "accepted", "last": 0}
APPS = "GET /apps HTTP/1.1\r\nHost: a"
POLL = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a"


class Served(NamedTuple):
    """A receiver, and the addresses of its sockets by their names here."""

    reception: Reception
    at: Mapping[str, Address]


def unix(name: str, path: Path) -> Listener:
    """A Unix socket with that FileDescriptorName=. Another process has called listen()."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    child = os.fork()
    if not child:
        listener.listen()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return Listener(name, listener.detach())


@pytest.fixture(scope="module", name="served")
def fixture_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("reception")
    six = socket.create_server(("::1", 0), family=socket.AF_INET6)
    misnamed = {name: socket.create_server(("127.0.0.1", 0)) for name in ("own", "status")}
    addresses: dict[str, Address] = {
        "own": str(directory / "own"),
        "status": str(directory / "status"),
        "unknown": str(directory / "unknown"),
        "six": six.getsockname()[:2],
        **{f"{name} on TCP": one.getsockname() for name, one in misnamed.items()},
    }
    more = [
        unix("receiver", directory / "own"),
        unix("receiver-status", directory / "status"),
        unix("unknown", directory / "unknown"),
        Listener("receiver-tcp", six.detach()),
        Listener("receiver", misnamed["own"].detach()),
        Listener("receiver-status", misnamed["status"].detach()),
    ]
    with Reception(directory, more=more) as reception:
        yield Served(reception, {**addresses, "tcp": reception.address})


def counted(address: Address, app_id: str, token: object) -> object:
    """What the receiver says there to the first count of that App."""
    with Peer(address) as peer:
        assert peer.open() == 101
        reply = peer.connect({**auth(app_id, ""), "token": token}) or {}
        return peer.call("count", payload(0, app_id)) if "sid" in reply else reply["data"]


@pytest.mark.parametrize("where", ["tcp", "six", "own on TCP", "status on TCP"])
def test_tcp_needs_the_token_whatever_the_socket_is_called(served: Served, where: str) -> None:
    name = where.replace(" ", "-")
    for wrong in ("", "another", None):
        refused = served.reception.do(counted, served.at[where], name, wrong)
        assert refused == {"reason": "token"}
    assert served.reception.do(counted, served.at[where], name, TOKEN) == ACCEPTED


@pytest.mark.parametrize("where", ["own", "unknown"])
def test_the_unix_socket_needs_no_token(served: Served, where: str) -> None:
    for number, given in enumerate(("", "another", None, 7)):
        name = f"{where}-{number}"
        assert served.reception.do(counted, served.at[where], name, given) == ACCEPTED
        assert f'{{"count": 0, "appID": "{name}", "nodeID": "main"}}' in served.reception.printed()


@pytest.mark.parametrize("where", ["own", "tcp"])
def test_a_wrong_claim_is_refused_everywhere(served: Served, where: str) -> None:
    refused = served.reception.do(counted, served.at[where], "no name", TOKEN)
    assert refused == {"reason": "invalid"}


def asked(address: Address, head: str) -> int:
    """The status of the answer to a request."""
    with Peer(address) as peer:
        return peer.request(head)[0]


@pytest.mark.parametrize(
    ("where", "statuses"),
    [
        ("own", [200, 200, 200]),
        ("status", [200, 200, 403]),
        ("tcp", [200, 401, 200]),
        ("status on TCP", [200, 401, 200]),
    ],
)
def test_what_may_be_asked_by_http(served: Served, where: str, statuses: list[int]) -> None:
    heads = (APPS.replace("apps", "healthz"), APPS, POLL)
    assert [served.reception.do(asked, served.at[where], head) for head in heads] == statuses


def test_whoever_may_only_look_counts_nothing(served: Served) -> None:
    def work() -> list[int]:
        with Peer(served.at["own"]) as own, Peer(served.at["status"]) as status:
            # Even a session that was opened elsewhere is not for this socket.
            opened = own.request(POLL)[1].decode()
            sid = opened.partition('"sid":"')[2].partition('"')[0]
            assert sid
            with_sid = POLL.replace("polling", f"polling&sid={sid}")
            statuses = [status.request(with_sid)[0]]
        with Peer(served.at["status"]) as status:
            return [*statuses, status.open()]

    assert served.reception.do(work) == [403, 403]


def test_the_listener_stays_who_it_was(served: Served) -> None:
    """Senders believe in the receiver because of this."""

    def work() -> int:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(served.at["own"]))
            credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", credentials)[0])

    assert served.reception.do(work) != os.getpid()


# Runs. On the Unix socket, a run is the invocation of a unit of this machine.


def claimed(peer: Peer, app_id: str, run: str, epoch: int = 1) -> object:
    """Whether that claim is admitted, or why not. The connection stays."""
    assert peer.open() == 101
    reply = peer.connect(auth(app_id, TOKEN, run=run, epoch=epoch)) or {}
    return reply.get("data", "sid" in reply)


INVALID = {"reason": "invalid"}


def test_a_run_of_a_sender_here_is_nobody_elses_over_tcp(served: Served) -> None:
    own, tcp = served.at["own"], served.at["tcp"]

    def work() -> None:
        with Peer(own) as sender, Peer(tcp) as evil, Peer(tcp) as other, Peer(tcp) as same:
            assert claimed(sender, "here", "1" * 32) is True
            assert claimed(evil, "evil", "1" * 32) == INVALID
            assert claimed(other, "evil", "2" * 32) is True
            assert claimed(same, "here", "1" * 32) is True  # the token says that it may
        with Peer(own) as sender, Peer(own) as again, Peer(tcp) as evil, Peer(own) as local:
            assert claimed(sender, "back", "3" * 32) is True
            assert claimed(again, "back", "3" * 32) is True
            assert sender.read() == "41"  # its older connection is closed
            assert claimed(evil, "evil", "3" * 32, 2) == INVALID
            assert claimed(local, "evil", "3" * 32, 2) is True

    served.reception.do(work)
    lines = [line for line in served.reception.said() if "the run that it claims" in line]
    assert (
        len(lines) == 2 and "<4>evil/main: the run that it claims is that of App here's" in lines[0]
    )


def test_a_run_that_was_claimed_over_tcp_keeps_no_sender_out(served: Served) -> None:
    """Neither the one whose run it is, nor a process that counts for several Apps."""

    def work() -> None:
        with Peer(served.at["tcp"]) as evil, Peer(served.at["own"]) as sender:
            assert claimed(evil, "early", "4" * 32) is True
            assert claimed(sender, "real", "4" * 32) is True
        with Peer(served.at["tcp"]) as one, Peer(served.at["tcp"]) as two:
            assert claimed(one, "one", "5" * 32) is True
            assert claimed(two, "two", "5" * 32) is True

    served.reception.do(work)
