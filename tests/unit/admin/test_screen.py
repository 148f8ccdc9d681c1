"""What a person sees: tables that fit, colours where they are wanted, times."""

import sys

import pytest

from sendrecv.admin.screen import RED, Column, Screen, duration, moment, plain

COLUMNS = [
    Column("APP", ("main", "a long name")),
    Column("STATE", ("counting", "stopped"), colours=("", RED)),
    Column("COUNT", ("7", "12345"), 2, right=True),
    Column("EPOCH", ("1", "2"), 3, right=True),
]


@pytest.fixture(name="screen")
def fixture_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("COLUMNS", "80")
    return Screen()


def test_a_table_is_in_columns(screen: Screen) -> None:
    assert screen.table(COLUMNS) == (
        "APP          STATE     COUNT  EPOCH\n"
        "main         counting      7      1\n"
        "a long name  stopped   12345      2"
    )


@pytest.mark.parametrize(("width", "header"), [(35, "EPOCH"), (34, "COUNT"), (27, "STATE")])
def test_what_matters_least_is_dropped_where_it_is_narrow(
    screen: Screen, width: int, header: str
) -> None:
    screen.width = width
    lines = screen.table(COLUMNS).splitlines()
    assert lines[0].split()[-1] == header and max(map(len, lines)) <= width


def test_a_name_that_is_too_long_stands_alone(screen: Screen) -> None:
    """The others keep their columns."""
    name = "a-name-that-is-longer-than-most"
    columns = [Column("APP", ("main", name)), *COLUMNS[1:]]
    screen.width = 40
    assert screen.table(columns) == (
        "APP               STATE     COUNT  EPOCH\n"
        "main              counting      7      1\n"
        "a-name-that-is-longer-than-most\n"
        "                  stopped   12345      2"
    )
    screen.width = 33
    assert screen.table(columns).splitlines()[0].split() == ["APP", "STATE", "COUNT"]
    screen.width = 200
    assert screen.table(columns).count("\n") == 2


@pytest.mark.parametrize(
    ("terminal", "environ", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (False, {"TERM": "xterm"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
    ],
)
def test_colours(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, environ: dict[str, str], coloured: bool
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    assert (Screen().paint("x", RED) != "x") == coloured
    assert ("\x1b" in Screen().table(COLUMNS)) == coloured


def test_words_are_wrapped(screen: Screen) -> None:
    screen.width = 20
    assert screen.wrapped("one two three four five", "! ", "  ") == [
        "! one two three four",
        "  five",
    ]


def test_moments_and_durations() -> None:
    now = 1_795_764_433.0
    assert moment(None, now) == "" and moment(now, now).count(":") == 2
    assert moment(now - 5 * 86400, now).startswith("Nov 22 ")
    assert moment(now - 400 * 86400, now) == "2025-10-23"
    spans = [0.31, 12, 119, 120, 7200, 200_000]
    assert [*map(duration, spans)] == ["0.3 s", "12 s", "119 s", "2 min", "2 h", "2 d"]


def test_what_others_have_written_is_harmless() -> None:
    assert plain("ä b") == "ä b" and plain("a\x1b[31m\n") == r"a\x1b[31m\n"
