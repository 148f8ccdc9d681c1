"""Measures what `sendrecv` runs as a process of a test, for `make coverage`.

Each Python that is told to run sendrecv.cli runs this first, by steps.HOOK: no test and no command
knows of it. What is killed says nothing.
"""

import atexit
import resource
from pathlib import Path

import coverage


def measure(tree: Path) -> None:
    """From now on to the end of this process; for `coverage combine` in that tree."""
    measured = coverage.Coverage(
        data_file=str(tree / ".coverage"),
        data_suffix=True,
        config_file=str(tree / "pyproject.toml"),
        source=[str(tree / "sendrecv")],
    )
    measured.start()
    atexit.register(_end, measured)


def _end(measured: coverage.Coverage) -> None:
    measured.stop()
    # Some tests give a process a full disk, by this limit.
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    measured.save()


if __name__ == "measured":
    measure(Path(__file__).resolve().parents[2])
