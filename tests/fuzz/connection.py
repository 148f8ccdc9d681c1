"""Fuzzing of a sender's connection, guided by coverage: atheris, from PyPI; not in `make test`.

    python3 -m venv /tmp/fuzz
    /tmp/fuzz/bin/pip install atheris python-socketio websocket-client sdnotify
    nice /tmp/fuzz/bin/python -m tests.fuzz.connection -max_total_time=1200 -max_len=600 \\
        -len_control=0 -dict=tests/fuzz/connection.dict CORPUS

CORPUS is a folder, empty at first, which keeps what reached new code. The real connection runs in
this process; each input is what a receiver that is none says to it, on a loopback socket. Nothing
may come of it but events that the machine knows, no thread may be left or end by an exception, and
the token must not be in what is said of it. A failure is an exception, and libFuzzer keeps the
input that made it. With some inputs, a right receiver is talked to, and must be understood.
"""

import sys
from importlib import import_module
from itertools import count
from typing import Any

atheris: Any = import_module("atheris")  # untyped, and mostly not there
Source = Any
"""atheris.FuzzedDataProvider."""

with atheris.instrument_imports(include=["sendrecv", "socketio", "engineio", "websocket"]):
    from sendrecv.core.sender_events import Answered, Connected, Resumed
    from sendrecv.core.wire import Status
    from sendrecv.sender.connection import prepare
    from tests.lab.dialogue import (
        ENDS,
        FakeReceiver,
        after,
        assert_known,
        talk,
        text,
        uncaught_kept,
    )
    from tests.peers.websocket import ADMITTED, OPEN, server_frame

    prepare("http:")  # the libraries

EACH = 50
"""Inputs between two talks to a right receiver."""
LONGEST = 0.3
"""Seconds for an input, if it does not end before."""


class Fuzzer:
    """One input after the other, each to a connection of its own."""

    def __init__(self) -> None:
        self._runs = count(1)
        self._ways = [self._frames, self._packets, self._answers]

    def try_one(self, data: bytes) -> None:
        """An input: its first bytes choose what the rest of them is."""
        source = atheris.FuzzedDataProvider(data)
        if source.ConsumeIntInRange(0, 3) == 0:
            self._say([source.ConsumeBytes(sys.maxsize)], shakes_hands=False)
        else:
            begin = [text(OPEN), text(ADMITTED)][: source.ConsumeIntInRange(0, 2)]
            self._say([*begin, *source.PickValueInList(self._ways)(source), b""])
        if next(self._runs) % EACH == 0:
            talk_to_a_right_receiver()

    @staticmethod
    def _say(parts: list[bytes], *, shakes_hands: bool = True) -> None:
        with FakeReceiver(parts, shakes_hands=shakes_hands) as url:
            assert_known(talk(url, after(LONGEST)))

    @staticmethod
    def _frames(source: Source) -> list[bytes]:
        said = b""
        while source.remaining_bytes():
            opcode, fin = source.ConsumeIntInRange(0, 15), source.ConsumeBool()
            rsv = source.ConsumeIntInRange(0, 7)
            data = source.ConsumeBytes(source.ConsumeIntInRange(0, 30))
            said += server_frame(data, opcode, fin=fin, rsv=rsv)
        return [said]

    @staticmethod
    def _packets(source: Source) -> list[bytes]:
        said = b""
        while source.remaining_bytes():
            said += text(_unicode(source))
        return [said]

    @staticmethod
    def _answers(source: Source) -> list[bytes]:
        """One for each question."""
        kinds = ["431", "432", '431[{"status":"accepted","last":', '432[{"status":', "44{"]
        parts: list[bytes] = []
        while source.remaining_bytes() and len(parts) < 4:
            parts.append(text(source.PickValueInList(kinds) + _unicode(source)))
        return parts


def _unicode(source: Source) -> str:
    said: str = source.ConsumeUnicodeNoSurrogates(source.ConsumeIntInRange(0, 60))
    return said


def talk_to_a_right_receiver() -> None:
    """What is said rightly is understood."""
    answer = '[{"status":"accepted","last":9}]'
    with FakeReceiver([text(it) for it in (OPEN, ADMITTED, f"431{answer}", f"432{answer}")]) as url:
        *events, end = talk(url)
    assert events == [Connected(1), Resumed(1, 9), Answered(1, Status.ACCEPTED, 9)], events
    assert isinstance(end, ENDS)


def main() -> None:
    """Fuzzes until libFuzzer's options say that it is enough."""
    with uncaught_kept():
        talk_to_a_right_receiver()
        atheris.Setup(sys.argv, Fuzzer().try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
