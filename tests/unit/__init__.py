"""What needs no machine: each module's own promises, at its edges, against real files and sockets.

Runs on the Python and the libraries of each release, in a build root, as a user without rights:
the steps unit-bookworm and unit-trixie of `make test`. By hand: `python3 -m pytest tests/unit`.
What it takes: minutes, see CONTRIBUTING.md.
"""
