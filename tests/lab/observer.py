"""Runs in a machine: logs each line that journald forwards to syslog (ForwardToSyslog=yes).

It sees what the journal no longer has, or never had. Each line begins with the time: seconds of the
monotonic clock.

    python3 observer.py FILE
"""

import os
import socket
import sys
import time

PATH = "/run/systemd/journal/syslog"


def main() -> None:
    """Until it is killed."""
    if os.path.exists(PATH):
        os.unlink(PATH)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
    server.bind(PATH)
    with open(sys.argv[1], "ab", buffering=0) as log:
        while True:
            line = server.recv(1 << 16).rstrip(b"\n")
            log.write(b"%.6f %s\n" % (time.monotonic(), line))


if __name__ == "__main__":
    main()
