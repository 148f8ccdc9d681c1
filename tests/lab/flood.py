"""Runs in a machine, as any user: keeps journald busy.

python3 flood.py [SEVERITY]
"""

import socket
import sys

severity = sys.argv[1] if len(sys.argv) > 1 else "6"

stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(f"flood\n\n{severity}\n0\n0\n0\n0\n".encode("ascii"))
while True:
    stream.sendall(b"y\n" * 8000)
