"""How tests wait for what no event tells of."""

import time
from collections.abc import Callable

HANG = 60.0
"""Seconds. Longer than anything takes that does not hang."""


def wait_until(found: Callable[[], object], what: str) -> None:
    """Looks again and again; fails after HANG."""
    deadline = time.monotonic() + HANG
    while not found():
        assert time.monotonic() < deadline, f"not in {HANG:g} s: {what}"
        time.sleep(0.005)
