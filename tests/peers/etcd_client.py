"""A client of etcd that does what it is told, line by line, and says what came of it.

    python3 -m tests.peers.etcd_client '{"at": ["a:2379"], "tls": false, "credentials": {...}}'

A line is [KEY] to read, [KEY, REVISION, VALUE] to write, or ["watch", KEY, null]. The answer is a
line too: {"key": [REVISION, VALUE]}, {"written": REVISION}, {"found": ...} or {"error": TEXT}, with
"seconds". Each call of a watch's `wake` is a line {"woken": KEY}. Values are base64.
"""

import base64
import json
import sys
import threading
import time
from functools import partial
from typing import Any

from sendrecv.sender.etcd import Credentials, Endpoint, Etcd, EtcdError, EtcdKey, Written

TIMEOUT = 5.0
"""Seconds for a call."""
_printing = threading.Lock()


def say(answer: object) -> None:
    """A line, whole."""
    with _printing:
        print(json.dumps(answer), flush=True)


def shown(key: EtcdKey | None) -> object:
    """A key as JSON."""
    return key and [key.revision, base64.b64encode(key.value).decode()]


def done(etcd: Etcd, key: str, *write: Any) -> dict[str, object]:
    """What came of it."""
    try:
        if not write:
            return {"key": shown(etcd.get(key, TIMEOUT))}
        revision, value = write
        outcome = etcd.put_if(key, revision, base64.b64decode(value), TIMEOUT)
    except EtcdError as error:
        return {"error": str(error), "type": type(error).__name__}
    if isinstance(outcome, Written):
        return {"written": outcome.revision}
    return {"found": shown(outcome.key)}


def main() -> None:
    """See above."""
    says = json.loads(sys.argv[1])
    at = (address.split(":") for address in says["at"])
    endpoints = [Endpoint(host, int(port)) for host, port in at]
    etcd = Etcd(endpoints, Credentials(**says.get("credentials", {})), tls=says.get("tls", False))
    say("ready")
    for line in sys.stdin:
        match json.loads(line):
            case ["watch", key, None]:
                etcd.watch(key, partial(say, {"woken": key}))
            case [key, *write]:
                began = time.monotonic()
                answer = done(etcd, key, *write)
                say({**answer, "seconds": time.monotonic() - began})
    etcd.close()


if __name__ == "__main__":
    main()
