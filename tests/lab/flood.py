"""Runs in a machine, as any user: keeps journald busy."""

import socket

stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"flood\n\n6\n0\n0\n0\n0\n")
while True:
    stream.sendall(b"y\n" * 8000)
