"""What bash and zsh complete, taken from the parsers of all commands.

    python3 -m tests.judges.completion          writes it into the files of debian/completion

A test compares the files with the parsers, and so fails when a command or an option is new.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.judges import commands
from tests.lab.paths import TOP

DIRECTORY = TOP / "debian/completion"
BEGIN, END = "# From the parsers: python3 -m tests.judges.completion\n", "# So far.\n"
KINDS = {
    "INSTANCE": "instance",
    "APP": "instance",
    "APPID": "instance",
    "HOST": "host",
    "HALF|HOST": "half_or_host",
    "FILE": "file",
    "DIR": "directory",
    **dict.fromkeys(("ID", "KEY", "N", "REASON", "TEXT", "TIME", "URL"), "any"),
}
"""How an argument is completed, by the name that the usage gives it. "any": not at all."""
SHELLS = ("sendrecv", "_sendrecv")
"""The files: bash's and zsh's."""


def kind(action: argparse.Action) -> str:
    """How it is completed; "" for an option without a value."""
    if action.nargs == 0:
        return ""
    if action.choices:
        return "|".join(map(str, action.choices))
    name = _name(action)
    if name not in KINDS:
        raise LookupError(f"how {name} is completed is not in KINDS of tests/judges/completion.py")
    return KINDS[name]


def _name(action: argparse.Action) -> str:
    return str(action.metavar or action.dest).upper()


def _long(action: argparse.Action) -> str:
    return next(name for name in action.option_strings if name.startswith("--"))


def _sorted(command: str) -> tuple[list[argparse.Action], list[argparse.Action]]:
    """Its options, by their names, and its arguments, in order."""
    actions = commands.parser_of(command)._actions
    options = [action for action in actions if action.option_strings]
    return sorted(options, key=_long), [one for one in actions if not one.option_strings]


def _is_repeated(action: argparse.Action) -> bool:
    return action.nargs in {"*", "+"} or type(action).__name__ == "_AppendAction"


# bash


def for_bash() -> Iterator[str]:
    """Lines of a case, for each command its options and arguments."""
    yield "commands='" + " ".join(commands.usage()) + "'\n"
    yield "case $1 in\n"
    for command in commands.usage():
        options, arguments = _sorted(command)
        yield f"    {command})\n"
        yield f"        options='{' '.join(map(_option_for_bash, options))}'\n"
        yield f"        arguments='{' '.join(map(_argument_for_bash, arguments))}'\n"
        yield "        ;;\n"
    yield "esac\n"


def _argument_for_bash(action: argparse.Action) -> str:
    return f"{kind(action)}{'...' if _is_repeated(action) else ''}"


def _option_for_bash(action: argparse.Action) -> str:
    """Its name, "=" and the kind of its value, and "..." if it may be repeated."""
    value = kind(action)
    return f"{_long(action)}{'=' if value else ''}{_argument_for_bash(action)}"


# zsh


def for_zsh() -> Iterator[str]:
    """Two parts: the commands with what they do, and the arguments of each."""
    yield "commands=(\n"
    for command, text in commands.usage().items():
        yield f"    {_quoted(f'{command}:{text}')}\n"
    yield ")\n"
    yield "case $1 in\n"
    for command in commands.usage():
        options, arguments = _sorted(command)
        excluded = _exclusions(command)
        specs = [_option_for_zsh(option, excluded.get(option.dest, ())) for option in options]
        specs += [_argument_for_zsh(argument) for argument in arguments]
        yield f"    {command})\n"
        yield "        specs=(\n"
        yield from (f"            {spec}\n" for spec in specs)
        yield "        )\n"
        yield "        ;;\n"
    yield "esac\n"


def _exclusions(command: str) -> dict[str, Sequence[str]]:
    """For each option of which there may be one only: the others."""
    groups = commands.parser_of(command)._mutually_exclusive_groups
    return {
        action.dest: [_long(other) for other in group._group_actions if other is not action]
        for group in groups
        for action in group._group_actions
        if action.option_strings
    }


def _option_for_zsh(action: argparse.Action, excluded: Sequence[str]) -> str:
    name, value = _long(action), kind(action)
    if isinstance(action, argparse._HelpAction):
        prefix = "(- *)"
    elif _is_repeated(action):
        prefix = "*"
    else:
        prefix = f"({' '.join(excluded)})" if excluded else ""
    text = re.sub(r"([\[\]\\:])", r"\\\1", " ".join((action.help or "").split()))
    optional = ":" if action.nargs == "?" else ""
    takes = f"{optional}:{_name(action)}:{_in_zsh(value)}" if value else ""
    return _quoted(f"{prefix}{name}{'=' if value and not optional else ''}[{text}]{takes}")


def _argument_for_zsh(action: argparse.Action) -> str:
    prefix = "*" if _is_repeated(action) else ":" if action.nargs == "?" else ""
    return _quoted(f"{prefix}:{_name(action)}:{_in_zsh(kind(action))}")


def _in_zsh(value: str) -> str:
    """The action that completes it; a space: no completion, but the name is shown."""
    actions = {"any": " ", "file": "_files", "directory": "_files -/"}
    if value in KINDS.values():
        return actions.get(value, f"_sendrecv_{value}")
    return f"({value.replace('|', ' ')})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# The files


def written(text: str, lines: Iterator[str]) -> str:
    """That file, with these lines between the marks, indented like the first mark."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    indent = before.rpartition("\n")[2]
    return f"{before}{BEGIN}{''.join(indent + line for line in lines)}{indent}{END}{after}"


def files() -> dict[Path, str]:
    """Both, as they should be."""
    lines = {"sendrecv": for_bash, "_sendrecv": for_zsh}
    paths = {name: DIRECTORY / name for name in SHELLS}
    return {
        path: written(path.read_text(encoding="utf-8"), lines[name]())
        for name, path in paths.items()
    }


if __name__ == "__main__":
    for where, what in files().items():
        where.write_text(what, encoding="utf-8")
