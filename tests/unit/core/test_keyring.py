"""Which tokens are valid after a change of the file: the table of core/keyring.py, row by row."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.core import keyring
from sendrecv.core.errors import PeerError
from sendrecv.core.keyring import Change, Key, Keyring
from sendrecv.core.tokens import parse

A, B, C = "a" * 32, "b" * 32, "c" * 32
NOW, LATER = 100.0, 200.0


def keys(*lines: str) -> tuple[Key, ...]:
    """Of a file."""
    found = parse("\n".join(lines))
    assert not found.problems
    return keyring.of(found.tokens)


def renewed(*files: tuple[str, ...]) -> tuple[Keyring, Change]:
    """One file after the other, the last one at NOW, and so on."""
    ring, change = Keyring(), keyring.NOTHING
    for lines in files:
        ring, change = ring.renewed(keys(*lines), LATER)
    return ring, change


def valid(ring: Keyring, now: float = NOW) -> dict[str, tuple[str, ...] | None]:
    """The Apps of each token that is valid, by its one letter."""
    letters = {keyring.digest_of(token): token[0] for token in (A, B, C)}
    apps = {letters[key.digest]: key.apps for key in ring.at(now).keys}
    return {letter: None if app is None else tuple(sorted(app)) for letter, app in apps.items()}


@pytest.mark.parametrize(
    ("files", "now", "later", "change"),
    [
        pytest.param(
            [(f"x m {A}",), (f"x m,n {B}",)],
            {"a": ("m", "n"), "b": ("m", "n")},
            {"b": ("m", "n")},
            Change((), ("x",), (), ()),
            id="changed",
        ),
        pytest.param(
            [(f"x m {A}",), (f"x m {B}",), (f"x m {C}",)],
            {"a": ("m",), "b": ("m",), "c": ("m",)},
            {"c": ("m",)},
            Change((), ("x",), (), ()),
            id="changed twice",
        ),
        pytest.param(
            [(f"x m {A}", f"y * {B}"), (f"y * {B}",)],
            {"b": None},
            {"b": None},
            Change((), (), ("x",), ()),
            id="removed",
        ),
        pytest.param(
            [(f"x m {A}", f"y * {C}"), (f"x m {B}", f"y * {C}"), (f"y * {C}",)],
            {"c": None},
            {"c": None},
            Change((), (), ("x",), ()),
            id="changed, then removed",
        ),
        pytest.param(
            [(A,), (B,)],
            {"a": None, "b": None},
            {"b": None},
            Change((), ("",), (), ()),
            id="unnamed",
        ),
        pytest.param(
            [(A,), (f"x m {B}",)],
            {"a": None, "b": ("m",)},
            {"b": ("m",)},
            Change(("x",), ("",), (), ()),
            id="lines in place of an unnamed one",
        ),
        pytest.param(
            [(A,), (f"x m {A}",)],
            {"a": ("m",)},
            {"a": ("m",)},
            Change(("x",), (), (), ()),
            id="a name for it",
        ),
        pytest.param(
            [(A,), ("# nobody",)], {}, {}, Change((), (), ("",), ()), id="no token at all"
        ),
        pytest.param(
            [(f"x m {A}",), (B,)],
            {"b": None},
            {"b": None},
            Change(("",), (), ("x",), ()),
            id="an unnamed one in place of lines",
        ),
        pytest.param(
            [(f"x m,n {A}",), (f"x n {A}",)],
            {"a": ("n",)},
            {"a": ("n",)},
            Change((), (), (), ("x",)),
            id="fewer Apps",
        ),
        pytest.param(
            [(f"x m {A}",), (f"x m {B}",), (f"x m {A}",)],
            {"a": ("m",), "b": ("m",)},
            {"a": ("m",)},
            Change((), ("x",), (), ()),
            id="changed back",
        ),
        pytest.param(
            [(f"x m {A}",), (f"x m {A}",)], {"a": ("m",)}, {"a": ("m",)}, keyring.NOTHING, id="same"
        ),
    ],
)
def test_what_is_valid_now_and_later(
    files: list[tuple[str, ...]],
    now: dict[str, tuple[str, ...] | None],
    later: dict[str, tuple[str, ...] | None],
    change: Change,
) -> None:
    ring, changed = renewed(*files)
    assert (valid(ring), valid(ring, LATER), changed) == (now, later, change)
    assert keyring.read(ring.text()) == ring


@pytest.mark.parametrize(
    ("files", "stays"),
    [
        ([(f"x m {A}",), (f"x m {B}",)], True),
        ([(f"x m {A}",), (f"x n {B}",)], False),
        ([(f"x m {A}",), (f"y m {B}",)], False),
        ([(f"x m {A}",), (f"y m {A}",)], True),
        ([(f"x m {A}",), (f"y n {A}",)], False),
        ([(f"x m {A}",), (A,)], True),
        ([(f"x m {A}",), ("# nobody",)], False),
        ([(A,), (f"x m {B}",)], True),
        ([(A,), (B,), (C,)], True),
        ([(A,), ("# nobody",)], False),
    ],
)
@pytest.mark.parametrize("when", [NOW, LATER])
def test_who_is_connected_stays_unless_shut_out(
    files: list[tuple[str, ...]], stays: bool, when: float
) -> None:
    """Also once the old token has ended: nobody is cut off for that."""
    shown = keys(*files[0])[0]
    assert renewed(*files)[0].at(when).keeps(shown, "m") is stays


def test_an_old_one_ends_when_it_was_to_end() -> None:
    ring, _ = renewed((f"x m {A}",), (f"x m {B}",))
    again, _ = ring.renewed(keys(f"x m {C}"), LATER + 50)
    assert set(valid(again, LATER)) == {"b", "c"}
    assert [key.digest for key in ring.ended(LATER)] == [keyring.digest_of(A)]
    assert not ring.ended(NOW) and set(valid(ring.shortened(NOW))) == {"b"}


def test_old_ones_are_few() -> None:
    ring = Keyring()
    for number in range(keyring.MAX_OLD + 5):
        ring, _ = ring.renewed((Key("x", None, str(number)),), float(number))
    assert len(ring.keys) == keyring.MAX_OLD + 1
    assert ring.find("0") is None and ring.find(str(keyring.MAX_OLD)) is not None


@given(
    st.one_of(
        st.text(),
        st.recursive(
            st.one_of(st.none(), st.text(), st.integers(), st.floats()), st.lists, max_leaves=9
        ).map(json.dumps),
    )
)
def test_what_is_no_keyring(text: str) -> None:
    try:
        ring = keyring.read(text)
    except PeerError:
        return
    assert keyring.read(ring.text()).text() == ring.text()


@pytest.mark.parametrize(
    "row",
    [[1, None, "d", None], ["n", None, 1, None], ["n", "m", "d", None], ["n", None, "d", "x"]],
)
def test_what_is_no_key(row: list[object]) -> None:
    """The strategy above finds such a row in most runs only."""
    with pytest.raises(PeerError, match="not a keyring"):
        keyring.read(json.dumps([row]))


def _forgets(ring: Keyring) -> Keyring:
    """Planted: a changed token is not valid any more."""
    return Keyring(tuple(key for key in ring.keys if key.until is None))


def _forgives(ring: Keyring) -> Keyring:
    """Planted: a token that was removed is valid for a while."""
    return Keyring((*ring.keys, Key("x", None, keyring.digest_of(A), LATER)))


@pytest.mark.parametrize(
    ("spoil", "files"),
    [(_forgets, [(f"x m {A}",), (f"x m {B}",)]), (_forgives, [(f"x m {A}",), (f"y m {B}",)])],
)
def test_the_table_finds_what_is_planted(
    spoil: Callable[[Keyring], Keyring], files: list[tuple[str, ...]]
) -> None:
    ring, _ = renewed(*files)
    assert valid(spoil(ring)) != valid(ring)
