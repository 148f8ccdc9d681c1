"""Fuzzing of the receiver's gateway, guided by coverage: atheris, from PyPI; not in `make test`.

    python3 -m venv /tmp/fuzz
    /tmp/fuzz/bin/pip install atheris aiohttp python-socketio sdnotify
    nice /tmp/fuzz/bin/python -m tests.fuzz.gateway -max_total_time=1200 -max_len=600 \\
        -len_control=0 -dict=tests/fuzz/gateway.dict CORPUS

CORPUS is a folder, empty at first, which keeps what reached new code. The real receiver runs in
this process, on a loopback socket; each input is one connection to it. After each, nothing may have
been printed that was not sent rightly, and after some a right sender must be served. A failure is
an exception, and libFuzzer keeps the input that made it.
"""

import contextlib
import sys
import tempfile
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

atheris: Any = import_module("atheris")  # untyped, and mostly not there
Source = Any
"""atheris.FuzzedDataProvider."""

with atheris.instrument_imports(include=["sendrecv", "socketio", "engineio"]):
    from tests.lab.reception import TOKEN, Reception, assert_sound
    from tests.peers.peer import Peer, auth, frame, payload

EACH = 50
"""Inputs between two looks at whether a right sender is served."""


class Fuzzer:
    """One input after the other, against one receiver."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._runs = count(1)
        self._ways = [self._request, self._frames, self._packets, self._auth]
        self._ways_in = [self._frames, self._packets, self._counts]

    def try_one(self, data: bytes) -> None:
        """An input: its first bytes choose what the rest of them is."""
        source = atheris.FuzzedDataProvider(data)
        self._reception.do(self._connect, source)
        run = next(self._runs)
        if run % EACH == 0:
            self._reception.do(self.serve_right_sender, run)
        assert_sound(self._reception.printed()[-EACH:], self._reception.said()[-EACH:], TOKEN)

    def _connect(self, source: Source) -> None:
        with self._reception.peer(timeout=2) as peer, contextlib.suppress(OSError):
            if source.ConsumeBool():
                peer.open()
                app_id = f"a{source.ConsumeIntInRange(0, 9)}"
                peer.connect(auth(app_id, TOKEN, epoch=next(self._runs)))
                source.PickValueInList(self._ways_in)(peer, source)
            else:
                source.PickValueInList(self._ways)(peer, source)

    @staticmethod
    def _request(peer: Peer, source: Source) -> None:
        peer.send(source.ConsumeBytes(sys.maxsize))

    @staticmethod
    def _frames(peer: Peer, source: Source) -> None:
        peer.open()
        while source.remaining_bytes():
            opcode, fin = source.ConsumeIntInRange(0, 15), source.ConsumeBool()
            peer.send(frame(source.ConsumeBytes(source.ConsumeIntInRange(0, 30)), opcode, fin=fin))

    @staticmethod
    def _packets(peer: Peer, source: Source) -> None:
        peer.open()
        while source.remaining_bytes():
            peer.send_text(source.ConsumeUnicode(source.ConsumeIntInRange(0, 60)))

    @staticmethod
    def _auth(peer: Peer, source: Source) -> None:
        peer.open()
        peer.send_text(f"40{source.ConsumeUnicode(sys.maxsize)}")

    @staticmethod
    def _counts(peer: Peer, source: Source) -> None:
        while source.remaining_bytes():
            kind = source.PickValueInList(["421", '421["count",', '421["count",{"count":', "42["])
            peer.send_text(kind + source.ConsumeUnicode(source.ConsumeIntInRange(0, 60)))

    def serve_right_sender(self, run: int) -> None:
        """A sender that does nothing wrong, and is served."""
        with self._reception.peer() as peer:
            assert peer.open() == 101
            assert "sid" in (peer.connect(auth("right", TOKEN, epoch=run + 1)) or {})
            last = peer.call("resume")["last"]
            number = 0 if last is None else last + 1
            answer = peer.call("count", payload(number, "right"))
            assert answer == {"status": "accepted", "last": number}, answer


def main() -> None:
    """Fuzzes until libFuzzer's options say that it is enough."""
    with tempfile.TemporaryDirectory() as directory, Reception(Path(directory)) as reception:
        fuzzer = Fuzzer(reception)
        reception.do(fuzzer.serve_right_sender, 0)
        atheris.Setup(sys.argv, fuzzer.try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
