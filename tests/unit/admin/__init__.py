"""Of sendrecv/admin: what commands of an administrator say, on values and files instead of systemd.

As all of tests/unit.
"""
