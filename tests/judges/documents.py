"""The commands that documents show, and what is wrong with them.

A command is taken from a code span or an indented block of Markdown; from an example, a bold line
or the text between \\fB and \\fR of a manual page; from the catalog; and from what the
program itself tells people to type; if it begins with a program that is known here. sendrecv's are
parsed by its real parsers. The options and verbs of systemctl and journalctl are those of their own
--help, and the units are the package's. Where a document explains a command on the same line, three
spaces or a # come before the explanation.
"""

import fnmatch
import functools
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.judges import commands
from tests.lab.paths import TOP

OF_UNITS = {"send", "receive"}
"""Commands of sendrecv that nobody types."""
FOREIGN_UNITS = {"systemd-journald", "etcd"}
_UNITS = {path.name for path in (TOP / "systemd").glob("*.*")}
_MARKDOWN = re.compile(r"^(?: {4,}|\t)(.+)|`([^`\n]+)`", re.M)
_SYNOPSIS = re.compile(r"\[(--|[A-Z])")


def pages() -> list[Path]:
    """All documents that show commands, and the modules that do."""
    found = [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "debian/man").iterdir()]
    hints = [path for path in (TOP / "sendrecv/admin").glob("*.py") if path.name != "__init__.py"]
    return sorted([*found, *hints, TOP / "systemd/sendrecv.catalog"])


def catalog() -> dict[str, str]:
    """What the journal's catalog explains, by MESSAGE_ID."""
    text = (TOP / "systemd/sendrecv.catalog").read_text(encoding="utf-8")
    parts = re.split(r"^-- ([0-9a-f]{32})$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


# Taking commands out


def shown(page: Path, text: str) -> Iterator[str]:
    """Whatever may be a command in that page's text."""
    if page.suffix == ".md":
        text = re.sub(r"\n {8,}(?=\[)", " ", text)  # a synopsis that goes on
        yield from ("".join(found) for found in _MARKDOWN.findall(text))
    elif page.suffix == ".catalog":
        text = re.sub("@[A-Z_]+@", "INSTANCE", text)
        yield from re.findall(r"^  (?:.*:  +)?(.+)", text, re.M)
    elif page.suffix == ".py":
        yield from _hints(text)
    else:
        yield from _in_roff(text)


def _hints(text: str) -> Iterator[str]:
    """Strings that are what to type, with names for what is put into them."""
    for found in re.findall(
        r'(?<!prog=f)(?<!")"((?:systemctl|journalctl|sendrecv) [^"\n]+)"', text
    ):
        found = re.sub(r"\b([a-z-]+@)\{.+?\}", r"\1INSTANCE", found)
        yield re.sub(r"\{.+?\}", "receiver", found)


def _in_roff(text: str) -> Iterator[str]:
    is_example = False
    for line in text.splitlines():
        macro, _, rest = line.partition(" ")
        if macro in {".EX", ".EE"}:
            is_example = macro == ".EX"
        elif is_example:
            yield plain(line)
        elif macro in {".B", ".BR", ".BI"}:
            parts = _arguments(rest)
            if (
                macro == ".BR"
            ):  # what follows in roman is the sentence's, or a section: systemctl (1)
                if len(parts) > 1 and parts[1].startswith("("):
                    continue
                parts = parts[:1]
            yield plain((" " if macro == ".B" else "").join(parts))
        else:
            yield from map(plain, re.findall(r"\\fB(.+?)\\f[RP]", line))


def _arguments(rest: str) -> list[str]:
    """Of a macro. In .B, quotation marks inside a word are its own."""
    return [quoted or word for quoted, word in re.findall(r'"([^"]*)"|(\S+)', rest)]


def plain(text: str) -> str:
    """Without what roff needs."""
    text = re.sub(r"\\f[A-Z]", "", text)
    for escaped, plain in (
        (r"\-", "-"),
        (r"\(dq", '"'),
        (r"\(aq", "'"),
        (r"\e", "\\"),
        (r"\&", ""),
    ):
        text = text.replace(escaped, plain)
    return text


def lines(text: str) -> Iterator[list[str]]:
    """The commands of a line, in words: each that begins with a known program."""
    text = re.split(r" {3,}| # ", text.strip().removeprefix("# "))[0]
    for part in [text] if _SYNOPSIS.search(text) else re.split(r" \|\|? | && |; ", text):
        try:
            words = shlex.split(part)
        except ValueError:  # prose with an apostrophe
            words = part.split()
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        if words and words[0] in PROGRAMS:
            redirected = next((at for at, word in enumerate(words) if word in {">", ">>"}), None)
            yield [word for word in words[:redirected] if word != "..."]


# Judging them


def _sendrecv(words: Sequence[str]) -> str:
    """A mere name of a command is no command line, and a synopsis has its options only."""
    words = [re.sub(r"^N$", "1", word) for word in words]
    if _SYNOPSIS.search(" ".join(words)):
        return _synopsis(words)
    if len(words) == 1 or words[1] in {*commands.usage(), *OF_UNITS} and len(words) == 2:
        return ""
    return commands.problem(words)


def _synopsis(words: Sequence[str]) -> str:
    if words[1] not in commands.usage():
        return f"unknown command: {words[1]}"
    known = commands.parser_of(words[1])._option_string_actions
    named = (name for word in words for name in re.findall(r"--[a-z][a-z-]*", word))
    return ", ".join(f"{name} is no option of it" for name in named if name not in known)


Options = Mapping[str, str]
"""Names with their hyphens; "=" if a value follows, "[=" if one may follow, "" if none."""


@functools.cache
def _help(program: str) -> tuple[frozenset[str], Options]:
    """Its verbs and its options, as its --help has them."""
    run = [program, "--help", "--no-pager"]
    text = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    options: dict[str, str] = {}
    for line in text.splitlines():
        if found := re.match(r"  +(-\w)?,? *(--[a-z-]+)?(\[?=)?", line):
            options |= {name: found[3] or "" for name in (found[1], found[2]) if name}
    return frozenset(re.findall(r"^  ([a-z][a-z-]+)", text, re.M)), options


def _sorted(words: Sequence[str], options: Options) -> tuple[list[str], list[tuple[str, str]]]:
    """What is no option, and the options with their values. Raises LookupError for a wrong one."""
    rest, given = [], []
    left = [*words]
    while left:
        word = left.pop(0)
        if word.startswith("-"):
            given.append(_option(word, left, options))
        else:
            rest.append(word)
    return rest, given


def _option(word: str, left: list[str], options: Options) -> tuple[str, str]:
    """With its value, which may be the first of the words that are left."""
    if word.startswith("--"):
        name, has_value, value = word.partition("=")
    else:
        name, has_value, value = word[:2], word[2:], word[2:]
        if value and not options[name]:  # -xt is -x -t
            left.insert(0, f"-{value}")
            has_value = value = ""
    takes = options[name]
    # A value that may be missing is a number.
    if not has_value and (takes == "=" or takes and re.match(r"[-+]?\d+$", "".join(left[:1]))):
        value = left.pop(0)
    return name, value


def _unit(name: str) -> str:
    """What is wrong with a unit's name; "*" and all names of instances will do."""
    full = name if name.rpartition(".")[2] in _KINDS else f"{name}.service"
    template = re.sub(r"@.+\.", "@.", full)
    if fnmatch.filter(_UNITS, template) or full.removesuffix(".service") in FOREIGN_UNITS:
        return ""
    return f"no unit is called {name}"


_KINDS = {"service", "socket", "target", "timer", "path", "slice", "mount"}


def _systemctl(words: Sequence[str]) -> str:
    verbs, options = _help("systemctl")
    rest, _ = _sorted(words[1:], options)
    if not rest:
        return ""
    verb, *units = rest
    if verb not in verbs:
        return f"{verb} is no verb of systemctl"
    return ", ".join(filter(None, map(_unit, units)))


def _journalctl(words: Sequence[str]) -> str:
    rest, given = _sorted(words[1:], _help("journalctl")[1])
    wrong = [_unit(value) for name, value in given if name in {"-u", "--unit"}]
    wrong += [
        f"{word} is no field" for word in rest if not re.fullmatch(r"\+|/.*|_{0,2}[A-Z_]+=.*", word)
    ]
    return ", ".join(filter(None, wrong))


def _make(words: Sequence[str]) -> str:
    text = (TOP / "Makefile").read_text(encoding="utf-8")
    wrong = []
    for word in words[1:]:
        name, is_variable, _ = word.partition("=")
        if (
            is_variable
            and f"$({name})" not in text
            or not is_variable
            and f"\n{name}: " not in text
        ):
            wrong.append(f"the Makefile has no {name}")
    return ", ".join(wrong)


def _python(words: Sequence[str]) -> str:
    """A module of tests/, or paths for pytest."""
    match words[1:]:
        case ["-m", "pytest", *arguments]:
            paths = [word for word in arguments if word.startswith("tests/")]
        case ["-m", module, *_] if module.startswith("tests."):
            path = module.replace(".", "/")
            paths = [path if (TOP / path).is_dir() else f"{path}.py"]
        case _:
            paths = []
    return ", ".join(f"there is no {path}" for path in paths if not (TOP / path).exists())


def _apt(words: Sequence[str]) -> str:
    return "" if words[1] in {"install", "purge", "remove"} else f"{words[1]}?"


PROGRAMS: Mapping[str, Callable[[Sequence[str]], str]] = {
    "apt": _apt,
    "journalctl": _journalctl,
    "make": _make,
    "python3": _python,
    "sendrecv": _sendrecv,
    "systemctl": _systemctl,
}


def problem(words: Sequence[str]) -> str:
    """What is wrong with that command; "" if nothing is."""
    try:
        return PROGRAMS[words[0]](words)
    except LookupError as error:
        return f"no such option: {error}"


def problems(page: Path, text: str) -> list[str]:
    """A line for each command of the page's text that is wrong."""
    found = (words for one in shown(page, text) for words in lines(one))
    return [f"{shlex.join(words)}: {wrong}" for words in found if (wrong := problem(words))]
