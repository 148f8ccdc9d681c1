"""The lease of sendrecv/core/lease.py as a bare script: the floor of what a lost host costs.

    bare_lease.py hold NAME SECONDS HOST:PORT,...    holds a key of etcd, or waits for it
    bare_lease.py answers HOST:PORT,...              tells whether etcd commits something

Prints a line "WORD SECONDS", of the monotonic clock, for each change: "taken", "lost", "answers",
"silent". Runs in the machines, so it needs nothing but the standard library.
"""

import base64
import json
import sys
import time
from collections import deque
from http.client import HTTPConnection, HTTPException
from typing import Any

KEY = "/floor/lease"
PROBED = "/floor/probe"
ANSWER = 0.1
"""Seconds after which the next endpoint is asked."""
LOOKS = 20
"""How often a stand-by reads the key in one lease. The package is told by a watch."""
EAGER = 0.01
"""Seconds between two requests while etcd does not answer."""


class Etcd:
    """One connection to the JSON gateway of the first endpoint that answers."""

    def __init__(self, endpoints: str) -> None:
        self._endpoints = deque(endpoints.split(","))
        self._connection: HTTPConnection | None = None

    def get(self) -> tuple[int, str] | None:
        """The key's revision, 0 for none, and its value; None: no answer."""
        answer = self._ask("range", {"key": _coded(KEY)})
        return None if answer is None else _only(answer)

    def put_if(self, revision: int, value: str) -> int | None:
        """The new revision; 0: the key has changed; None: no answer."""
        key = {"key": _coded(KEY)}
        compare = {**key, "target": "MOD", "result": "EQUAL", "mod_revision": revision}
        put = {"request_put": {**key, "value": _coded(value)}}
        body = {"compare": [compare], "success": [put], "failure": [{"request_range": key}]}
        answer = self._ask("txn", body)
        if answer is None:
            return None
        if answer.get("succeeded"):
            return int(answer["header"]["revision"])
        # The write before it may have been done, and only its answer was late.
        found, there = _only(answer["responses"][0]["response_range"])
        return found if there == value and revision else 0

    def put(self) -> bool:
        """Whether etcd has committed something."""
        return self._ask("put", {"key": _coded(PROBED), "value": ""}) is not None

    def _ask(self, what: str, body: dict[str, Any]) -> dict[str, Any] | None:
        try:
            if self._connection is None:
                self._connection = HTTPConnection(self._endpoints[0], timeout=ANSWER)
            self._connection.request("POST", f"/v3/kv/{what}", json.dumps(body).encode())
            answer = self._connection.getresponse()
            data = answer.read()
            if answer.status == 200:
                found: dict[str, Any] = json.loads(data)
                return found
        except (OSError, HTTPException):
            pass
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._endpoints.rotate(-1)
        return None


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _only(answer: dict[str, Any]) -> tuple[int, str]:
    for key in answer.get("kvs", []):
        return int(key["mod_revision"]), base64.b64decode(key.get("value", "")).decode()
    return 0, ""


def _say(word: str) -> None:
    print(word, time.monotonic(), flush=True)


def hold(etcd: Etcd, name: str, lease: float) -> None:
    """Takes the key when its lease is over, and keeps it until another host has it."""
    while True:
        revision = _stand_by(etcd, name, lease)
        _say("taken")
        while revision:
            sent = time.monotonic()
            done = etcd.put_if(revision, name)
            if done is not None:
                revision = done
                time.sleep(max(sent + lease / 4 - time.monotonic(), 0))
            else:
                time.sleep(EAGER)
        _say("lost")


def _stand_by(etcd: Etcd, name: str, lease: float) -> int:
    """Returns the revision under which the key was taken."""
    seen, since, answering = -1, 0.0, -1.0
    while True:
        sent = time.monotonic()
        if (key := etcd.get()) is None:
            answering = -1.0
            time.sleep(EAGER)
            continue
        now = time.monotonic()
        answering = sent if answering < 0 else answering
        if key[0] != seen:
            seen, since = key[0], now
        over = max(since + lease, answering + lease / 4) if seen else now
        if now >= over and (revision := etcd.put_if(seen, name)):
            return revision
        time.sleep(min(lease / LOOKS, max(over - now, EAGER)))


def answers(etcd: Etcd) -> None:
    """Tells each change."""
    before = ""
    while True:
        word = "answers" if etcd.put() else "silent"
        if word != before:
            _say(word)
        before = word
        time.sleep(EAGER)


def main() -> None:
    """See the module."""
    match sys.argv[1:]:
        case ["hold", name, lease, endpoints]:
            hold(Etcd(endpoints), name, float(lease))
        case ["answers", endpoints]:
            answers(Etcd(endpoints))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
