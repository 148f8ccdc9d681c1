"""Fixtures of what reads the journal."""

import json
import os
from pathlib import Path

import pytest

from sendrecv.admin import takeovers
from tests.unit.admin.journals import ENTRY, does


@pytest.fixture(name="journal")
def fixture_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What journalctl does: a script, first in the PATH. Its arguments are kept."""
    script = tmp_path / "bin/journalctl"
    script.parent.mkdir()
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(takeovers, "DIRECTORIES", (str(tmp_path / "journal"),))
    (tmp_path / "journal").mkdir()
    does(script, f"cat << 'END'\n{json.dumps(ENTRY)}\nEND")
    return script
