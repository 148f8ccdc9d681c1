"""What runs on the host needs no more there than tests/lab/host.sh installs: Python and pytest."""

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
NOT_THERE = ("aiohttp", "engineio", "greenlet", "hypothesis", "requests", "sdnotify", "socketio")
IMPORTED = """
import importlib, sys
for name in sys.argv[2].split(","):
    sys.modules[name] = None
importlib.import_module(sys.argv[1])
"""


def on_the_host() -> list[str]:
    """The modules of the steps, and those of the tests that boot machines."""
    folders = ("system", "chaos", "bench")
    files = [path for folder in folders for path in (TOP / "tests" / folder).rglob("*.py")]
    files += [TOP / "tests" / "steps.py", TOP / "tests" / "demo.py"]
    return [".".join(path.relative_to(TOP).with_suffix("").parts) for path in files]


def is_imported(module: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """By an interpreter that has none of the package's libraries."""
    command = [sys.executable, "-c", IMPORTED, module, ",".join(NOT_THERE)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", on_the_host())
def test_no_library_of_the_package_is_needed_on_the_host(module: str) -> None:
    """Else the whole of the system tests would end before the first one."""
    done = is_imported(module, TOP)
    assert not done.returncode, done.stderr


def test_a_planted_import_is_found(tmp_path: Path) -> None:
    """Of a library, by a module that the module imports."""
    (tmp_path / "planted.py").write_text("import lower\n")
    (tmp_path / "lower.py").write_text("import sdnotify\n")
    assert "sdnotify" in is_imported("planted", tmp_path).stderr
