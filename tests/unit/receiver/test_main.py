"""`sendrecv receive` as a process: from its environment and sockets to the end that it notes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sendrecv.receiver.settle import ENDED
from tests.lab.reception import TOKEN
from tests.lab.supervisor import Supervisor
from tests.lab.waiting import HANG
from tests.peers.peer import Peer, auth, payload

# What it is handed is at descriptor 3, as systemd does it.
RECEIVE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
sys.argv[1:] = ["receive"]
from sendrecv.cli import main
main()
"""


class Unit:
    """receiver.service, with a socket and directories of its own."""

    def __init__(self, directory: Path, supervisor: Supervisor) -> None:
        self.directory = directory
        self.supervisor = supervisor
        self.socket = socket.create_server(("127.0.0.1", 0))
        for name in ("state", "run"):
            (directory / name).mkdir()
        (directory / "token").write_text(f"{TOKEN}\n", encoding="ascii")

    @contextmanager
    def running(self, token: str = "token", **settings: str) -> Iterator[subprocess.Popen[str]]:
        """The process; killed in the end, if it still runs."""
        environ = {
            **{"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "INVOCATION_ID": "c" * 32},
            **{"NOTIFY_SOCKET": self.supervisor.address, "BOOT_ID": "b" * 32},
            **{"STATE_DIRECTORY": f"{self.directory}/state"},
            **{"RUNTIME_DIRECTORY": f"{self.directory}/run"},
            **{"LISTEN_FDS": "1", "LISTEN_FDNAMES": "receiver-tcp", **settings},
        }
        with (
            (self.directory / token).open("rb") as stdin,
            subprocess.Popen(
                [sys.executable, "-c", RECEIVE, str(self.socket.fileno())],
                env=environ,
                pass_fds=[self.socket.fileno()],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def peer(self) -> Peer:
        return Peer(self.socket.getsockname())


@pytest.fixture(name="unit")
def fixture_unit(tmp_path: Path) -> Iterator[Unit]:
    with Supervisor(tmp_path) as supervisor:
        unit = Unit(tmp_path, supervisor)
        with unit.socket:
            yield unit


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str], list[str]]:
    """The exit status, what it printed, and what it said."""
    printed, said = process.communicate(timeout=HANG)
    return process.returncode, printed.splitlines(), said.splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_until_it_is_told_to_end(unit: Unit, number: int) -> None:
    """The next one goes on where it was."""
    for count in (0, 1):
        with unit.running() as process:
            unit.supervisor.wait_for("READY=1")
            with unit.peer() as peer:
                assert peer.open() == 101
                assert "sid" in (peer.connect(auth("a", TOKEN)) or {})
                last = peer.call("resume")["last"]
                assert last == (count - 1 if count else None)
                assert peer.call("count", payload(count, "a"))["status"] == "accepted"
            process.send_signal(number)
            status, printed, said = ended(process)
            unit.supervisor.wait_for("STOPPING=1")
        assert status == 0
        assert [line.startswith("session ") for line in said].count(True) == (0 if count else 1)
        assert printed == [f'{{"count": {count}, "appID": "a", "nodeID": "main"}}']
        # All of it is read: the next boot need not ask the journal.
        assert (unit.directory / "run" / ENDED).exists()


def test_without_a_token_it_serves_and_refuses_every_sender(unit: Unit) -> None:
    """Until one is handed over."""
    with unit.running("/dev/null") as process:
        unit.supervisor.wait_for("READY=1")
        with unit.peer() as peer:
            assert peer.open() == 101
            assert (peer.connect(auth("a", TOKEN)) or {})["data"] == {"reason": "token"}
        process.terminate()
        status, printed, said = ended(process)
    assert (status, printed) == (0, [])
    assert any(line.endswith("; refusing every sender") for line in said), said


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"SENDRECV_MAX_CONNECTIONS": "many"}, 78, "SENDRECV_MAX_CONNECTIONS='many': must be "),
        ({"LISTEN_FDNAMES": "other"}, 64, "no socket called receiver was handed over"),
        ({"STATE_DIRECTORY": ""}, 73, "STATE_DIRECTORY is not set"),
    ],
)
def test_what_it_cannot_begin_with_is_one_line(
    unit: Unit, settings: dict[str, str], status: int, words: str
) -> None:
    with unit.running(**settings) as process:
        found, printed, said = ended(process)
    assert (found, printed, len(said)) == (status, [], 1) and words in said[0]
