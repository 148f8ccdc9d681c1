"""What all connections on sockets of one kind may take together, on the real receiver."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sendrecv.descriptors import Listener
from sendrecv.receiver import complaints, crowds, gateway
from tests.lab.reception import Reception, assert_sound
from tests.peers.peer import PING, Address, Peer, auth, frame, payload

ONE, OTHER = "1" * 64, "2" * 64
TOKENS = f"one * {ONE}\nother * {OTHER}\n"
SLOTS, BYTES = 10, 1_000_000
POLLING = "/socket.io/?EIO=4&transport=polling"
HEALTHZ = "GET /healthz HTTP/1.1\r\nHost: a"


class Served:
    """The receiver, and its sockets. Each test has a new one: what others left would take slots."""

    def __init__(self, reception: Reception, local: Address) -> None:
        self.reception = reception
        self.local = local

    def sender(self, app_id: str, token: str = ONE, address: Address | None = None) -> Peer:
        """One that is admitted."""
        peer = Peer(address or self.reception.address)
        assert peer.open() == 101
        reply = peer.connect(auth(app_id, token, epoch=time.monotonic_ns() // 1000)) or {}
        assert "sid" in reply, reply
        return peer

    def refused(self, app_id: str, token: str = ONE, address: Address | None = None) -> Any:
        """Why a sender is refused; None if it is not."""
        with Peer(address or self.reception.address) as peer:
            assert peer.open() == 101
            reply = peer.connect(auth(app_id, token, epoch=time.monotonic_ns() // 1000)) or {}
            return reply.get("data", {}).get("reason")

    def polling(self, app_id: str, token: str = ONE) -> str:
        """The path of a session of long polling that is admitted."""
        with self.reception.peer() as peer:
            opened = peer.request(f"GET {POLLING} HTTP/1.1\r\nHost: a")[1]
        path = f"{POLLING}&sid={json.loads(opened[1:])['sid']}"
        epoch = time.monotonic_ns() // 1000
        body = f"40{json.dumps(auth(app_id, token, epoch=epoch))}".encode()
        with self.reception.peer() as peer:
            assert peer.request(posted(path, len(body)), body)[0] == 200
        with self.reception.peer() as peer:
            assert b'40{"sid"' in peer.request(f"GET {path} HTTP/1.1\r\nHost: a")[1]
        return path

    def connections(self) -> int:
        """How many senders the receiver has, as it says."""
        with self.reception.peer() as peer:
            head = f"GET /status HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ONE}"
            return int(json.loads(peer.request(head)[1])["receiver"]["connections"])

    def still_counts(self, app_id: str) -> None:
        """A sender on this machine is served as before."""
        with self.sender(app_id, address=self.local) as sender:
            assert count_one(sender, app_id) == "accepted"

    def complained(self, text: str) -> bool:
        """Whether the receiver said so."""
        return any(text in line for line in self.reception.said())


@pytest.fixture(name="served")
def fixture_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(complaints, "BURST", 10_000)
    monkeypatch.setattr(complaints, "REPEATS", 10_000)
    monkeypatch.setattr(crowds, "HELD", BYTES)
    monkeypatch.setattr(gateway, "SWEEP_INTERVAL", 0.05)
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "own"))
    unix.listen(100)
    more = [Listener("receiver", unix.detach())]
    with Reception(tmp_path, max_connections=SLOTS, more=more, tokens=TOKENS) as reception:
        served = Served(reception, str(tmp_path / "own"))
        yield served
        reception.do(lambda: served.still_counts("here"))
        assert_sound(reception.printed(), reception.said(), ONE)


def posted(path: str, length: int) -> str:
    """The head of a POST request."""
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}"


def count_one(peer: Peer, app_id: str) -> Any:
    """Has one more count accepted."""
    last = peer.call("resume")["last"]
    return peer.call("count", payload(0 if last is None else last + 1, app_id))["status"]


# Slots


def test_above_the_limit_the_oldest_without_the_token_goes(served: Served) -> None:
    def scenario() -> None:
        with served.sender("a") as sender, ExitStack() as stack:
            others = [stack.enter_context(served.reception.peer()) for _ in range(SLOTS)]
            with served.sender("b") as newcomer:
                assert others[0].response() == (0, b"")
                assert others[-1].request(HEALTHZ)[0] == 200
                assert count_one(sender, "a") == count_one(newcomer, "b") == "accepted"

    served.reception.do(scenario)
    assert served.complained("more than 10 connections, one closed")


def test_senders_above_the_limit_are_refused(served: Served) -> None:
    def scenario() -> None:
        with ExitStack() as stack:
            peers = [stack.enter_context(served.sender(f"s{n}")) for n in range(SLOTS)]
            assert served.refused("late") == "full"
            assert [count_one(peer, f"s{n}") for n, peer in enumerate(peers)] == [
                "accepted"
            ] * SLOTS
            with served.sender("s0") as again:  # it takes the place of its older connection
                assert count_one(again, "s0") == "accepted"

    served.reception.do(scenario)
    assert served.complained("late/main: no room for one more connection, refused")


def test_who_has_all_slots_of_tcp_takes_none_of_the_unix_socket(served: Served) -> None:
    def scenario() -> None:
        with ExitStack() as stack:
            for number in range(SLOTS):
                stack.enter_context(served.sender(f"evil{number}"))
            for _ in range(3 * SLOTS):  # and those without a token
                stack.enter_context(served.reception.peer())
            here = [served.sender(f"here{n}", address=served.local) for n in range(SLOTS)]
            for number, sender in enumerate(here):
                assert count_one(stack.enter_context(sender), f"here{number}") == "accepted"
            assert served.refused("one more", address=served.local) == "invalid"
            assert served.refused("onemore", address=served.local) == "full"

    served.reception.do(scenario)


def test_the_token_with_most_slots_gives_way_to_another(served: Served) -> None:
    def scenario() -> None:
        with ExitStack() as stack:
            for number in range(SLOTS):
                stack.enter_context(served.sender(f"evil{number}"))
            for number in range(SLOTS // 2):
                sender = stack.enter_context(served.sender(f"good{number}", OTHER))
                assert count_one(sender, f"good{number}") == "accepted"
            assert served.refused("evil99") == "full" and served.refused("good9", OTHER) == "full"

    served.reception.do(scenario)
    assert served.complained("evil9/main: no room for one more connection: its token has most")


def test_sessions_without_a_connection_have_slots_too(served: Served) -> None:
    def scenario() -> None:
        for number in range(SLOTS):
            served.polling(f"evil{number}")
        assert served.refused("evil99") == "full"
        with served.sender("good", OTHER) as sender:
            assert count_one(sender, "good") == "accepted"

    served.reception.do(scenario)


# Of one session


def test_a_session_has_few_connections(served: Served) -> None:
    def scenario() -> None:
        path = served.polling("evil")
        with ExitStack() as stack:
            peers = [stack.enter_context(served.reception.peer()) for _ in range(8)]
            head = f"GET {path.replace('polling', 'unheard-of')} HTTP/1.1\r\nHost: a"
            assert [peer.request(head)[0] for peer in peers] == [400] * 4 + [429] * 4
            assert [peer.request(head)[0] for peer in peers] == [400] * 4 + [0] * 4
        with served.reception.peer() as peer:  # the slots are free again
            assert peer.request(head)[0] == 400

    served.reception.do(scenario)


def test_only_its_own_requests_serve_a_session(served: Served) -> None:
    """Whoever names a session in another request is as any client without the token."""

    def scenario() -> None:
        session = served.polling("evil").partition("sid=")[2]
        for path in ("/healthz", "/nothing", "/apps", "//socket.io/", "/socket.io/x"):
            with served.reception.peer() as peer:
                head = f"GET {path}?sid={session} HTTP/1.1\r\nHost: a"
                assert peer.request(head)[0] != 0
                assert peer.request(head) == (0, b""), path

    served.reception.do(scenario)


# Bytes


def test_bodies_that_do_not_end_have_a_total(served: Served) -> None:
    def scenario() -> None:
        with ExitStack() as stack:
            paths = [served.polling(f"evil{n}") for n in range(SLOTS // 2)]
            peers = [stack.enter_context(served.reception.peer()) for _ in range(SLOTS)]
            for peer, path in zip(peers, 2 * paths, strict=True):
                peer.send(f"{posted(path, 131_072)}\r\n\r\n".encode() + b"x" * 131_000)
            assert peers[0].response() == (0, b"")
            body = b"3"
            with served.reception.peer() as other:
                assert other.request(posted(paths[-1], 1), body)[0] == 200

    served.reception.do(scenario)
    assert served.complained(f"more than {BYTES} bytes of requests at once, one closed")


def test_what_comes_behind_a_request_counts_too(served: Served) -> None:
    def scenario() -> None:
        with ExitStack() as stack:
            paths = [served.polling(f"evil{n}") for n in range(SLOTS // 2)]
            peers = [stack.enter_context(served.reception.peer()) for _ in range(SLOTS)]
            for peer, path in zip(peers, 2 * paths, strict=True):
                first = f"GET {path.replace('polling', 'unheard-of')} HTTP/1.1\r\nHost: a\r\n\r\n"
                assert peer.request(first[:-4])[0] == 400
                peer.send(f"{first}{posted(path, 131_072)}\r\n\r\n".encode() + b"x" * 131_000)
            assert [peer.response()[0] for peer in peers[-2:]] == [400, 400]
            assert peers[0].response()[0] in {0, 400} and peers[0].response() == (0, b"")

    served.reception.do(scenario)
    assert served.complained(f"more than {BYTES} bytes of requests at once, one closed")


@pytest.mark.parametrize("between", [b"", frame(b"", PING)])
def test_messages_that_do_not_end_have_a_total(served: Served, between: bytes) -> None:
    def scenario() -> None:
        with ExitStack() as stack:
            peers = [stack.enter_context(served.sender(f"evil{n}")) for n in range(SLOTS)]
            for peer in peers:
                peer.send((frame(b"4" * 60_000, fin=False) + between) * 2)
            assert peers[0].read() is None

    served.reception.do(scenario)
    assert served.complained(f"more than {BYTES} bytes of requests at once, one closed")


def test_messages_that_end_may_be_many(served: Served) -> None:
    """Far more than the total, one after the other, of many senders."""

    def scenario() -> None:
        with ExitStack() as stack:
            peers = [stack.enter_context(served.sender(f"s{n}")) for n in range(SLOTS)]
            for start in range(0, 4096, 512):
                for number, peer in enumerate(peers):
                    peer.emit(
                        "count", *[payload(n, f"s{number}") for n in range(start, start + 512)]
                    )
                for peer in peers:
                    assert peer.answer()["last"] == start + 511
            path = served.polling("s0")
            large = f"42{json.dumps(['count', 'x' * 100_000])}".encode()
            with served.reception.peer() as peer:
                assert [peer.request(posted(path, len(large)), large)[0] for _ in range(20)] == [
                    200
                ] * 20

    served.reception.do(scenario)
    assert not served.complained("bytes of requests")


def test_a_session_that_ends_while_it_is_admitted_leaves_nothing(served: Served) -> None:
    """Two requests at once: its claim, which waits for the disk, and its end."""

    def scenario() -> None:
        busy = served.sender("busy", address=served.local)
        for number in range(2 * SLOTS):
            with ExitStack() as stack:
                first, second = (stack.enter_context(served.reception.peer()) for _ in range(2))
                opened = first.request(f"GET {POLLING} HTTP/1.1\r\nHost: a")[1]
                path = f"{POLLING}&sid={json.loads(opened[1:])['sid']}"
                claim = stack.enter_context(served.reception.peer())
                body = f"40{json.dumps(auth(f'evil{number}', ONE, run='b' * 32))}".encode()
                counts = range(number * 512, number * 512 + 512)
                busy.emit("count", *[payload(n, "busy") for n in counts])
                claim.send(f"{posted(path, len(body))}\r\n\r\n".encode() + body)
                second.request(posted(path, 1), b"1")
                claim.response()
                assert busy.answer()["last"] == counts[-1]
        busy.close()
        until = time.monotonic() + 60
        while served.connections():
            assert time.monotonic() < until
            time.sleep(0.05)

    served.reception.do(scenario)
