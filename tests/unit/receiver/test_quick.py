"""Counts that are taken past the libraries: which ones, and that nothing else differs."""

import time
from collections.abc import Iterator

import pytest

from sendrecv.receiver import quick
from tests.lab.reception import TOKEN, Reception, assert_sound
from tests.peers.peer import Peer, auth, frame

OTHER_ORDER = '["count",{"appID":"a","nodeID":"main","count":0}]'
LONG = "l" * 64


@pytest.fixture(scope="module")
def reception(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reception]:
    with Reception(tmp_path_factory.mktemp("reception")) as reception:
        yield reception
        assert_sound(reception.printed(), reception.said(), TOKEN)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each message that may be taken was."""
    found: list[bool] = []
    take = quick.QuickCounts.take

    def noted(self: quick.QuickCounts, *arguments: object) -> bool:
        found.append(take(self, *arguments))  # type: ignore[arg-type]  # what take() is given
        return found[-1]

    monkeypatch.setattr(quick.QuickCounts, "take", noted)
    return found


def admitted(reception: Reception, app_id: str) -> Peer:
    peer = reception.peer()
    assert peer.open() == 101
    assert "sid" in (peer.connect(auth(app_id, TOKEN, epoch=time.monotonic_ns() // 1000)) or {})
    return peer


def event(count: object, app_id: str, node_id: str = "main") -> str:
    return f'["count",{{"count":{count},"appID":"{app_id}","nodeID":"{node_id}"}}]'


def asked(reception: Reception, app_id: str, *messages: str) -> list[str | None]:
    """What is answered to each message, one after the other."""

    def scenario() -> list[str | None]:
        with admitted(reception, app_id) as peer:
            found = []
            for message in messages:
                peer.send_text(message)
                found.append(peer.read())
            return found

    return reception.do(scenario)


def test_the_count_of_a_sender_is_taken(reception: Reception, taken: list[bool]) -> None:
    answers = asked(
        reception,
        "usual",
        f'421{event(0, "usual")}',
        f'421000002{event(1, "usual")}',
        f'423{event(1, "usual")}',
        f'424{event(7, "usual")}',
    )
    assert taken == [True] * 4
    assert answers == [
        '431[{"status":"accepted","last":0}]',
        '431000002[{"status":"accepted","last":1}]',
        '433[{"status":"duplicate","last":1}]',
        '434[{"status":"gap","last":1}]',
    ]


@pytest.mark.parametrize(
    "message",
    [
        f"427{OTHER_ORDER}",
        f'427 {event(0, "a")}',
        f'427{event(0, "a")} ',
        f'427{event("00", "a")}',
        f'427{event("-0", "a")}',
        f'427{event("0.0", "a")}',
        f'427{event("1e0", "a")}',
        f'427{event(2**63, "a")}',
        f'427{event(0, "b")}',
        f'427{event(0, "a", "failover")}',
        f'427{event(0, "a", LONG)}',
        '427["count",{"count":0,"appID":"a","nodeID":"main"},'
        '{"count":1,"appID":"a","nodeID":"main"}]',
        '427["resume"]',
        '427["other",{"count":0,"appID":"a","nodeID":"main"}]',
    ],
)
def test_what_is_written_in_another_way_is_not(
    reception: Reception, taken: list[bool], message: str
) -> None:
    def scenario() -> None:
        with admitted(reception, "a") as peer:
            peer.send_text(message)
            peer.call("resume")

    reception.do(scenario)
    assert not any(taken)


def test_a_number_that_is_none_has_no_quick_answer(reception: Reception, taken: list[bool]) -> None:
    def scenario() -> None:
        with admitted(reception, "number") as peer:
            for number in ("", "007", "1" * 16):
                peer.send_text(f'42{number}{event(0, "number")}')
            assert peer.call("resume")["last"] == 0

    reception.do(scenario)
    assert not any(taken)


def test_the_libraries_would_give_the_same_answer(
    reception: Reception, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def raw(app_id: str) -> list[tuple[int, bytes]]:
        with admitted(reception, app_id) as peer:
            found = []
            for count in (0, 1, 1, 5):
                peer.send_text(f"4212{event(count, app_id)}")
                found.append(next(peer._frames()))  # pylint: disable=protected-access
            return found

    quickly = reception.do(raw, "same")
    monkeypatch.setattr(quick.QuickCounts, "_parse", lambda *_: None)
    assert quickly == reception.do(raw, "other")
    assert taken == [True] * 4 + [False] * 4


def test_what_comes_before_is_handled_before(reception: Reception) -> None:
    """Also if more comes at once than may be taken: then the libraries take all of it."""

    def scenario() -> list[str | None]:
        with admitted(reception, "order") as peer:
            texts = ['421["resume"]', *(f'42{n}{event(n, "order")}' for n in range(2, 9))]
            texts[1:1] = [f'42{n + 10}{event(n, "order")}' for n in range(2)]
            peer.send(b"".join(frame(text.encode()) for text in texts[:3]))
            for text in texts[3:]:
                peer.send_text(text)
            return [peer.read() for _ in texts]

    answers = [str(answer) for answer in reception.do(scenario)]
    assert answers[0].startswith('431[{"status":"accepted","last":null')
    assert answers[1:] == [
        f'43{number}[{{"status":"accepted","last":{count}}}]'
        for number, count in [(10, 0), (11, 1), *((n, n) for n in range(2, 9))]
    ]


def test_a_frame_in_pieces(reception: Reception, taken: list[bool]) -> None:
    def scenario() -> str | None:
        with admitted(reception, "pieces") as peer:
            whole = frame(f'421{event(0, "pieces")}'.encode())
            inner = frame(f'422{event(1, "pieces")}'.encode())
            outer = frame(b'423["x","' + inner + b'"]')
            peer.send(whole[:9])
            reception.turn()
            peer.send(whole[9:])
            first = peer.read()
            at = outer.index(inner)
            for piece in (outer[:at], inner, outer[at + len(inner) :]):
                peer.send(piece)
                reception.turn()
            peer.read()
            return first

    assert reception.do(scenario) == '431[{"status":"accepted","last":0}]'
    assert not any(taken)


def test_who_hangs_up_is_not_answered(reception: Reception) -> None:
    def scenario() -> None:
        for count in range(5):
            peer = admitted(reception, "gone")
            peer.send_text(f'421{event(count, "gone")}')
            peer.close()
        with admitted(reception, "gone") as peer:
            peer.call("resume")

    reception.do(scenario)
    assert not [line for line in reception.said() if "gone" in line and "Traceback" in line]
