"""`sendrecv metrics` as it is typed: to standard output, or into a file."""

from pathlib import Path

import pytest

from sendrecv.admin.metrics import command, reading
from sendrecv.errors import UsageError


@pytest.fixture(name="said")
def fixture_said(monkeypatch: pytest.MonkeyPatch) -> str:
    """What is measured."""
    said = "sendrecv_problems 0.0\n"
    monkeypatch.setattr(reading, "text", lambda *_: said)
    return said


def test_printed(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    assert capsys.readouterr().out == said


def test_a_file_is_replaced_as_a_whole(said: str, tmp_path: Path) -> None:
    """Who has opened the one before reads that to its end; and nothing else is left behind."""
    file = tmp_path / "sendrecv.prom"
    file.write_text("before", encoding="ascii")
    with file.open(encoding="ascii") as before:
        assert command.main(["--output", str(file)]) == 0
        assert before.read() == "before"
    assert file.read_text(encoding="utf-8") == said
    assert file.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["sendrecv.prom"]


@pytest.mark.usefixtures("said")
def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        command.main(["--output", str(tmp_path / "none/x.prom")])
    (tmp_path / "x.prom").mkdir()
    with pytest.raises(UsageError, match="Is a directory"):
        command.main(["--output", str(tmp_path / "x.prom")])
    assert [one.name for one in tmp_path.iterdir()] == ["x.prom"]
