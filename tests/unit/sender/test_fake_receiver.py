"""A receiver that is none: whatever it says, a sender survives, is not misled, and counts."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv import systemd
from sendrecv.core import record as slots
from sendrecv.core.reach import EPOCHS, SPARE, App
from sendrecv.core.record import Record
from sendrecv.core.sender import SenderMachine
from sendrecv.core.sender_events import (
    Closed,
    Connected,
    Started,
    TimePassed,
    answered_by,
    refused_by,
    resumed_by,
)
from sendrecv.core.values import SECOND
from sendrecv.sender.store_file import StateFile
from tests.lab.paths import TOP
from tests.lab.waiting import HANG, wait_until
from tests.unit.strategies import anything, numbers

RUN = "1" * 32
SEND = [sys.executable, "-c", "from sendrecv.cli import main; main()", "send", "one", "main"]
FIRST = 41
"""The count in the record."""
MEMORY = 200 << 20
"""Bytes that a sender may have at most, ten times what it needs."""


def begin(directory: Path) -> Path:
    """A record as a process of this boot has left it."""
    path = directory / "one.record"
    store = StateFile(path)
    store.acquire()
    now = time.monotonic_ns()
    store.commit(Record("one", 7, FIRST, FIRST, now, systemd.boot_id(), "main", RUN))
    store.release()
    (directory / "token").write_text("token", encoding="ascii")
    return path


def record(path: Path) -> Record:
    found = slots.decode(path.read_bytes())
    assert found.record
    return found.record


@contextmanager
def sender(path: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A real sender process, which has this receiver."""
    environ = {
        **{"PATH": os.defpath, "SENDRECV_INTERVAL": "0.02", "STATE_DIRECTORY": str(path.parent)},
        **{"INVOCATION_ID": RUN, "SENDRECV_URL": f"http://127.0.0.1:{port}"},
    }
    with (path.parent / "token").open("rb") as stdin:
        process = subprocess.Popen(
            SEND, env=environ, stdin=stdin, stderr=subprocess.PIPE, text=True
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def assert_counts_on(path: Path, process: subprocess.Popen[str], counts: int = 20) -> None:
    """It takes more counts, none of which is the fake receiver's, and can be stopped."""
    least = record(path).count + counts
    wait_until(lambda: record(path).count >= least, "more counts")
    now = record(path)
    assert FIRST < now.count < FIRST + SPARE + 5000 and now.epoch <= 8 + EPOCHS + 100
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    assert int(peak.split()[1]) * 1024 < MEMORY
    process.terminate()
    _, said = process.communicate(timeout=HANG)
    assert process.returncode == 0 and "Traceback" not in said
    assert all(line.isprintable() and len(line) < 500 for line in said.splitlines())


@contextmanager
def fake_receiver(says: Mapping[str, Any]) -> Iterator[int]:
    """The port of tests/peers/fake_receiver.py."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "tests.peers.fake_receiver", str(port), json.dumps(says)]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _listens(port), "the fake receiver listens")
            yield port
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def last(value: object, status: object = "accepted") -> dict[str, object]:
    return {"status": status, "last": value}


SAYS: dict[str, dict[str, object]] = {
    "text": {"resume": last("9")},
    "negative": {"resume": last(-5)},
    "huge": {"resume": last(2**62)},
    "beyond": {"resume": last(2**70)},
    "a float": {"resume": last(1e300)},
    "no object": {"resume": [1, 2]},
    "nothing": {"resume": None},
    "10 MB": {"resume": {"pad": 10_000_000}},
    "deep": {"resume": json.loads("[" * 400 + "]" * 400)},
    "10 MB for counts": {"resume": last(FIRST), "count": {"pad": 10_000_000}},
    "huge for counts": {"resume": last(FIRST), "count": last(2**62)},
    "text for counts": {"resume": last(FIRST), "count": last("x", 7)},
    "fenced": {"resume": last(FIRST), "count": last(None, "fenced")},
    "back and forth": {"resume": last(0), "count": last(0, "gap")},
    "stale near the limit": {"refuse": {"reason": "stale", "epoch": 2**63 - 2}},
    "stale at the limit": {"refuse": {"reason": "stale", "epoch": 2**63 - 1}},
    "stale text": {"refuse": {"reason": "stale", "epoch": "9"}},
    "another reason": {"refuse": {"reason": "x" * 100_000}},
    "10 MB refusal": {"refuse": {"pad": 10_000_000}},
}


@pytest.mark.parametrize("name", SAYS)
def test_whatever_it_answers(tmp_path: Path, name: str) -> None:
    path = begin(tmp_path)
    with fake_receiver(SAYS[name]) as port, sender(path, port) as process:
        assert_counts_on(path, process)


HEAD = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n"
RAW: dict[str, tuple[bytes, float]] = {
    "a header without an end": (b"HTTP/1.1 101 x\r\nX: " + b"x" * 10_000, 0.0),
    "headers without an end": (b"HTTP/1.1 101 x\r\n" + b"X: x\r\n" * 1000, 0.0),
    "a byte now and then": (b"H", 0.2),
    "a large error": (b"HTTP/1.1 500 x\r\nContent-Length: 99999999999\r\n\r\n", 0.0),
    "no HTTP": (bytes(range(256)) * 8, 0.0),
    "nothing": (b"", 0.2),
}


def test_handshakes_without_an_end(tmp_path: Path) -> None:
    """Beyond the machine's time for an answer: each connection is given up, with its thread."""
    with ThreadPoolExecutor(len(RAW)) as pool:
        for name, done in [(name, pool.submit(_endure, tmp_path / name, name)) for name in RAW]:
            assert done.exception() is None, (name, done.exception())


def _endure(directory: Path, name: str) -> None:
    data, pause = RAW[name]
    directory.mkdir()
    path = begin(directory)
    ends = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=_pour, args=(listener, data, pause, ends))
        serving.start()
        try:
            with sender(path, listener.getsockname()[1]) as process:
                wait_until(lambda: record(path).count > FIRST + 350, "7 seconds of counts")
                tasks = f"/proc/{process.pid}/task"
                wait_until(lambda: len(os.listdir(tasks)) <= 2, "no thread but the newest is left")
                assert_counts_on(path, process, 5)
        finally:
            ends.set()
            socket.create_connection(listener.getsockname()).close()
            serving.join()


def _pour(listener: socket.socket, data: bytes, pause: float, ends: threading.Event) -> None:
    """Answers one connection after the other with this, again and again."""
    while not ends.is_set():
        peer, _ = listener.accept()
        with closing(peer):
            peer.settimeout(6)  # longer than a sender waits; what nobody reads any more is given up
            try:
                while not ends.is_set():
                    peer.sendall(data)
                    if pause and ends.wait(pause):
                        break
                    if not data and peer.recv(65536) == b"":
                        break
            except OSError:
                pass


statuses = st.sampled_from("accepted duplicate gap fenced invalid unavailable".split())
nearly = st.fixed_dictionaries({"status": statuses | anything, "last": numbers | anything})
reasons = st.sampled_from("token invalid stale unavailable full".split())
refusals = st.fixed_dictionaries(
    {"data": st.fixed_dictionaries({"reason": reasons | anything, "epoch": numbers | anything})}
)
REPLIES = st.tuples(st.sampled_from(["resume", "count", "refuse"]), anything | nearly | refusals)


@given(st.lists(REPLIES, max_size=40))
def test_the_machine_believes_no_more_than_it_can_have_reached(
    replies: list[tuple[str, object]],
) -> None:
    now = 1000 * SECOND
    before = Record("one", 7, FIRST, FIRST, now, "b" * 32, "main", RUN)
    machine = SenderMachine(App("one", "main", RUN, "b" * 32, SECOND), before, 8, now)
    machine.handle(Started(), now)
    makes = {"resume": resumed_by, "count": answered_by, "refuse": refused_by}
    for kind, reply in replies:
        now += SECOND
        machine.handle(TimePassed(), now)
        if kind != "refuse":
            machine.handle(Connected(machine.connection), now)
        event = makes[kind](machine.connection, reply)
        machine.handle(event, now)
        if isinstance(event, Closed):
            assert event.reason.isprintable() and len(event.reason) < 300
        elapsed = now // SECOND - 1000
        assert FIRST < machine.count <= FIRST + 3 * elapsed + SPARE + 2
        assert -1 <= machine.acknowledged <= machine.count
        assert 8 <= machine.epoch <= 8 + EPOCHS + 1
