"""What a peer says becomes events of the receiver's loop, and its replies what the peer hears.

The loop is one of the test's own. What belongs to whom is in test_gateway_listeners.py and
test_gateway_tokens.py; nonsense of all kinds, on the real loop, in test_gateway_fuzz.py.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import pytest

from sendrecv.core.receiver import AppState
from sendrecv.core.receiver_events import (
    AdmissionAsked,
    Admit,
    Answer,
    ConnectionClosed,
    CountsSent,
    ReceiverEvent,
    Refuse,
    Reply,
    ResumeAsked,
    Row,
)
from sendrecv.core.wire import Claim, Refusal, Status
from sendrecv.descriptors import Listener
from sendrecv.receiver import crowds
from sendrecv.receiver.crowds import Limits
from sendrecv.receiver.gateway import Gateway
from sendrecv.receiver.pace import Paces
from sendrecv.receiver.secrets import Secrets
from sendrecv.receiver.tls import Identity
from tests.lab.reception import TOKEN, close
from tests.lab.waiting import wait_until
from tests.peers.peer import RUN, Peer, auth, payload
from tests.unit.only import only

Result = TypeVar("Result")
Rule = Callable[[ReceiverEvent], Reply | None]
CLAIM = Claim("a", "main", 1, RUN)
POLL = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a"
POST = "POST /socket.io/?EIO=4&transport=polling&sid=SID HTTP/1.1\r\nHost: a"


def agreed(event: ReceiverEvent) -> Reply | None:
    """The reply of a loop to which all is right."""
    match event:
        case AdmissionAsked(_, claim):
            return Admit(Row(claim.app_id, claim.epoch, claim.run, claim.node_id, None), True)
        case ResumeAsked():
            return Answer(Status.ACCEPTED, 4)
        case CountsSent(_, _, _, last):
            return Answer(Status.ACCEPTED, last)
    return None


class Inbox:
    """In place of the loop: keeps the events, and replies by a rule."""

    def __init__(self, rule: Rule = agreed) -> None:
        self.events: list[ReceiverEvent] = []
        self._rule = rule

    def submit(self, event: ReceiverEvent) -> asyncio.Future[Reply | None]:
        """See gateway.Inbox."""
        self.events.append(event)
        reply: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        reply.set_result(self._rule(event))
        return reply

    def apps(self) -> Mapping[str, AppState]:
        """See gateway.Inbox."""
        return {}

    def paces(self) -> Paces:
        """See gateway.Inbox."""
        return Paces(1)

    def ledger(self) -> str:
        """See gateway.Inbox."""
        return "1edce7"

    @property
    def connection(self) -> str:
        """The one that asked to be admitted."""
        return only(one.connection for one in self.events if isinstance(one, AdmissionAsked))


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A gateway takes over what the libraries log, and would close the handlers that are there."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)


def play(
    inbox: Inbox,
    work: Callable[[tuple[str, int], Gateway], Result],
    secrets: Secrets | None = None,
) -> Result:
    """What `work` returns, beside a gateway that serves this address."""

    async def serve() -> Result:
        gateway = Gateway(inbox, secrets or Secrets(TOKEN))
        with Listener("receiver-tcp", socket.create_server(("127.0.0.1", 0)).detach()) as listener:
            listener.setblocking(False)
            await gateway.serve([listener], Limits(256, 256), Identity("/nonexistent"))
            return await asyncio.to_thread(work, listener.getsockname(), gateway)

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(serve())
    finally:
        close(loop)


def admitted(address: tuple[str, int]) -> Peer:
    peer = Peer(address)
    assert peer.open() == 101
    assert "sid" in (peer.connect(auth("a", TOKEN)) or {})
    return peer


def answers(inbox: Inbox, *calls: tuple[object, ...]) -> list[object]:
    """What an admitted peer hears; then it hangs up, and the loop is told so."""

    def work(address: tuple[str, int], _: Gateway) -> list[object]:
        with admitted(address) as peer:
            heard = [peer.call(*call) for call in calls]
        wait_until(lambda: isinstance(inbox.events[-1], ConnectionClosed), "the end is noticed")
        return heard

    return play(inbox, work)


def test_what_a_sender_says_are_events_of_its_connection() -> None:
    inbox = Inbox()
    batch = [payload(5, "a"), payload(6, "a")]
    calls = [("resume",), ("resume", {"last": 7}), ("count", payload(5, "a")), ("count", *batch)]
    answers(inbox, *calls)
    sid = inbox.connection
    assert inbox.events == [
        AdmissionAsked(sid, CLAIM),
        ResumeAsked(sid, "a", -1),
        ResumeAsked(sid, "a", 7),
        CountsSent(sid, "a", 5, 5),
        CountsSent(sid, "a", 5, 6),
        ConnectionClosed(sid, "a"),
    ]


@pytest.mark.parametrize(
    ("reply", "heard"),
    [
        (Answer(Status.ACCEPTED, 5), {"status": "accepted", "last": 5}),
        (Answer(Status.GAP, None), {"status": "gap", "last": None}),
        (Answer(Status.FENCED, None), {"status": "fenced", "last": None}),
        # It could not be made durable.
        (None, {"status": "unavailable", "last": None}),
    ],
)
def test_the_loops_reply_is_the_answer(reply: Reply | None, heard: dict[str, object]) -> None:
    inbox = Inbox(lambda event: agreed(event) if isinstance(event, AdmissionAsked) else reply)
    resumed, counted = answers(inbox, ("resume",), ("count", payload(5, "a")))
    assert counted == heard and resumed == {**heard, "ledger": "1edce7"}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Refuse(Refusal.STALE, 9), {"reason": "stale", "epoch": 9}),
        (Refuse(Refusal.FULL), {"reason": "full"}),
        (None, {"reason": "unavailable"}),
    ],
)
def test_a_refusal_has_its_reason_and_is_counted(
    reply: Reply | None, reason: dict[str, object]
) -> None:
    inbox = Inbox(lambda _event: reply)

    def work(address: tuple[str, int], gateway: Gateway) -> tuple[object, object, int]:
        with Peer(address) as peer:
            assert peer.open() == 101
            said = (peer.connect(auth("a", TOKEN)) or {})["data"]
        report = gateway.own.report(inbox.paces(), 0, 0.0)
        return said, report["refusals"], gateway.connections()

    assert play(inbox, work) == (reason, {reason["reason"]: 1}, 0)
    assert inbox.events == [AdmissionAsked(inbox.connection, CLAIM)]


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (("ledger", 5), "unknown event 'ledger'"),
        (("count", payload(5, "b")), "count: appID is 'b', not the claim's a"),
        (("count",), "count: 0 payloads in one event"),
        (("resume", {"last": -1}), "resume: "),
    ],
)
def test_what_is_wrong_comes_to_no_loop_and_keeps_its_connection(
    call: tuple[object, ...], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    inbox = Inbox()
    heard = answers(inbox, call, ("count", payload(0, "a")))
    assert heard == [{"status": "invalid", "last": None}, {"status": "accepted", "last": 0}]
    assert [type(event) for event in inbox.events] == [AdmissionAsked, CountsSent, ConnectionClosed]
    line = only(capfd.readouterr().err.splitlines())
    assert line.startswith(f"a/main: {complaint}")


def test_who_is_shut_out_while_it_is_admitted_does_not_stay() -> None:
    """The token was right when it was shown, and is no more when the claim is durable."""
    secrets = Secrets(f"here * {TOKEN}\n", overlap=0.0)

    def shut_out(event: ReceiverEvent) -> Reply | None:
        if isinstance(event, AdmissionAsked):
            secrets.renew("here * another-token-of-the-receiver\n")
        return agreed(event)

    inbox = Inbox(shut_out)

    def work(address: tuple[str, int], gateway: Gateway) -> int:
        with Peer(address) as peer:
            assert peer.open() == 101
            peer.connect(auth("a", TOKEN))
            assert peer.read_raw() == "41"  # Socket.IO's DISCONNECT
        wait_until(lambda: isinstance(inbox.events[-1], ConnectionClosed), "its end is noticed")
        return gateway.connections()

    assert play(inbox, work, secrets) == 0


def test_sessions_without_a_connection_make_room_for_one_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of long polling outlive their connections."""
    monkeypatch.setattr(crowds, "PENDING", 2)

    def work(address: tuple[str, int], _: Gateway) -> list[int]:
        def asked(head: str, body: bytes = b"") -> tuple[int, str]:
            with Peer(address) as peer:
                status, answer = peer.request(f"{head}\r\nContent-Length: {len(body)}", body)
            return status, answer.decode()

        opened = [asked(POLL)[1].partition('"sid":"')[2].partition('"')[0] for _ in range(6)]
        assert all(opened)
        heads = (POST.replace("SID", session) for session in opened)
        return [asked(head, b"3")[0] for head in heads]

    assert play(Inbox(), work) == [400, 400, 200, 200, 200, 200]
