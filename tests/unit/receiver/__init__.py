"""Of sendrecv/receiver: the real one, on loopback sockets and files. As all of tests/unit."""
