"""What runs on the host needs no more there than tests/lab/host.sh installs: Python and pytest."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[3]
NOT_THERE = ("aiohttp", "engineio", "greenlet", "hypothesis", "requests", "sdnotify", "socketio")
IMPORTED = """
import importlib, sys, traceback
libraries, *modules = sys.argv[1:]
for name in libraries.split(","):
    sys.modules[name] = None
for module in modules:
    try:
        importlib.import_module(module)
    except ImportError:
        print(module, traceback.format_exc())
"""


def on_the_host() -> list[str]:
    """The modules of the steps, and those of the tests that boot machines."""
    folders = ("system", "chaos", "bench")
    files = [path for folder in folders for path in (TOP / "tests" / folder).rglob("*.py")]
    files += [TOP / "tests" / "steps.py", TOP / "tests" / "demo.py"]
    return [".".join(path.relative_to(TOP).with_suffix("").parts) for path in files]


def not_imported(modules: list[str], folder: Path) -> str:
    """Which of them an interpreter cannot import that has none of the package's libraries."""
    command = [sys.executable, "-c", IMPORTED, ",".join(NOT_THERE), *modules]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_no_library_of_the_package_is_needed_on_the_host() -> None:
    """Else the whole of the system tests would end before the first one."""
    modules = on_the_host()
    assert len(modules) > 50
    assert not_imported(modules, TOP) == ""


def test_a_planted_import_is_found(tmp_path: Path) -> None:
    """Of a library, by a module that the module imports."""
    (tmp_path / "planted.py").write_text("import lower\n")
    (tmp_path / "lower.py").write_text("import sdnotify\n")
    found = not_imported(["planted", "json"], tmp_path)
    assert found.startswith("planted ") and "sdnotify" in found and "json " not in found
