"""The file of tokens: who gets which right, and that whatever is in it gives nobody more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.core.tokens import MAX_PROBLEMS, SHORT, Token, parse
from sendrecv.core.wire import MAX_TOKEN, MAX_TOKEN_FILE, MIN_TOKEN
from sendrecv.core.wire import is_name

A, B, C = "a" * MIN_TOKEN, "b" * MIN_TOKEN, "c" * MIN_TOKEN
SEVERAL = f"""\
# who it is for
here\t*  {A}
berlin main,orders   {B}

old.host main {C}
"""


@pytest.mark.parametrize(
    "text", ["x" * MIN_TOKEN, f"  {'x' * MIN_TOKEN} \n", f"a/b{'x' * MIN_TOKEN}", "x" * MAX_TOKEN]
)
def test_one_token_is_for_all_apps(text: str) -> None:
    found = parse(text)
    assert found.tokens == (Token("", None, text.strip()),) and not found.problems
    assert found.for_app("any") == found.widest() == text.strip()


@pytest.mark.parametrize(
    "text",
    ["", "\n", "# a", "#a", "a b", "a b c d", "a\nb", "x" * (MAX_TOKEN + 1), "x" * (MIN_TOKEN - 1)],
)
def test_no_token(text: str) -> None:
    """Not even if it is what somebody has left of several lines."""
    found = parse(text)
    assert not found.tokens and found.for_app("any") == found.widest() == ""


def test_several_tokens() -> None:
    found = parse(SEVERAL)
    assert not found.problems
    assert [(token.name, token.secret) for token in found.tokens] == [
        ("here", A),
        ("berlin", B),
        ("old.host", C),
    ]
    rights = [[app for app in ("main", "orders", "x") if it.is_for(app)] for it in found.tokens]
    assert rights == [["main", "orders", "x"], ["main", "orders"], ["main"]]
    assert parse(f"berlin main {B}").tokens == (Token("berlin", frozenset(["main"]), B),)


def test_a_sender_shows_the_first_token_that_is_for_its_app() -> None:
    found = parse(f"a main {A}\nb orders,main {B}\nc * {C}\n")
    assert [found.for_app(app) for app in ("main", "orders", "x")] == [A, B, C]
    assert found.widest() == C
    assert parse(f"a main {A}\nb orders {B}").for_app("x") == ""
    assert parse(f"a main {A}\nb orders {B}").widest() == A


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("secret", "must be NAME APPS TOKEN"),
        ("a main", "must be NAME APPS TOKEN"),
        ("a main x y", "must be NAME APPS TOKEN"),
        ("-a main x", "must be NAME APPS TOKEN, the name as an appID"),
        ("a main, x", "must be NAME APPS TOKEN, the Apps * or appIDs with commas in between"),
        ("a *,main x", "must be NAME APPS TOKEN, the Apps * or appIDs with commas in between"),
        ("a ma/in x", "must be NAME APPS TOKEN, the Apps * or appIDs with commas in between"),
        ("a main secret", SHORT),
        (f"a main {'x' * 4097}", "the token is longer than 4096"),
        (f"good orders {B}", "there is another token called good"),
        (f"a * {A}", "a has the same token as good"),
    ],
)
def test_a_line_that_is_wrong_gives_no_right(line: str, problem: str) -> None:
    found = parse(f"good main {A}\n{line}\n")
    assert found.problems == (f"line 2: {problem}",)
    assert found.tokens == (Token("good", frozenset(["main"]), A),)


def judge(text: str) -> tuple[str, ...]:
    """What is said of the file: few lines, short ones, and no secret is in them."""
    problems = parse(text).problems
    assert len(problems) <= MAX_PROBLEMS + 1
    for problem in problems:
        assert problem.isprintable() and len(problem) < 200
        assert SECRET not in problem
    return problems


SECRET = "s3cr3t"
words = st.sampled_from(
    [f"{SECRET}1", f"{SECRET}2", f"{SECRET}{'x' * 5000}", "a", "b", "*", "a,b", "/"]
)
rows = st.tuples(words, words, words).filter(lambda row: SECRET not in row[0]) | st.lists(
    words, max_size=5
).filter(lambda row: len(row) != 3)


@given(st.lists(rows.map(" ".join), max_size=30))
def test_no_secret_is_said(lines: list[str]) -> None:
    """Wherever it stands but in the place of a name."""
    judge("\n".join(lines))


@pytest.mark.parametrize("line", ["x\n", "a * {}\n", "{} * x\n", "a{} * x\n", "a * x,y\n"])
def test_a_file_of_nothing_but_wrong_lines(line: str) -> None:
    lines = "".join(
        line.replace("{}", str(number)) for number in range(MAX_TOKEN_FILE // len(line))
    )
    problems = judge("# a comment\n" + lines[:MAX_TOKEN_FILE])
    assert problems[-1].endswith(" more lines are wrong") and problems[0].startswith("line ")


def test_the_judge_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sendrecv.core.tokens.FORM", f"must not be {SECRET}")
    with pytest.raises(AssertionError):
        judge("a b")
    monkeypatch.undo()
    monkeypatch.setattr("sendrecv.core.tokens.MAX_PROBLEMS", 1 << 40)
    with pytest.raises(AssertionError):
        judge("x\n" * 100)


texts = st.text("ab*,#. \t\n-x", max_size=80) | st.text(max_size=80)


@given(texts)
def test_whatever_is_in_it(text: str) -> None:
    """Each right is one that a whole line gives, and what is said has no token in it."""
    found = parse(text)
    secrets = [token.secret for token in found.tokens]
    assert len(set(secrets)) == len(secrets) == len({token.name for token in found.tokens})
    for token in found.tokens:
        assert token.secret
        if token.name:
            lines = [line.split() for line in text.split("\n")]
            same = [it[1] for it in lines if it[:1] + it[2:] == [token.name, token.secret]]
            assert token.apps in [None if it == "*" else frozenset(it.split(",")) for it in same]
            assert is_name(token.name) and all(map(is_name, token.apps or ()))
        else:
            assert token.secret == text.strip() and len(found.tokens) == 1
    assert "" not in (token.secret for token in found.tokens)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=6))
def test_a_line_that_is_removed_takes_no_right_of_others(lines: list[tuple[bool, int]]) -> None:
    rows = [f"n{at} {'*' if wide else f'app{app}'} s{at}" for at, (wide, app) in enumerate(lines)]
    whole = parse("#\n" + "\n".join(rows))
    for at in range(len(rows)):
        rest = parse("#\n" + "\n".join(rows[:at] + rows[at + 1 :]))
        assert rest.tokens == whole.tokens[:at] + whole.tokens[at + 1 :]
