"""The limits on connections, on the real receiver and a loopback socket (lab/reception.py)."""

import contextlib
import json
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.core.errors import PeerError
from sendrecv.core.frames import Frames
from sendrecv.receiver import admission, complaints, crowds, gateway, patched_engineio
from tests.lab.reception import TOKEN, Reception, assert_sound
from tests.peers.peer import BINARY, PING, Peer, auth, frame, payload

POLLING = "/socket.io/?EIO=4&transport=polling"
HEALTHZ = "GET /healthz HTTP/1.1\r\nHost: a"


@pytest.fixture(scope="module")
def reception(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reception]:
    """A receiver with room for ten connections."""
    with Reception(tmp_path_factory.mktemp("reception"), max_connections=10) as reception:
        yield reception
        assert_sound(reception.printed(), reception.said(), TOKEN)


@pytest.fixture(autouse=True)
def outspoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left unsaid because much was said before."""
    monkeypatch.setattr(complaints, "BURST", 10_000)
    monkeypatch.setattr(complaints, "REPEATS", 10_000)


def admitted(reception: Reception, app_id: str, receive_buffer: int = 0) -> Peer:
    """A sender."""
    peer = reception.peer(receive_buffer=receive_buffer)
    assert peer.open() == 101
    assert "sid" in (peer.connect(auth(app_id, TOKEN, epoch=time.monotonic_ns() // 1000)) or {})
    return peer


def complained(reception: Reception, text: str) -> bool:
    """Whether the receiver said so."""
    return any(text in line for line in reception.said())


def count_one(peer: Peer, app_id: str) -> Any:
    """Has one more count accepted."""
    last = peer.call("resume")["last"]
    return peer.call("count", payload(0 if last is None else last + 1, app_id))["status"]


# Time and number


def test_one_without_the_token_is_cut_off_in_time_and_a_sender_is_not(reception: Reception) -> None:
    def scenario() -> None:
        started = time.monotonic()  # before anybody connects: so it is never less than that
        peers = admitted(reception, "a"), reception.peer(), reception.peer()
        with peers[0] as sender, peers[1] as silent, peers[2] as opened:
            assert opened.open() == 101
            assert silent.response() == (0, b"") and opened.read() is None
            assert time.monotonic() - started >= admission.AUTHENTICATION_TIMEOUT
            assert count_one(sender, "a") == "accepted"

    reception.do(scenario)


def test_those_without_the_token_make_room_for_one_another(
    reception: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowds, "PENDING", 3)

    def scenario() -> None:
        others = [reception.peer() for _ in range(5)]
        assert [other.open() for other in others] == [101] * 5
        assert others[0].read() is None
        with admitted(reception, "a") as sender:
            assert count_one(sender, "a") == "accepted"
        for other in others:
            other.close()

    reception.do(scenario)
    assert complained(reception, "more than 3 connections without the token, one closed")


# Size


@pytest.mark.parametrize("length", [131_073, 100_000_000, 2**62])
@pytest.mark.parametrize("with_token", [True, False])
def test_a_large_frame_is_not_waited_for(
    reception: Reception, length: int, with_token: bool
) -> None:
    def scenario() -> None:
        with admitted(reception, "a") if with_token else reception.peer() as peer:
            assert with_token or peer.open() == 101
            peer.send(frame(b'42["count"', length=length))
            assert peer.read() is None

    reception.do(scenario)
    sender = "a/main: " if with_token else ""
    assert complained(reception, f">{sender}message of {length} bytes, must be at most 131072")


def test_fragments_without_an_end(reception: Reception) -> None:
    def scenario() -> None:
        with admitted(reception, "a") as peer:
            with pytest.raises(ConnectionError):
                for _ in range(1000):
                    peer.send(frame(b"4" * 10_000, fin=False))
            assert peer.read() is None

    reception.do(scenario)


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nX: ", b"", b"POST / HTTP/1.1\r\n\r\n"])
def test_one_without_the_token_sends_little(reception: Reception, start: bytes) -> None:
    def scenario() -> None:
        with reception.peer() as peer:
            with pytest.raises(ConnectionError):
                for data in (start, *[b"x" * 4000] * 1000):
                    peer.send(data)
                    time.sleep(0.001)

    reception.do(scenario)


def test_compressed_bodies_and_messages_are_not_unpacked(reception: Reception) -> None:
    bomb = zlib.compress(bytes(10_000_000))

    def scenario() -> None:
        with reception.peer() as peer:
            head = f"POST {POLLING}&sid=a HTTP/1.1\r\nContent-Encoding: deflate\r\nContent-Length: "
            assert peer.request(f"{head}{len(bomb)}", bomb[:9000])[0] in {0, 400}
        with reception.peer() as peer:
            assert peer.open(extra="Sec-WebSocket-Extensions: permessage-deflate\r\n") == 101
            peer.send(frame(b"\x00\x00", rsv=4))
            assert peer.read() is None

    reception.do(scenario)


def test_answers_name_no_versions(reception: Reception) -> None:
    def scenario() -> None:
        with reception.peer() as peer:
            assert peer.open() == 101
            assert peer.fields.keys() == {"upgrade", "connection", "sec-websocket-accept"}
        for path in ("/socket.io/?EIO=4&transport=polling", "/nothing"):
            with reception.peer() as peer:
                peer.request(f"GET {path} HTTP/1.1\r\nHost: a")
                assert "server" not in peer.fields and "date" in peer.fields

    reception.do(scenario)


def test_one_answer_for_many_requests_at_once(reception: Reception) -> None:
    def scenario() -> None:
        with reception.peer() as peer:
            peer.send(f"{HEALTHZ}\r\n\r\n".encode() * 50)
            assert [peer.response()[0] for _ in range(3)] == [200, 0, 0]

    reception.do(scenario)


# Messages


def test_one_without_the_token_has_few_messages(reception: Reception) -> None:
    def scenario() -> None:
        with reception.peer() as peer:
            assert peer.open() == 101
            peer.send(frame(b"3") * 9)
            assert peer.read() is None

    reception.do(scenario)
    assert complained(reception, "more than 8 messages without the token")


def test_what_an_older_connection_sends_late_is_no_complaint(reception: Reception) -> None:
    """When its App has moved, the session of its connection ends, and the connection soon does."""
    before = len(reception.said())

    def scenario() -> None:
        with admitted(reception, "moved") as older, admitted(reception, "moved") as newer:
            while (said := older.read()) is not None and not said.startswith("41"):
                pass
            older.send(frame(b"3") * 9)
            assert older.read() is None
            assert count_one(newer, "moved") == "accepted"

    reception.do(scenario)
    assert not [line for line in reception.said()[before:] if "without the token" in line]


@pytest.mark.parametrize("message", [b"", b"x", b"9", b"b4", b"0{}"])
def test_what_is_no_engine_io_packet_ends_the_connection(
    reception: Reception, message: bytes
) -> None:
    def scenario() -> None:
        with admitted(reception, "a") as peer:
            peer.send(frame(message))
            assert peer.read() is None
        with admitted(reception, "a") as peer:
            assert count_one(peer, "a") == "accepted"

    reception.do(scenario)
    assert complained(reception, "a/main: message that is no Engine.IO packet")


def test_binary_data_is_refused_and_survived(reception: Reception) -> None:
    def scenario() -> None:
        with admitted(reception, "a") as peer:
            peer.send_text('451-["count",{"_placeholder":true,"num":0}]')
            peer.send(frame(b"\x00\xff", BINARY))
            assert count_one(peer, "a") == "accepted"

    reception.do(scenario)
    assert complained(reception, "a/main: packet with binary attachments")
    assert complained(reception, "a/main: binary attachment")


def test_frames_before_the_answer_are_refused(reception: Reception) -> None:
    def scenario() -> None:
        with reception.peer() as peer:
            assert peer.open(extra="\r\n\x00\x00") != 101

    reception.do(scenario)


def test_a_storm_is_read_as_fast_as_it_is_answered(reception: Reception) -> None:
    """More than is read ahead, and each answered; a thousand pings, too."""

    def scenario() -> None:
        with admitted(reception, "a") as peer:
            peer.send(frame(b"", PING) * 1000 + frame(b'42["no such event"]') * 1000)
            assert count_one(peer, "a") == "accepted"

    reception.do(scenario)


def test_who_does_not_read_the_answers_is_cut_off(
    reception: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "MAX_UNREAD", 8)
    # Or a peer that answers no ping either would be cut off for that first, on a slow machine.
    monkeypatch.setattr(patched_engineio, "PING_INTERVAL", 3600.0)

    def scenario() -> None:
        until = time.monotonic() + 600  # a hang
        # Not once: after many complaints of other tests, this one is said only a minute later.
        while not complained(reception, "deaf/main: more than 8 answers unread"):
            assert time.monotonic() < until
            # It may be held for so long that this peer's own patience ends: on a slow machine.
            with contextlib.suppress(ConnectionError, TimeoutError):
                with admitted(reception, "deaf", receive_buffer=2048) as peer:
                    # How many answers the kernel takes in depends on how it sizes its buffers.
                    while time.monotonic() < until:
                        peer.emit("resume")
            time.sleep(0.05)

    reception.do(scenario)


# Long polling


class Polling:
    """A session of long polling, each request on a connection of its own."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._path = POLLING
        opened = self.ask("GET")
        self._path += f"&sid={json.loads(opened[1:])['sid']}"

    def ask(self, method: str, *pieces: bytes, chunked: bool = False) -> str:
        """The body of the answer; the body of the request in so many pieces."""
        with self._reception.peer() as peer:
            length = f"Content-Length: {sum(map(len, pieces))}"
            kind = "Transfer-Encoding: chunked" if chunked else length
            peer.send(f"{method} {self._path} HTTP/1.1\r\nHost: a\r\n{kind}\r\n\r\n".encode())
            for piece in pieces:
                peer.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                time.sleep(0.02)
            if chunked:
                peer.send(b"0\r\n\r\n")
            status, body = peer.response()
        assert status == 200, (status, body)
        return body.decode()


@pytest.mark.parametrize("chunked", [True, False])
def test_long_polling_takes_the_whole_of_a_body(reception: Reception, chunked: bool) -> None:
    app_id = f"polling{chunked}"

    def scenario() -> None:
        session = Polling(reception)
        session.ask("POST", f"40{json.dumps(auth(app_id, TOKEN))}".encode())
        assert session.ask("GET").startswith('40{"sid"')
        batch = json.dumps(["count", *[payload(n, app_id) for n in range(512)]]).encode()
        session.ask("POST", b"42", b"1" + batch[:5000], batch[5000:], chunked=chunked)
        assert session.ask("GET") == '431[{"status":"accepted","last":511}]'

    reception.do(scenario)


# Frames


@given(st.lists(st.tuples(st.integers(0, 70_000), st.booleans()), max_size=5), st.data())
def test_frames_are_followed_however_they_are_cut(
    sizes: list[tuple[int, bool]], data: st.DataObject
) -> None:
    stream = b"".join(frame(bytes(size), fin=fin) for size, fin in sizes)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    frames = Frames()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        frames.feed(stream[start:end])
    assert frames.messages == sum(fin for _, fin in sizes)


def test_a_frame_may_be_as_large_as_a_message() -> None:
    Frames().feed(frame(bytes(131_072)))
    with pytest.raises(PeerError, match="message of 131073 bytes"):
        Frames().feed(frame(b"", length=131_073))


def test_complaints_never_show_the_token(reception: Reception) -> None:
    """Wherever a peer that has it puts it."""
    before = len(reception.said())

    def scenario() -> None:
        for key in ("appID", "nodeID", "epoch", "run"):
            with reception.peer() as peer:
                peer.open()
                peer.connect(auth("a", TOKEN, **{key: f"{TOKEN}!"}))
        with admitted(reception, "a") as peer:
            for call in ([TOKEN], ["count", TOKEN], ["count", {TOKEN: 1}], ["count", TOKEN * 50]):
                assert peer.call(*call) == {"status": "invalid", "last": None}
        for head in (f"GET /{TOKEN} HTTP/9", TOKEN, f"GET {POLLING}&sid={TOKEN} HTTP/1.1"):
            with reception.peer() as peer:
                peer.request(f"{head}\r\nAuthorization: {TOKEN}\x01")

    reception.do(scenario)
    said = reception.said()[before:]
    assert len(said) > 8
    assert_sound(reception.printed(), said, TOKEN)


def test_many_who_send_at_one_instant_are_all_served(
    reception: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "SERVED_AT_ONCE", 2)

    def scenario() -> None:
        senders = [admitted(reception, f"many{n}") for n in range(7)]
        for number in range(20):
            for n, sender in enumerate(senders):
                sender.emit("count", payload(number, f"many{n}"))
        for sender in senders:
            assert sender.answer() == {"status": "accepted", "last": 19}
            sender.close()

    reception.do(scenario)
