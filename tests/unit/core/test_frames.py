"""Short frames, and where frames begin. What a peer can do with sizes is in test_admission.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.core.frames import Frames, short_frame, short_text
from tests.peers.peer import BINARY, PING, frame

MASK = b"\x01\x20\x03\x80"


@given(st.binary(max_size=125), st.binary(min_size=4, max_size=4))
def test_the_text_of_a_short_frame(text: bytes, mask: bytes) -> None:
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
    assert short_text(bytes((0x81, 0x80 | len(text))) + mask + masked) == text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",
        b"\x81\x80",
        b"\x81\x82" + MASK + b"a",  # not all of it
        b"\x81\x81" + MASK + b"ab",  # and more
        b"\x01\x81" + MASK + b"a",  # more frames follow
        b"\x80\x81" + MASK + b"a",  # the last of several
        b"\x82\x81" + MASK + b"a",
        b"\x89\x81" + MASK + b"a",
        b"\xc1\x81" + MASK + b"a",  # a reserved bit
        b"\x81\x01" + MASK + b"a",  # not masked
        b"\x81\xfe\x00\x7e" + MASK + b"a" * 126,
    ],
)
def test_everything_else_is_none(data: bytes) -> None:
    assert short_text(data) is None


def test_a_frame_of_the_server() -> None:
    assert short_frame(b"43") == b"\x81\x0243"
    assert short_frame(b"a" * 125) == b"\x81\x7d" + b"a" * 125
    with pytest.raises(ValueError, match="126 bytes are no short frame"):
        short_frame(b"a" * 126)


def test_whether_data_is_whole_frames() -> None:
    frames = Frames()
    one, other = frame(b"42[]"), frame(b"a" * 200, BINARY)
    for data, whole in [
        (one, True),
        (one + frame(b"", PING), True),
        (one[:1], False),
        (one[1:], False),
        (one, True),
        (other[:3], False),
        (other[3:100], False),
        (other[100:] + one, False),
        (one, True),
        (one + other[:50], False),
        (other[50:], False),
        (other, True),
    ]:
        frames.feed(data)
        assert frames.whole is whole, data
