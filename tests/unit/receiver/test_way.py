"""What is the same way to the journal, what is another one, and what is no sure one."""

import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from sendrecv.core.receiver_events import Print
from sendrecv.receiver import way as ways
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.way import way

HERE, BEFORE = "b" * 32, "a" * 32


@pytest.fixture(name="look")
def fixture_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """The way of lines that go to a socket of the test's own, in place of journald's."""
    address = str(tmp_path / "stdout")
    monkeypatch.setattr(ways, "JOURNALD", address)
    units = tmp_path / "units"
    units.mkdir()
    (units / "invocation:systemd-journald.service").symlink_to("1" * 32)
    (units / "log-rate-limit-burst:receiver.service").symlink_to("100000000")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as out:
        server.bind(address)
        server.listen()
        out.connect(address)
        yield lambda: way(units, tmp_path / "flushed", out.fileno())


def _change(link: Path, target: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def test_another_journald_and_another_place_are_another_way(
    look: Callable[[], str], tmp_path: Path
) -> None:
    seen = [look()]
    assert look() == seen[0]
    (tmp_path / "flushed").touch()
    seen.append(look())
    _change(tmp_path / "units" / "invocation:systemd-journald.service", "2" * 32)
    seen.append(look())
    assert len({*seen}) == 3 and "" not in seen


@pytest.mark.parametrize(
    ("link", "target", "is_sure"),
    [
        ("log-level-max:receiver.service", "5", False),
        ("log-level-max:receiver.service", "6", True),
        ("log-rate-limit-burst:receiver.service", "99999999", False),
        ("log-rate-limit-burst:receiver.service", "unknown", False),
        ("invocation:systemd-journald.service", "", False),
    ],
)
def test_no_sure_way(
    look: Callable[[], str], tmp_path: Path, link: str, target: str, is_sure: bool
) -> None:
    path = tmp_path / "units" / link
    if target:
        _change(path, target)
    else:
        path.unlink()
    assert bool(look()) is is_sure


def test_a_file_and_another_socket_are_no_way(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert way(descriptor=file.fileno()) == ""
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert way(descriptor=one.fileno()) == ""


def test_a_look_leaves_no_descriptor_open_wherever_the_lines_go(
    look: Callable[[], str], tmp_path: Path
) -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other, (tmp_path / "file").open("w") as file:
        before = os.listdir("/proc/self/fd")
        for _ in range(5):
            assert look() and not way(descriptor=file.fileno()) + way(descriptor=one.fileno())
        assert os.listdir("/proc/self/fd") == before
        one.send(b"it is still open")


# What the ledger remembers of it.


def _commit(ledger: Ledger, first: int, now: float) -> None:
    ledger.commit([], [Print("a", "main", first, first)], now)


def _since(ledger: Ledger) -> list[float | None]:
    return [span.way_since for span in ledger.outbox()]


def test_a_new_way_begins_a_new_span_and_only_the_last_one_is_known(tmp_path: Path) -> None:
    name = "one"
    ledger = Ledger(tmp_path, HERE, lambda: name)
    news = []
    for number, name in enumerate(["one", "one", "two", "two", "two"]):
        _commit(ledger, number, 10.0 + number)
        news.append(ledger.ways.is_new)
    assert news == [True, False, True, False, False]
    assert [span.order.first for span in ledger.outbox()] == [0, 2]
    assert _since(ledger) == [None, 12.0]
    ledger.commit([], [], 20.0)
    assert not ledger.ways.is_new
    name = "three"  # and nothing was printed since
    assert _since(ledger) == [None, None]
    ledger.close()
    for boot, name, expected in ((HERE, "two", 12.0), (HERE, "one", None), ("c", "", 12.0)):
        later = Ledger(tmp_path, boot, partial(str, name))
        assert _since(later) == [None, expected]
        later.close()


def test_no_way_is_as_good_as_unknown_and_that_of_a_boot_without_spans_is_forgotten(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path, BEFORE, lambda: "")
    _commit(ledger, 0, 10.0)
    ledger.close()
    ledger = Ledger(tmp_path, HERE, lambda: "one")
    assert _since(ledger) == [None]
    ledger.settle([], [Print("a", "main", 1, 1)], 5.0)
    assert _since(ledger) == [5.0]
    ledger.close()
    ledger = Ledger(tmp_path, "c" * 32, lambda: "two")
    ledger.settle([], [Print("a", "main", 1, 1)], 5.0)
    rows = ledger.ways._database.execute("SELECT boot FROM way").fetchall()
    assert ("c" * 32,) in rows and (BEFORE,) not in rows
    ledger.close()


def test_a_way_of_a_group_that_was_not_written_is_not_taken(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, HERE, lambda: "one")
    ledger._database.execute("PRAGMA query_only=ON")
    with pytest.raises(ways.sqlite3.OperationalError):
        _commit(ledger, 0, 10.0)
    ledger._database.execute("PRAGMA query_only=OFF")
    _commit(ledger, 0, 12.0)
    assert ledger.ways.is_new and _since(ledger) == [12.0]
    ledger.close()
