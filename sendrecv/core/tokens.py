"""The tokens in /etc/sendrecv/token: who has one, and for which Apps it is.

The file is one token, which is for all Apps; or it has one line for each token, "NAME APPS TOKEN".
A token has no spaces, and at least MIN_TOKEN characters: what is left of a file, or a word that
somebody has typed to try it, must never be a token that can be guessed.

    # a comment
    here     *            6f1c...
    berlin   main,orders  93ab...

NAME is for people. The journal has it in place of the token. APPS are appIDs, or * for all. A line
that is wrong gives nobody a right.
"""

from __future__ import annotations

from sendrecv.core.values import Value
from sendrecv.core.wire import MAX_TOKEN, MIN_TOKEN, is_name

MAX_PROBLEMS = 20
"""More are a number: a file that is something else has thousands of lines."""
FORM = "must be NAME APPS TOKEN"
SHORT = f"the token has fewer than {MIN_TOKEN} characters: it could be guessed"


class Token(Value):
    """One token. name: "" if it is the only thing in its file. apps: None for all."""

    name: str
    apps: frozenset[str] | None
    secret: str

    def is_for(self, app_id: str) -> bool:
        """Whether its holder may claim and see that App."""
        return self.apps is None or app_id in self.apps


class Tokens(Value):
    """What a file has, in order. problems: the lines that are wrong, for people."""

    tokens: tuple[Token, ...]
    problems: tuple[str, ...]

    def for_app(self, app_id: str) -> str:
        """The token that a sender of this App shows: the first one that is for it, or ""."""
        return next((token.secret for token in self.tokens if token.is_for(app_id)), "")

    def widest(self) -> str:
        """The first token for all Apps, or the first one at all, or ""."""
        every = [token.secret for token in self.tokens if token.apps is None]
        return (every + [token.secret for token in self.tokens] + [""])[0]


def parse(text: str) -> Tokens:
    """The tokens in the text of a file, which is printable but for its ends of lines."""
    words = text.split()
    if len(words) == 1 and len(words[0]) <= MAX_TOKEN and not words[0].startswith("#"):
        if len(words[0]) < MIN_TOKEN:
            return Tokens((), (SHORT,))
        return Tokens((Token("", None, words[0]),), ())
    tokens: dict[str, Token] = {}
    names: dict[str, str] = {}  # by secret
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = _entry(line)
        if isinstance(entry, Token):
            entry = _twice(entry, tokens, names) or entry
        if isinstance(entry, Token):
            tokens[entry.name] = entry
            names[entry.secret] = entry.name
        else:
            problems.append(f"line {number}: {entry}")
    return Tokens(tuple(tokens.values()), _few(problems))


def _few(problems: list[str]) -> tuple[str, ...]:
    more = len(problems) - MAX_PROBLEMS
    return (*problems[:MAX_PROBLEMS], *[f"{more} more lines are wrong"] * (more > 0))


def _entry(line: str) -> Token | str:
    """The token in a line, or what is wrong. No part of the line is quoted: it may be a token."""
    words = line.split()
    if len(words) != 3:
        return FORM
    name, apps, secret = words
    if not is_name(name):
        return f"{FORM}, the name as an appID"
    every = None if apps == "*" else frozenset(apps.split(","))
    if every is not None and not all(map(is_name, every)):
        return f"{FORM}, the Apps * or appIDs with commas in between"
    if len(secret) < MIN_TOKEN:
        return SHORT
    if len(secret) > MAX_TOKEN:
        return f"the token is longer than {MAX_TOKEN}"
    return Token(name, every, secret)


def _twice(entry: Token, before: dict[str, Token], names: dict[str, str]) -> str:
    if entry.name in before:
        return f"there is another token called {entry.name}"
    same = names.get(entry.secret)
    return f"{entry.name} has the same token as {same}" if same else ""
