"""The client of etcd, and endpoints that are lost, as tests/unit/sender/etcd_answers.py has them.

No test says how fast an answer comes. An endpoint that is silent is silent for ever, so an answer
that comes at all has not waited for it. Where requests are counted, the next endpoint is asked only
after a failure, however busy the machine is.
"""

import socket
import threading
import time
from typing import Any

import pytest

from sendrecv.sender import etcd as client
from sendrecv.sender.etcd import (
    HEDGE,
    CompareFailed,
    Endpoint,
    Etcd,
    EtcdError,
    EtcdKey,
    EtcdRefused,
)
from tests.lab.waiting import HANG, wait_until
from tests.peers.fake_etcd import (
    HEADER,
    Answer,
    Asked,
    FakeEtcd,
    encoded,
    hangs_up,
    pair,
    says,
    silent,
)
from tests.unit.sender.etcd_answers import (
    FOUND,
    NO_ANSWERS,
    SHORT,
    bad_answers,
    closing,
    etcd,
    good,
    in_turn,
)

pytestmark = pytest.mark.usefixtures("one_at_a_time")


def fail(one: Etcd, *fakes: FakeEtcd) -> None:
    """Calls until all of these have been asked, in vain."""
    while True:
        with pytest.raises(EtcdError):
            one.get("app", SHORT)
        if all(fake.asked for fake in fakes):
            return


@bad_answers
@pytest.mark.usefixtures("hedging")
def test_the_next_endpoint_answers(bad: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    with etcd(bad, good) as (one, (lost, fake)):
        assert one.get("app", HANG) == FOUND
        wait_until(lambda: lost.asked, "the first one has been asked")
        before = len(lost.asked)
        monkeypatch.setattr(client, "HEDGE", 2 * HANG)
        assert one.get("app", HANG) == FOUND  # it is asked first now
        assert (len(lost.asked), len(fake.asked)) == (before, 2)


@bad_answers
def test_no_answer_is_an_error_in_one_line(bad: Answer) -> None:
    with etcd(bad) as (one, (fake,)):
        began = time.monotonic()
        with pytest.raises(EtcdError) as caught:
            one.get("app", SHORT)
        assert time.monotonic() - began < HANG
        text = str(caught.value)
        assert f"127.0.0.1:{fake.endpoint.port} (" in text
        assert text.isprintable() and len(text) < 250
        assert not isinstance(caught.value, EtcdRefused)
        assert caught.value.__cause__ is None


@bad_answers
def test_an_endpoint_that_does_better_is_believed(bad: Answer) -> None:
    with etcd(bad) as (one, (fake,)):
        fail(one, fake)
        fake.answer = good
        assert one.get("app", HANG) == FOUND


@pytest.mark.parametrize("name", ["silent", "trickles", "head trickles", "huge", "huge line"])
def test_a_connection_without_an_answer_is_ended(name: str) -> None:
    """At the deadline, or at the limit of size. Nobody calls again, nor closes the client."""
    with etcd(NO_ANSWERS[name]) as (one, (fake,)):
        fail(one, fake)
        wait_until(lambda: fake.ended == fake.connections, "the client has ended the connection")


@pytest.mark.usefixtures("hedging")
def test_a_late_request_makes_room_for_a_new_one() -> None:
    """The first one still has an hour."""
    with etcd(silent, in_turn(good, silent)) as (one, (late, _)):
        assert one.get("app", 3600) == FOUND
        late.answer = good
        assert one.get("app", HANG) == FOUND
        wait_until(lambda: late.connections == late.ended + 1, "there is one connection")


@pytest.mark.usefixtures("hedging")
def test_two_of_three_are_lost() -> None:
    with etcd(silent, hangs_up, good) as (one, (_, second, third)):
        assert one.get("app", HANG) == FOUND
        second.answer, third.answer = good, hangs_up
        assert one.get("app", HANG) == FOUND


def test_nothing_listens() -> None:
    with FakeEtcd(good) as gone:
        pass
    with FakeEtcd(good) as fake, closing([gone.endpoint, fake.endpoint]) as one:
        assert one.get("app", HANG) == FOUND
    with closing([gone.endpoint]) as one, pytest.raises(EtcdError, match="nothing listens there"):
        one.get("app", HANG)


def test_a_name_that_is_not_known() -> None:
    nowhere = Endpoint("nowhere.invalid", 2379)
    with closing([nowhere]) as one, pytest.raises(EtcdError, match="nowhere.invalid:2379"):
        one.get("app", HANG)
    with FakeEtcd(good) as fake, closing([nowhere, fake.endpoint]) as one:
        assert one.get("app", HANG) == FOUND


def test_a_name_with_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one leads nowhere. What has been found is not looked up again."""
    looked_up = []
    with FakeEtcd(good) as gone:
        pass
    with FakeEtcd(good) as fake:

        def find(host: bytes, port: int, **_options: object) -> list[tuple[object, ...]]:
            looked_up.append((host, port))
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            there = [("127.0.0.1", one.endpoint.port) for one in (gone, fake)]
            return [(*kind, address) for address in there]

        monkeypatch.setattr(socket, "getaddrinfo", find)
        with closing([Endpoint("several.example", 2379)]) as one:
            for _ in range(3):
                assert one.get("app", HANG) == FOUND
                fake.cut()
    assert looked_up == [(b"several.example", 2379)]


def test_a_look_up_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    real = socket.getaddrinfo

    def hang(host: str, *rest: Any, **options: Any) -> Any:
        if host == "hangs.example":
            answered.wait()
        return real("127.0.0.1", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with FakeEtcd(good) as fake:
        with closing([Endpoint("hangs.example", 2379), fake.endpoint]) as one:
            monkeypatch.setattr(client, "HEDGE", HEDGE)
            assert one.get("app", HANG) == FOUND
            one.close()
            with pytest.raises(EtcdError, match="closed"):
                one.get("app", HANG)
            answered.set()


@pytest.mark.usefixtures("hedging")
def test_the_copy_that_comes_too_late_finds_what_the_first_has_written() -> None:
    """The first endpoint has written it and is lost: the caller is told what is there."""
    mine = {"header": HEADER, "kvs": [pair("app", b"mine", 9)]}
    too_late = {"header": HEADER, "responses": [{"response_range": mine}]}
    with etcd(silent, says(too_late)) as (one, fakes):
        assert one.put_if("app", 5, b"mine", HANG) == CompareFailed(EtcdKey(9, b"mine"))
        wait_until(lambda: fakes[0].asked == fakes[1].asked, "both were asked the same")


@pytest.mark.usefixtures("hedging")
def test_during_an_election_the_lost_member_is_not_waited_for() -> None:
    """The members that can be reached say that there is no leader; soon there may be one again."""
    with etcd(silent, hangs_up, hangs_up) as (one, (lost, *reached)):
        with pytest.raises(EtcdError, match=r"\(not within .* s\)$"):
            one.get("app", 100 * HANG)
        for fake in reached:
            fake.answer = good
        assert one.get("app", 100 * HANG) == FOUND
        assert len(lost.asked) == 1  # those that say something are asked first


def test_an_endpoint_of_another_cluster_is_none() -> None:
    """It does not have the key, and that means nothing."""
    other = says({"header": {**HEADER, "cluster_id": "7"}})
    with etcd(good, other) as (one, (fake, _)):
        assert one.get("app", HANG) == FOUND
        fake.answer = hangs_up
        with pytest.raises(EtcdError, match="belongs to another cluster"):
            one.get("app", HANG)
        fake.answer = good
        assert one.get("app", HANG) == FOUND


def test_endpoints_that_are_not_needed_are_asked_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "WARM", 1.0)
    with etcd(good, good, silent) as (one, (first, second, third)):

        def asked() -> bool:
            assert one.get("app", HANG) == FOUND
            return len(second.asked) > 1 and len(third.asked) > 1

        wait_until(asked, "they are asked")
        for warm in (second, third):
            body = {"key": encoded(b"app"), "serializable": True}
            assert warm.asked[0] == Asked("/v3/kv/range", body, None)
        assert len(first.asked) > len(second.asked)


# Closed


@pytest.mark.usefixtures("hedging")
def test_close_waits_for_nothing() -> None:
    with etcd(silent, silent) as (one, (first, second)):
        fail(one, first, second)
        one.close()
        with pytest.raises(EtcdError, match="closed"):
            one.get("app", HANG)
        wait_until(lambda: first.ended and second.ended, "the connections have ended")


@pytest.mark.usefixtures("hedging")
def test_close_ends_what_still_has_time() -> None:
    with etcd(silent, good) as (one, (late, _)):
        assert one.get("app", 3600) == FOUND  # the first one still has an hour
        wait_until(lambda: late.asked, "it is asked")
        assert late.ended == 0
        one.close()
        wait_until(lambda: late.ended, "the connection has ended")
