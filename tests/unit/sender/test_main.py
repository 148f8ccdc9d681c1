"""`sendrecv send` as a process: from its environment to the record, with a real receiver."""

import hashlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sendrecv.core import record as slots
from sendrecv.core.record import Record
from sendrecv.descriptors import Listener
from sendrecv.sender.store_file import StateFile
from tests.lab.reception import TOKEN, Reception
from tests.lab.supervisor import Supervisor
from tests.lab.waiting import HANG, wait_until

RUN = "0123456789abcdef" * 2
SEND = [sys.executable, "-c", "from sendrecv.cli import main; main()", "send", "one"]
NOBODY = "http://127.0.0.1:1"


def settings_in(directory: Path) -> str:
    """Python after which the settings files are there."""
    return f"from sendrecv import settings_file as f; f.DIRECTORY = {str(directory)!r}; "


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


def test_of_several_tokens_it_shows_that_of_its_app(half: Half, reception: Reception) -> None:
    """And once it counts, it says which of its settings have no effect."""
    several = f"here two {OTHER_TOKEN}\nthere one {TOKEN}\nall * {OTHER_TOKEN}\n"
    (half.directory / "several").write_text(several, encoding="ascii")
    (half.directory / "one.env").write_text("SENDRCV_INTERVAL=9\n", encoding="ascii")
    url = f"http://127.0.0.1:{reception.address[1]}"

    def work() -> tuple[int, list[str]]:
        with half.running(url, token="several", before=settings_in(half.directory)) as process:
            half.supervisor.wait_for("READY=1")
            wait_until(lambda: half.record().acknowledged >= 3, "four counts")
            return terminated(process)

    status, said = reception.do(work)
    file = half.directory / "one.env"
    assert (status, said[0]) == (0, "App one: main begins with count 0")
    assert said[1].startswith(f"{file}, line 1: 'SENDRCV_INTERVAL' is no setting, so it has no ")
    assert said[2:] == [story("main", half.record().count)]


OTHER_TOKEN = "another-token-than-the-receiver-has"
OTHERS = f"here two {OTHER_TOKEN}\nthere three,four {TOKEN}"
WRONG_TOKENS = {
    "/dev/null": "the token was not handed over: start the unit; a sender's unit needs ",
    "empty": "/etc/sendrecv/token: missing, empty, or not printable lines: make one with: ",
    "weak": "/etc/sendrecv/token: fewer than 20 characters, it could be guessed: make one with: ",
    "other": "",
    "others": "/etc/sendrecv/token: no line is for App one",
}


@pytest.mark.parametrize("token", WRONG_TOKENS)
def test_a_token_that_is_wrong_is_refused(half: Half, reception: Reception, token: str) -> None:
    """And tried again: a right one restarts the unit."""
    (half.directory / "empty").touch()
    (half.directory / "weak").write_text("secret\n", encoding="ascii")
    texts = {"other": OTHER_TOKEN, "others": OTHERS}
    for name, text in texts.items():
        (half.directory / name).write_text(text, encoding="ascii")
    url = f"http://127.0.0.1:{reception.address[1]}"

    def work() -> tuple[int, list[str]]:
        with half.running(url, token=token) as process:
            half.supervisor.wait_for("STATUS=not connected, epoch 1, no count yet")
            return terminated(process)

    status, said = reception.do(work)
    assert said.pop() == ("the receiver refuses this sender: token; the first count waits for it")
    complaint = WRONG_TOKENS[token]
    has = (half.directory / "refused/sender@one.service").read_text(encoding="ascii")
    assert has == hashlib.sha256(texts.get(token, "").encode()).hexdigest()
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


@pytest.mark.parametrize(
    ("node", "text", "place"),
    [
        ("main", "# fast\nSENDRECV_INTERVAL=fast\n", "{directory}/one.env, line 2"),
        ("main", "", "the environment of sender@one.service"),
        ("failover", "", "the environment of sender-failover@one.service"),
    ],
)
def test_a_wrong_setting_says_where_it_was_made(
    half: Half, node: str, text: str, place: str
) -> None:
    (half.directory / "one.env").write_text(text, encoding="ascii")
    before = settings_in(half.directory) + f"f.UNITS = ({str(half.directory)!r},); "
    with half.running(NOBODY, node, before=before, SENDRECV_INTERVAL="fast") as process:
        status, said = ended(process)
    where = place.format(directory=half.directory)
    problem = "SENDRECV_INTERVAL='fast': must be a number from 0 to 86400"
    assert (status, said) == (78, [f"sendrecv: {where}: {problem}"])
    # A streak has begun, and there is nothing of an App.
    assert sorted(os.listdir(half.directory)) == ["one.env", "one.starts", "token"]


def in_place_of_root(user: int) -> str:
    """Python after which that user is believed, as root is."""
    return f"from sendrecv.sender import own_socket; own_socket.ROOT = {user}; "


def test_on_the_unix_socket(half: Half, tmp_path: Path) -> None:
    """It counts without a token: it was handed none, and does not complain."""
    path = tmp_path / "sock"
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(path))
    unix.listen()
    (tmp_path / "reception").mkdir()

    def work() -> tuple[int, list[str]]:
        before = in_place_of_root(os.getuid())
        with half.running(f"unix://{path}", token="/dev/null", before=before) as process:
            half.supervisor.wait_for("READY=1")
            wait_until(lambda: half.record().acknowledged >= 3, "four counts")
            return terminated(process)

    with Reception(tmp_path / "reception", more=[Listener("receiver", unix.detach())]) as one:
        status, said = one.do(work)
        assert one.printed() == lines("main", 0, half.record().acknowledged)
    assert status == 0
    assert said == ["App one: main begins with count 0", story("main", half.record().count)]


def test_an_impostor_on_the_unix_socket(half: Half, tmp_path: Path) -> None:
    """Nothing is said to it, and the first count waits for a receiver."""
    url = f"unix://{tmp_path / 'sock'}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        server.listen()
        server.settimeout(HANG)
        with half.running(url, before=in_place_of_root(os.getuid() + 1)) as process:
            for _ in range(2):  # it begins again when it has reported the first one
                peer, _ = server.accept()
                with peer:
                    assert peer.recv(1) == b""
            status, said = terminated(process)
    why = f"not a receiver: user {os.getuid()} listens there, and not root"
    assert (status, half.record().count) == (0, -1)
    assert said == [f"no receiver at {url} ({why}); the first count waits for it"]


FAILURE = {
    "MONITOR_INVOCATION_ID": "1" * 32,
    "MONITOR_SERVICE_RESULT": "signal",
    "MONITOR_EXIT_STATUS": "KILL",
}
"""What systemd tells the half that it starts after the other one."""


def paused(half: Half) -> str:
    """Python after which the App is paused."""
    (half.directory / "pause").mkdir()
    (half.directory / "pause/one").touch()
    return f"from sendrecv.sender import main as m; m.PAUSED = {str(half.directory / 'pause')!r}; "


def test_while_paused_only_a_person_starts_it(half: Half) -> None:
    before = paused(half)
    with half.running(NOBODY, "failover", before=before, **FAILURE) as process:
        assert half.supervisor.wait_for("STOPPING=1")[-2] == "READY=1"
        status, said = ended(process)
    assert status == 0 and len(said) == 1
    assert said[0].startswith("not taking over, for App one is paused: sender@one.service ")
    # No record, and no streak: nobody has to look at this.
    assert not [name for name in os.listdir(half.directory) if name.startswith("one.")]
    with half.running(NOBODY, "failover", before=before, **FAILURE) as process:
        half.supervisor.wait_for("STATUS=connecting, epoch 1, no count yet")
        status, said = terminated(process)
    assert status == 0 and half.record().epoch == 1
    assert said[0].startswith("App one is paused: nothing takes over when sender-failover@one.")


def test_an_app_of_several_hosts_waits_for_etcd(half: Half) -> None:
    """It has no pause, which is of one machine: that would not hold the other hosts."""
    before, etcd = paused(half), "etcd://127.0.0.1:1"
    with half.running(NOBODY, before=before, SENDRECV_STORE=etcd, **FAILURE) as process:
        half.supervisor.wait_for("READY=1")
        status, said = terminated(process)
    assert status == 0 and not any("paused" in line for line in said), said


def test_a_half_that_was_masked_while_it_ran_leaves_word(half: Half) -> None:
    """For sendrecv-mask.service, which then does what OnSuccess= of the unit would have done.

    It ends by Ctrl-C as by systemctl, and not by the signal that asks for a move.
    """
    before = "from sendrecv import systemd; systemd.is_masked = 'sender@one.service'.__eq__; "
    for node, left in (("failover", False), ("main", True)):
        with half.running(NOBODY, node, before=before) as process:
            half.supervisor.wait_for("READY=1")
            process.send_signal(signal.SIGUSR1)
            half.supervisor.wait_for("WATCHDOG=1")
            process.send_signal(signal.SIGINT)
            assert ended(process)[0] == 0
        assert (half.directory / "masked").exists() == left
