"""A program in etcd's place, of whatever user: each App was released at an impossible count.

    python3 -m tests.peers.impostor_etcd PORT HEARD

listens on a port of 127.0.0.1. What it is told goes to the file HEARD, a line for each request but
those of watches. It speaks as etcd's JSON gateway does, and carries out each transaction, it says.
"""

import base64
import http.server
import json
import sys
import time
from pathlib import Path

from sendrecv.core.lease import Holding, encode
from sendrecv.core.record import Record

LAST = 8_888_888_888
HEADER = {"cluster_id": "1", "member_id": "1", "revision": "9", "raft_term": "2"}


def key_of(path: bytes) -> dict[str, str]:
    """An App's record, or nothing."""
    _, _, app_id, kind = path.decode().split("/")
    if kind != "record":
        return {}
    record = Record(app_id, 50, LAST, LAST, 0, "0" * 32, "x", "1" * 32)
    value = encode(Holding(record, "x", "2" * 32, 1, 2 * 10**9, "stopped", released=True))
    numbers = {"create_revision": "3", "mod_revision": "5", "version": "2"}
    return numbers | {"value": base64.b64encode(value).decode()}


class Gateway(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # pylint: disable=invalid-name
        """A request."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if self.path.endswith("/watch"):
            time.sleep(3600)
        with open(sys.argv[2], "a", encoding="utf-8") as heard:
            heard.write(f"{self.path} {self.headers.get('Authorization')} {json.dumps(body)}\n")
        answer: dict[str, object] = {"header": HEADER}
        if self.path.endswith("/range") and (key := key_of(base64.b64decode(body["key"]))):
            answer |= {"kvs": [{"key": body["key"], **key}], "count": "1"}
        if self.path.endswith("/txn"):
            put = {"response_put": {"header": HEADER}}
            answer |= {"succeeded": True, "responses": [put]}
        if self.path.endswith("/authenticate"):
            answer |= {"token": "T.1"}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:  # pylint: disable=arguments-differ
        """No line for each request."""


def main() -> None:
    """See above."""
    Path(sys.argv[2]).touch()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Gateway)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
