"""Of sendrecv/core: machines and formats, by tables and by inputs of hypothesis.

Each list of commands is cut after each step. As all of tests/unit; much of it runs on one release
in `make test` (tests/steps.py).
"""
