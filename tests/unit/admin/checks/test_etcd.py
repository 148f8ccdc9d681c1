"""etcd as check asks it: endpoints that answer, are silent, refuse, or are another cluster's."""

import contextlib
import socket
from collections.abc import Iterable, Sequence

import pytest

from sendrecv.admin.checks import etcd
from sendrecv.admin.checks.etcd import Asked, ask, judge, lease, trust
from sendrecv.config import StoreConfig, sender_config
from sendrecv.sender.etcd_access import Credentials
from tests.peers.fake_etcd import HEADER, Answer, FakeEtcd, error, http, says, silent
from tests.peers.fake_etcd import Asked as Request
from tests.unit.only import only

STORE = StoreConfig((("a", 1), ("b", 2), ("c", 3)), False, "", 2.0, "alpha", False)
WELL = tuple(Asked(f"{name}:1", cluster="7", members=3, size=1000) for name in "abc")
MEMBERS: dict[str, object] = {"header": HEADER, "members": [{"name": name} for name in "abc"]}


def found(*answers: Asked, store: StoreConfig = STORE) -> list[tuple[str, bool]]:
    return [(it.code, it.is_error) for it in judge("x", store, answers)]


def changed(**more: object) -> Sequence[Asked]:
    """All of them."""
    return [one.replace(**more) for one in WELL]


def test_all_is_well() -> None:
    assert found(*WELL) == []


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([WELL[0].replace(error="no answer"), *WELL[1:]], [("etcd-member", False)]),
        (changed(error="no answer"), [("etcd-silent", True)]),
        (changed(error="etcd says 'no'", is_refused=True), [("etcd-auth", True)]),
        (changed(whole="no leader"), [("etcd-quorum", True)]),
        ([WELL[0].replace(whole="no leader"), *WELL[1:]], []),
        ([WELL[0].replace(cluster="8"), *WELL[1:]], [("etcd-clusters", True)]),
        ([WELL[0].replace(is_full=True), *WELL[1:]], [("etcd-full", True)]),
        (changed(size=1_900_000_000), [("etcd-size", False)]),
        (changed(members=1), [("etcd-members", False)]),
        (changed(members=5), [("etcd-endpoints", False)]),
        (changed(members=None, size=None), []),
    ],
)
def test_what_is_wrong(answers: Sequence[Asked], expected: list[tuple[str, bool]]) -> None:
    assert found(*answers) == expected


def test_a_short_lease() -> None:
    assert [it.code for it in lease("x", STORE.replace(lease=1.0))] == ["etcd-lease"]
    assert not [*lease("x", STORE)]


@pytest.mark.parametrize(
    ("url", "at"),
    [
        ("etcd://a,localhost", "127.0.0.1"),
        ("etcd://[::1]", "::1"),
        ("etcd://here,b", "here, which is 127.0.1.1"),
        ("etcd://there,b", ""),  # another host's name is not looked up
        ("etcd://10.0.0.1", ""),
        ("etcds://here", ""),
    ],
)
def test_who_can_answer_in_etcds_place(monkeypatch: pytest.MonkeyPatch, url: str, at: str) -> None:
    def look_up(name: str, *_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        assert name == "here"
        return [(2, 1, 6, "", ("127.0.1.1", 0))]

    monkeypatch.setattr(socket, "gethostname", lambda: "here.example")
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    store = sender_config("x", "main", {"SENDRECV_STORE": url}, "h").store
    assert store
    problems = [*trust("x", store)]
    assert [it.code for it in problems] == ["etcd-loopback"] * bool(at)
    assert all(f"has etcd at {at}: any user" in it.text for it in problems)


def test_what_it_costs_depends_on_what_was_chosen() -> None:
    for continues, words in ((False, "counting waits"), (True, "goes on without the lease")):
        store = STORE.replace(continues=continues)
        problem = only(judge("x", store, changed(error="no answer")))
        assert words in problem.cost


# Against endpoints that are none.


def asked(*answers: Answer, credentials: Credentials = Credentials()) -> list[Asked]:
    with contextlib.ExitStack() as stack:
        fakes = [stack.enter_context(FakeEtcd(answer)) for answer in answers]
        pairs = tuple((fake.endpoint.host, fake.endpoint.port) for fake in fakes)
        return ask(STORE.replace(endpoints=pairs), credentials, "/sendrecv/x/record")


def of_a_cluster(request: Request) -> Iterable[bytes]:
    """What a member says."""
    said: dict[str, dict[str, object]] = {
        etcd.MEMBERS: MEMBERS,
        etcd.STATUS: {"header": HEADER, "dbSize": "4096"},
        etcd.ALARMS: {"header": HEADER, "alarms": [{"memberID": "1", "alarm": "NOSPACE"}]},
    }
    return says(said.get(request.path, {"header": HEADER}))(request)


def test_members_that_answer() -> None:
    (one,) = asked(of_a_cluster)
    assert one.cluster == HEADER["cluster_id"] and not one.error and not one.whole
    assert (one.members, one.size, one.is_full) == (3, 4096, True)


def test_an_endpoint_that_refuses() -> None:
    (one,) = asked(error("etcdserver: user name is empty", 3, "400 Bad Request"))
    assert one.is_refused and "no user for etcd is set" in one.error


def test_one_without_a_majority() -> None:
    def lonely(request: Request) -> Iterable[bytes]:
        if isinstance(request.body, dict) and request.body.get("serializable"):
            return says({"header": HEADER})(request)
        return error("etcdserver: no leader", 14)(request)

    (one,) = asked(lonely)
    assert not one.error and "no leader" in one.whole


def test_whoever_is_no_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd, "TIMEOUT", 0.3)
    quiet, other = asked(silent, lambda _: [http(b"<html>", "404 Not Found")])
    assert quiet.error == "no answer" and "not etcd's JSON gateway" in other.error


def test_a_password_stands_in_no_text() -> None:
    secret = "a-password-that-nobody-repeats"
    (one,) = asked(
        error(f"wrong {secret}", 3, "400 Bad Request"), credentials=Credentials("u", secret)
    )
    assert one.is_refused and secret not in str(one) and secret not in str(found(one))
