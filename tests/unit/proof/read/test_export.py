"""The journal's export format: its entries are found, and nothing that looks like one."""

import io

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sendrecv.proof.evidence import field
from sendrecv.proof.read import export


def parse(data: bytes) -> list[bytes]:
    return list(export.entries(io.BytesIO(data)))


def binary(name: str, value: bytes) -> bytes:
    return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def test_text_fields_are_found_and_nothing_else() -> None:
    (entry,) = parse(b"A=1\nBA=2\nB=3=4\nC=\n\n")
    assert [field(entry, name) for name in (b"A", b"BA", b"B", b"C", b"D")] == [
        b"1",
        b"2",
        b"3=4",
        b"",
        b"",
    ]


def test_an_entry_hidden_in_a_field_stays_hidden() -> None:
    hidden = b"a\n\n_PID=1\nMESSAGE=forged\n\nB=\n_PID=1"
    entries = parse(b"A=1\n" + binary("MESSAGE", hidden) + b"_PID=7\n\nA=2\n\n")
    assert entries == [b"\nA=1\n_PID=7\n", b"\nA=2\n"]


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_binary_fields_of_any_content_are_left_out(values: list[bytes]) -> None:
    data = b"".join(b"A=1\n" + binary("B", value) + b"C=2\n\n" for value in values)
    assert parse(data) == [b"\nA=1\nC=2\n"] * len(values)


def test_fields_larger_than_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHUNK", 16)
    data = b"A=1\n" + binary("B", b"\n" * 1000) + b"C=" + b"3" * 200 + b"\n\nD=4\n\n"
    assert parse(data) == [b"\nA=1\nC=" + b"3" * 200 + b"\n", b"\nD=4\n"]


@pytest.mark.parametrize("end", range(1, 60))
def test_a_file_cut_anywhere_is_noticed(end: int) -> None:
    data = b"A=1\n" + binary("B", b"x\n\ny" * 3) + b"C=2\n\nA=5\nB=6\n\n"
    if data[:-end] in (data[: data.index(b"A=5")], b""):
        assert len(parse(data[:-end])) <= 1
    else:
        with pytest.raises(export.ExportError):
            parse(data[:-end])


def test_what_is_no_export_is_refused() -> None:
    with pytest.raises(export.ExportError, match="not a field"):
        parse(b"some text\nwithout a field\n\n")
