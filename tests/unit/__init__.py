"""What needs no machine: each module's own promises, at its edges, against real files and sockets.

Runs on the Python and the libraries of each release, in a build root, as a user without rights;
by hand with `python3 -m pytest tests/unit`. With simulation and model, the same step, it takes four
minutes of CPU; on Debian 12 less, without the model.
"""
