"""Settings files as systemd reads them; tests/system/test_check.py compares with systemd itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.core.env_file import MAX_FILE, parse
from tests.lab.env_files import ODD

EXPECTED = {
    b"  A = 1  \nB=2\n": {"A": "1", "B": "2"},
    b"A='x y' \nB=\"p q\"\n": {"A": "x y", "B": "p q"},
    b"A=x\\\ny\nB=2\n": {"A": "xy", "B": "2"},
    b"# a comment\n; another\nA=1 # not one\n": {"A": "1 # not one"},
    b"A=1\nA=2\n": {"A": "2"},
    b"\xef\xbb\xbfA=1\nB=2\n": {"B": "2"},
    b"A=\xff\nB=2\n": {},
    b'A=x\\ty\nB=\'a\\tb\'\nC="a\\tb\\"\\$"\n': {"A": "xty", "B": "a\\tb", "C": 'a\\tb"$'},
    b'A="x\ny"\nB=2\n': {"A": "x\ny", "B": "2"},
    b'A="x\\\ny"\n': {"A": "xy"},
    b"A='never ends\nB=2\n": {"A": "never ends\nB=2\n"},
    b"A=a'b'c\n": {"A": "a'b'c"},
    b"A='a' 'b'\n": {"A": "ab"},
    b"A=\nB=  \n": {"A": "", "B": ""},
    b"A=x \\\n  y\n": {"A": "x   y"},
    b"# a \\x\nA=1\n": {"A": "1"},
    b"# a": {},
    b"A=\\'x\n": {"A": "'x"},
}


@pytest.mark.parametrize(("data", "values"), EXPECTED.items())
def test_what_is_read(data: bytes, values: dict[str, str]) -> None:
    assert parse(data).values() == values


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"A=1\nB: 2\n", 2, "'B: 2' has no =, so nothing is set: write B=..."),
        (b"A=1\n\n B\n", 3, "'B' has no =, so nothing is set"),
        (b"A", 1, "'A' has no ="),
        (b"\xef\xbb\xbfA=1\n", 1, "a byte-order mark stands before the first name, so it is not"),
        (b"# x\nexport A=1\n", 2, "this is no shell, so A is not set: write A=... without export"),
        (b"A=1\nB-C=2\n", 2, "'B-C' is no name of a setting"),
        (b"A=1\nB=\xff\n", 2, "byte 0xff is no UTF-8: nothing of the whole file is read"),
        (b"A=1\nB=\0\n", 2, "a byte that is zero: nothing of the whole file is read"),
        (b"A=1\nB='x\nC=2\n", 2, "a quote that never ends takes all that follows"),
        (b"# a \\\nA=1\n", 1, "a comment that ends in \\ may take the next line with it"),
        (b"A=" + b"x" * MAX_FILE, 0, "it is longer than"),
    ],
)
def test_what_is_wrong_and_where(data: bytes, line: int, words: str) -> None:
    (found,) = parse(data).complaints
    assert found.line == line and found.text.startswith(words)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# a\n;b\n", b"A=1\nB='x y'\n"])
def test_nothing_is_wrong(data: bytes) -> None:
    assert not parse(data).complaints


def test_each_odd_file_is_read() -> None:
    assert len(ODD) > 25 and all(parse(data) for data in ODD)


@given(st.binary(max_size=200) | st.text("A=1 \"'\\\n#;:\r").map(str.encode))
def test_whatever_is_in_it(data: bytes) -> None:
    found = parse(data)
    assert all(one.text.isprintable() for one in found.complaints)
    assert all(0 < one.line <= data.count(b"\n") + 1 for one in found.assignments)
