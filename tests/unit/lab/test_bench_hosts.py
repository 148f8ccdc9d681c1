"""What the benchmark of several hosts makes of the receiver's lines, and its floor's own rules."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.bench.__main__ import HOSTS, SECTIONS
from tests.bench.hosts.bare_lease import Etcd
from tests.bench.hosts.reception import Taken, next_phase, taken
from tests.bench.probe import Line, line_of
from tests.lab.hosts import host_of

RUN = "f" * 32


def counts(first: int, node: str, *times: float) -> list[Line]:
    return [Line(at, "x", node, first + index) for index, at in enumerate(times)]


def session(at: float, node: str, epoch: int) -> Line:
    return Line(at, "x", node, -1, epoch)


def test_a_session_has_its_epoch_and_a_count_has_none() -> None:
    text = f'session {{"appID": "x", "nodeID": "b", "epoch": 7, "run": "{RUN}", "last": 4}}'
    entry = {"__MONOTONIC_TIMESTAMP": "2500000", "MESSAGE": text}
    assert line_of(entry) == Line(2.5, "x", "b", -1, 7)
    entry["MESSAGE"] = '{"count": 5, "appID": "x", "nodeID": "b"}'
    assert line_of(entry) == Line(2.5, "x", "b", 5, 0)


def test_a_takeover_is_the_successors_session() -> None:
    lines = [
        session(0.0, "a", 1),
        *counts(0, "a", 0.1, 1.1),
        session(1.3, "a", 1),  # the same run connects again: no takeover
        session(3.5, "b-failover", 2),
        *counts(2, "b-failover", 3.6, 4.1),
    ]
    found = taken(lines, 1.2, 1)
    assert found.admitted == pytest.approx(2.3)
    assert found.silence == pytest.approx(2.5)
    assert (found.before, found.after, found.stayed) == ("a", "b-failover", False)


def test_an_app_that_stays_with_its_sender_has_no_successor() -> None:
    lines = [session(0.0, "a", 1), *counts(0, "a", 0.1, 1.1, 2.6)]
    assert taken(lines, 1.5, 1) == Taken(1.5, None, 1.5, "a", "a")


@pytest.mark.parametrize(
    ("before", "after", "stayed"),
    [("a", "a-failover", True), ("a-failover", "a", True), ("a", "b", False)],
)
def test_the_halves_of_a_host_are_one_host(before: str, after: str, stayed: bool) -> None:
    assert Taken(0.0, None, 1.0, before, after).stayed is stayed
    assert host_of("a-failover") == "a"


@pytest.mark.parametrize(
    ("passed", "phase", "seconds"), [(0.01, 0.5, 0.5), (0.5, 0.5, 1.5), (0.2, 0.0, 1.0)]
)
def test_the_next_phase_is_not_over_yet(passed: float, phase: float, seconds: float) -> None:
    assert next_phase(passed, phase, 1.0) == pytest.approx(seconds)


def test_the_sections_of_hosts_have_names_of_their_own() -> None:
    assert len(HOSTS) >= 7
    assert not HOSTS.keys() & SECTIONS.keys()
    assert {name.partition(".")[0] for name in HOSTS} == {"hosts"}


class Gateway(BaseHTTPRequestHandler):
    """Answers with what `answers` holds, one after the other."""

    answers: list[object] = []
    asked: list[dict[str, object]] = []

    def do_POST(self) -> None:  # pylint: disable=invalid-name  # the library has it so
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        data = json.dumps(self.answers.pop(0)).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:  # pylint: disable=arguments-differ
        """Nothing."""


@pytest.fixture(name="etcd")
def _etcd() -> Iterator[Etcd]:
    """A client whose first endpoint refuses connections."""
    Gateway.answers, Gateway.asked = [], []
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Etcd(f"127.0.0.1:1,127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        thread.join()


def test_the_floor_asks_the_next_endpoint_after_one_that_does_not_answer(etcd: Etcd) -> None:
    Gateway.answers.append({"kvs": [{"mod_revision": "7", "value": "YQ=="}]})
    assert etcd.get() is None
    assert etcd.get() == (7, "a")


@pytest.mark.parametrize(
    ("revision", "there", "found"),
    [(5, {"mod_revision": "6", "value": "YQ=="}, 6), (5, {"mod_revision": "6"}, 0), (0, {}, 0)],
)
def test_a_write_of_the_floor_that_fails_was_done_before_or_the_key_is_anothers(
    etcd: Etcd, revision: int, there: dict[str, object], found: int
) -> None:
    etcd.get()
    kvs = [there] if there else []
    Gateway.answers.append({"responses": [{"response_range": {"kvs": kvs}}]})
    assert etcd.put_if(revision, "a") == found
    assert Gateway.asked[0]["compare"][0]["mod_revision"] == revision  # type: ignore[index]  # JSON


def test_a_write_of_the_floor_is_its_new_revision(etcd: Etcd) -> None:
    etcd.get()
    Gateway.answers.append({"succeeded": True, "header": {"revision": "9"}})
    assert etcd.put_if(8, "a") == 9
