"""The command line of sendrecv, by its real parsers. Completion and documents are compared with it.

No command is run: each stops once its arguments are parsed.
"""

import argparse
import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from unittest import mock

from sendrecv import cli
from sendrecv.core.wire import is_name
from sendrecv.errors import UsageError

OF_UNITS = "What the units run:"
"""The heading in the usage under which commands stand that nobody types."""


class _Parsed(BaseException):
    """The arguments are parsed, and nothing further is done. No command catches it."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


@contextlib.contextmanager
def _only_parsed(check: bool) -> Iterator[None]:
    """check: whether arguments that the parser refuses are an error."""
    parse = argparse.ArgumentParser.parse_known_args

    def stop(self: argparse.ArgumentParser, args: Sequence[str], *_rest: object) -> None:
        if check:
            _, rest = parse(self, args)
            names = {arg.partition("=")[0] for arg in args if arg.startswith("--") and arg != "--"}
            # argparse would accept the beginning of an option's name.
            rest += sorted(names - {*self._option_string_actions})
            if rest:
                self.error(f"unrecognized arguments: {' '.join(rest)}")
        raise _Parsed(self)

    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", stop):
        yield


def usage() -> dict[str, str]:
    """What the usage says of each command that a person types, in its order."""
    text = re.sub(rf"^{OF_UNITS}\n(  .*\n)*", "", cli.USAGE, flags=re.M)
    return dict(re.findall(r"^  ([a-z]+)\b.*?  +(\S.*)", text.split("\nApps are")[0], flags=re.M))


def parser_of(command: str) -> argparse.ArgumentParser:
    """The one with which a command begins."""
    try:
        with _only_parsed(check=False):
            cli._PRINTED[command]([])
    except _Parsed as done:
        return done.parser
    raise LookupError(f"sendrecv {command} parses nothing")


def problem(words: Sequence[str]) -> str:
    """What is wrong with this command line, whose first word is "sendrecv"; "" if nothing is."""
    match words[1:]:
        case ["--help" | "-h" | "help" | "--version"] | ["receive"]:
            return ""
        case ["send", instance, "main" | "failover"] if is_name(instance):
            return ""
        case [command, *arguments] if command in cli._PRINTED:
            return _problem(command, arguments)
    return f"unknown command: {' '.join(words[1:])}"


def _problem(command: str, arguments: Sequence[str]) -> str:
    try:
        with _only_parsed(check=True), contextlib.redirect_stdout(io.StringIO()):
            cli._PRINTED[command](arguments)
    except _Parsed:
        return ""
    except SystemExit as end:  # after --help
        return "" if not end.code else str(end.code)
    except UsageError as error:
        return str(error)
    raise LookupError(f"sendrecv {command} parses nothing")
