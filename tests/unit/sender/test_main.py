"""`sendrecv send` as a process: from its environment to the record, with a real receiver."""

import hashlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sendrecv.core import record as slots
from sendrecv.core.record import Record
from sendrecv.sender.store_file import StateFile
from tests.lab.reception import TOKEN, Reception
from tests.lab.supervisor import Supervisor
from tests.lab.waiting import HANG, wait_until

RUN = "0123456789abcdef" * 2
SEND = [sys.executable, "-c", "from sendrecv.cli import main; main()", "send", "one"]
NOBODY = "http://127.0.0.1:1"


class Half:
    """One half of the App "one", as its unit would run it."""

    def __init__(self, directory: Path, supervisor: Supervisor) -> None:
        self.directory = directory
        self.supervisor = supervisor
        (directory / "token").write_text(f"{TOKEN}\n", encoding="ascii")

    @contextmanager
    def running(
        self,
        url: str,
        node: str = "main",
        token: str = "token",
        before: str = "",
        **settings: str,
    ) -> Iterator[subprocess.Popen[str]]:
        """The process; killed in the end, if it still runs. token: the file on standard input.
        before: Python that it runs first.
        """
        environ = {
            **{"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "SENDRECV_INTERVAL": "0.02"},
            **{"STATE_DIRECTORY": str(self.directory), "RUNTIME_DIRECTORY": str(self.directory)},
            **{"NOTIFY_SOCKET": self.supervisor.address, "INVOCATION_ID": RUN},
            **{"SENDRECV_URL": url, **settings},
        }
        with (
            (self.directory / token).open("rb") as stdin,
            subprocess.Popen(
                [*SEND[:2], before + SEND[2], *SEND[3:], node],
                env=environ,
                stdin=stdin,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def record(self) -> Record:
        """The newest on disk."""
        found = slots.decode((self.directory / "one.record").read_bytes())
        assert found.record
        return found.record


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """The exit status, and the lines on standard error."""
    _, said = process.communicate(timeout=HANG)
    return process.returncode, said.splitlines()


def terminated(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    process.terminate()
    return ended(process)


@pytest.fixture
def half(tmp_path: Path) -> Iterator[Half]:
    directory = tmp_path / "state"
    directory.mkdir()
    with Supervisor(tmp_path) as supervisor:
        yield Half(directory, supervisor)


@pytest.fixture
def reception(tmp_path: Path) -> Iterator[Reception]:
    directory = tmp_path / "reception"
    directory.mkdir()
    with Reception(directory) as one:
        yield one


def lines(node: str, first: int, last: int) -> list[str]:
    return [
        f'{{"count": {count}, "appID": "one", "nodeID": "{node}"}}'
        for count in range(first, last + 1)
    ]


def test_it_counts_until_it_is_told_to_end(half: Half, reception: Reception) -> None:
    """Then the other half goes on, at the very next count.

    A count that was taken while another one was in flight may not have been sent when it ends.
    """
    url = f"http://127.0.0.1:{reception.address[1]}"

    def count(node: str) -> int:
        with half.running(url, node) as process:
            said = half.supervisor.wait_for("READY=1")
            assert "STATUS=waiting for the lock" in said
            half.supervisor.wait_for("STATUS=connected, epoch")
            least = half.record().count + 3
            wait_until(lambda: half.record().acknowledged >= least, "three more counts")
            status, said = terminated(process)
            assert (status, said[1]) == (0, story(node, half.record().count))
            counts = {"main": "main begins with count 0", "failover": "failover counts on from "}
            assert said[0].startswith(f"App one: {counts[node]}") and len(said) == 2
            half.supervisor.wait_for("STOPPING=1")
        return half.record().acknowledged

    last = reception.do(count, "main")
    record = half.record()
    assert reception.printed() == lines("main", 0, last)
    assert (record.epoch, record.node_id, record.run) == (1, "main", RUN)
    assert record.acknowledged == last <= record.count
    end = reception.do(count, "failover")
    assert reception.printed() == lines("main", 0, last) + lines("failover", last + 1, end)
    assert half.record().epoch == 2
    # No streak of starts.
    assert sorted(os.listdir(half.directory)) == ["one.record", "one.told", "token"]


def story(node: str, count: int) -> str:
    return f"App one: {node} ends, as it was told to, after count {count}"


def test_a_story_that_cannot_be_told_ends_nothing(half: Half, reception: Reception) -> None:
    """Here, the module that tells it is broken."""
    broken = "import sys; sys.modules['sendrecv.core.takeover'] = None; "

    def work() -> tuple[int, list[str]]:
        url = f"http://127.0.0.1:{reception.address[1]}"
        with half.running(url, before=broken) as process:
            half.supervisor.wait_for("STATUS=connected, epoch")
            wait_until(lambda: half.record().acknowledged >= 5, "six counts")
            return terminated(process)

    status, said = reception.do(work)
    fault = "cannot tell the story of App one: ModuleNotFoundError "
    assert status == 0 and len(said) == 2 and all(line.startswith(fault) for line in said), said


def test_without_a_receiver_the_first_count_waits(half: Half) -> None:
    with half.running(NOBODY) as process:
        half.supervisor.wait_for("STATUS=connecting, epoch 1, no count yet")
        time.sleep(0.1)  # five times the interval
        status, said = terminated(process)
    assert (status, half.record().epoch, half.record().count) == (0, 1, -1)
    (line,) = said  # of several attempts to connect only the first is reported
    assert line.startswith(f"no receiver at {NOBODY} (")
    assert line.endswith("); the first count waits for it")


OTHER_TOKEN = "another-token-than-the-receiver-has"
WRONG_TOKENS = {
    "/dev/null": "the token was not handed over: start the unit; a sender's unit needs ",
    "empty": "/etc/sendrecv/token: missing, empty, or not printable lines: make one with: ",
    "weak": "/etc/sendrecv/token: fewer than 20 characters, it could be guessed: make one with: ",
    "other": "",
}


@pytest.mark.parametrize("token", WRONG_TOKENS)
def test_a_token_that_is_wrong_is_refused(half: Half, reception: Reception, token: str) -> None:
    """And tried again: a right one restarts the unit."""
    (half.directory / "empty").touch()
    (half.directory / "weak").write_text("secret\n", encoding="ascii")
    (half.directory / "other").write_text(OTHER_TOKEN, encoding="ascii")
    url = f"http://127.0.0.1:{reception.address[1]}"

    def work() -> tuple[int, list[str]]:
        with half.running(url, token=token) as process:
            half.supervisor.wait_for("STATUS=not connected, epoch 1, no count yet")
            return terminated(process)

    status, said = reception.do(work)
    assert said.pop() == ("the receiver refuses this sender: token; the first count waits for it")
    complaint = WRONG_TOKENS[token]
    has = (half.directory / "refused/sender@one.service").read_text(encoding="ascii")
    assert has == hashlib.sha256(OTHER_TOKEN.encode() * (token == "other")).hexdigest()
    assert status == 0 and len(said) == bool(complaint)
    assert all(line.startswith(complaint) for line in said)
    assert reception.printed() == []


def test_a_record_that_is_replaced_ends_it(half: Half, reception: Reception) -> None:
    url, path = f"http://127.0.0.1:{reception.address[1]}", half.directory / "one.record"

    def work() -> tuple[int, list[str]]:
        with half.running(url) as process:
            half.supervisor.wait_for("STATUS=connected")
            os.replace(half.directory / "token", path)
            return ended(process)

    status, said = reception.do(work)
    assert (status, said[-1]) == (75, f"sendrecv: {path}: replaced by another file while locked")
    assert len(said) == 1 or said[0] == "App one: main begins with count 0"


@contextmanager
def counting_alone(half: Half) -> Iterator[subprocess.Popen[str]]:
    """A process that counts, though there is no receiver: it need not be told where to begin."""
    store = StateFile(half.directory / "one.record")
    store.acquire()
    store.commit(Record("one", 1, 7, 7, 0, "", "main", RUN))
    store.release()
    with half.running(NOBODY) as process:
        wait_until(lambda: half.record().count > 8, "some counts")
        yield process


def fill_disk(process: subprocess.Popen[str], full: bool = True) -> None:
    """From now on no write to any file succeeds."""
    _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    limit = 0 if full else most
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, most))


WAITING = "STATUS=waiting until the record can be written"
FULL = "record: File too large, not counting until it can be written"


def test_a_disk_that_is_full_is_waited_for(half: Half) -> None:
    with counting_alone(half) as process:
        fill_disk(process)
        half.supervisor.wait_for(WAITING)
        before = half.record()
        half.supervisor.wait_for("WATCHDOG=1")  # it is no hang
        assert half.record() == before
        fill_disk(process, full=False)
        wait_until(lambda: half.record().count > before.count + 2, "more counts")
        status, said = terminated(process)
    assert status == 0
    assert said[-2:] == [FULL, "record: written again, counting goes on"]


def test_a_stop_while_the_disk_is_full(half: Half) -> None:
    with counting_alone(half) as process:
        fill_disk(process)
        half.supervisor.wait_for(WAITING)
        before = half.record()
        status, said = terminated(process)
        half.supervisor.wait_for("STOPPING=1")
    assert (status, said[-1], half.record()) == (0, FULL, before)


def test_the_starts_of_a_streak_are_counted(half: Half) -> None:
    """One that has not been answered, and has not lived for long, does not end it."""
    for _ in range(2):
        with half.running(NOBODY) as process:
            half.supervisor.wait_for("READY=1")
            assert terminated(process)[0] == 0
    starts, _ = (half.directory / "one.starts").read_text(encoding="ascii").split()
    assert starts == "2"
