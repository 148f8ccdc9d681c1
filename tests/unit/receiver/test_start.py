"""What the receiver makes of the lines that its unit hands over."""

from pathlib import Path

import pytest

from sendrecv.errors import LedgerBroken
from sendrecv.receiver import start


@pytest.mark.parametrize("data", [b"", b"e", b"end", b"line\n", b"line\nen"])
def test_a_cut_off_file_is_handed_over_again(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By starting again, which LedgerBroken asks for: an OSError would be waited out for ever."""
    monkeypatch.setattr(start, "PRINTED", tmp_path / "printed")
    start.PRINTED.write_bytes(data)
    with pytest.raises(LedgerBroken, match="incomplete"):
        list(start.printed_lines())


def test_all_lines_of_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "PRINTED", tmp_path / "printed")
    start.PRINTED.write_bytes(b"one\n\xff\nend\n")
    assert list(start.printed_lines()) == ["one\n", "\ufffd\n", "end\n"]
