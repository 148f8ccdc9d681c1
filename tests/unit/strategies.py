"""What Hypothesis makes of peers that say anything: values of JSON, and frames of a WebSocket."""

from collections.abc import Callable

from hypothesis import strategies as st

numbers = st.integers(-(2**70), 2**70) | st.floats()
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def frames(make: Callable[..., bytes], packets: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Frames with such text, or with other bytes. make: frame() of a client, or a server's."""
    return st.builds(
        make,
        st.binary(max_size=40) | packets.map(str.encode),
        st.integers(0, 15),
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 4, 7]),
        length=st.none() | st.sampled_from([0, 1, 125, 126, 65536, 2**62]),
    )
