"""What bash completes, in a real bash on a terminal; and that nothing is missing from the files.

tests/system/test_habits.py has zsh, and both shells on the installed package.
"""

import os
import pty
import re
import select
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sendrecv import cli
from sendrecv.commandline import Parser
from tests.judges import commands, completion
from tests.lab.waiting import HANG

ALL_COMMANDS = [*commands.usage()]
PRINTED = cli._PRINTED
# It finds no program, and so starts none.
BASH = ["/bin/bash", "--norc", "--noprofile", "-i"]
# A person's own options of the shell, of which some would break a careless function.
BEGIN = "PS1= PS2= HISTFILE=; shopt -s failglob nocaseglob; set -u; . {file}\n"
INSERT_ALL, LINE_START = "\x1b*", "\x01"
"""Keys of readline."""
ODD = ["$(: > made)", "a b", "-x", "`: > made`", "\xe9t\xe9", ".hidden", "new\nline", "*", "~", ""]
"""Names that no App can have."""
FILES = {
    "/etc/sendrecv": [
        "receiver.env",
        "billing.env",
        "a:b@c.env",
        "tls.pem",
        *(f"{name}.env" for name in ODD),
    ],
    "/etc/systemd/system": ["sender@.service.d"],
    "/etc/systemd/system/multi-user.target.wants": [
        "sender@boot.service",
        "sendrecv@target.target",
        "ssh.service",
    ],
    "/run/systemd/units": [
        "invocation:sender@runs.service",
        "invocation:sender-failover@runs.service",
        "invocation:receiver.service",
        *(f"invocation:sender@{name}.service" for name in ODD),
    ],
    "/var/lib/sendrecv": ["recorded.record", "recorded.record.accepted", "billing.record"],
}
SETTINGS = """\
# a comment
SENDRECV_STORE=etcd://a.example:2379,b:2379,192.0.2.1:2379,$(: > made):1
"""


class Bash:
    """A bash on a terminal, which completes sendrecv with that file."""

    def __init__(self, file: Path) -> None:
        self._terminal, inside = pty.openpty()
        self._process = subprocess.Popen(
            BASH,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            cwd=file.parent,
            env={"PATH": "/nowhere", "TERM": "dumb", "COLUMNS": "5000", "HOSTNAME": "here.example"},
        )
        os.close(inside)
        self._type(BEGIN.format(file=file))

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def completed(self, line: str) -> list[str]:
        """The line's words once the last one is replaced by all that it may become."""
        self._type(f"{line}{INSERT_ALL}{LINE_START}printf '<<%s>>\\n' \n")
        self._type("printf 'the %s\\n' end\n")
        said = self._until("\nthe end")
        return re.findall(r"^<<(.*)>>$", said, re.M)

    def _until(self, end: str) -> str:
        said = ""
        while end not in said:
            assert select.select([self._terminal], [], [], HANG)[0], said
            said += os.read(self._terminal, 65536).decode(errors="replace").replace("\r", "")
        return said

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With Apps of which each is known in another way, and with odd names."""
    top = tmp_path_factory.mktemp("root")
    for directory, names in FILES.items():
        (top / directory[1:]).mkdir(parents=True, exist_ok=True)
        for name in names:
            (top / directory[1:] / name).touch()
    (top / "etc/sendrecv/billing.env").write_text(SETTINGS, encoding="ascii")
    text = (completion.DIRECTORY / "sendrecv").read_text(encoding="utf-8")
    for directory in FILES:
        text = text.replace(f"{directory}/", f"{top}{directory}/")
    (top / "completion").write_text(text, encoding="utf-8")
    return top


@pytest.fixture(scope="module")
def bash(root: Path) -> Iterator[Bash]:
    """It completes as if that were /."""
    shell = Bash(root / "completion")
    yield shell
    shell.close()


APPS = ["a:b@c", "billing", "boot", "recorded", "runs", "target"]
LINES = {
    "sendrecv ": sorted(ALL_COMMANDS),
    "sendrecv st": ["status"],
    "sendrecv --": ["--help", "--version"],
    "sendrecv nosuch ": [],
    "sendrecv status ": APPS,
    "sendrecv status r": ["recorded", "runs"],
    "sendrecv status runs boot r": ["recorded"],
    "sendrecv status a:": ["a:b@c"],
    "sendrecv status a:b@": ["a:b@c"],
    "sendrecv status a:b@c": ["a:b@c"],
    "sendrecv status 'bi": ["billing"],
    "sendrecv status --js": ["--json"],
    "sendrecv status --json --js": ["--js"],
    "sendrecv status -- --js": ["--js"],
    "sendrecv status --url x bi": ["billing"],
    "sendrecv status --url=x bi": ["billing"],
    "sendrecv status --url ": [],
    "sendrecv status --ca comp": ["completion"],
    "sendrecv status --ca=comp": ["--ca=completion"],
    "sendrecv proof --fi": ["--file"],
    "sendrecv proof --file x --fi": ["--file"],
    "sendrecv proof --directory et": ["etc"],
    "sendrecv move bi": ["billing"],
    "sendrecv move --reason 'a new kernel' bi": ["billing"],
    "sendrecv move billing --reason ": [],
    "sendrecv move billing ": ["a", "b", "failover", "here", "main"],
    "sendrecv move billing b --": ["--help", "--reason"],
    "sendrecv move ../../x ": ["failover", "main"],
    "sendrecv move runs ": ["failover", "main"],
    "sendrecv accept re": ["recorded"],
    "sendrecv forget billing r": ["recorded", "runs"],
    "A=1 sendrecv forget bi": ["billing"],
}


@pytest.mark.parametrize("line", LINES)
def test_completed_by_bash(bash: Bash, line: str) -> None:
    before = shlex.split(line.rpartition(" ")[0])
    assert bash.completed(line) == [*before, *LINES[line]]


def test_no_name_is_run(bash: Bash, root: Path) -> None:
    for line in ("sendrecv status ", "sendrecv move billing "):
        bash.completed(line)
    assert {path.name for path in root.iterdir()} == {"completion", "etc", "run", "var"}


# That nothing is missing


def test_the_files_have_what_the_parsers_have() -> None:
    for path, should in completion.files().items():
        text = path.read_text(encoding="utf-8")
        missing = set(should.splitlines()) - set(text.splitlines())
        assert not missing, f"{path.name}: python3 -m tests.judges.completion writes these"
        assert text == should, f"{path.name}: python3 -m tests.judges.completion writes it anew"


def test_each_command_is_in_the_usage() -> None:
    assert {*ALL_COMMANDS} == {*PRINTED}
    assert len(ALL_COMMANDS) > 5


def _with_hold(monkeypatch: pytest.MonkeyPatch, *names: str, **options: Any) -> None:
    """As if there were another command."""

    def hold(argv: Sequence[str]) -> int:
        parser = Parser(prog="sendrecv hold")
        parser.add_argument(*names, **options)
        parser.parse_args(argv)
        return 0

    monkeypatch.setitem(PRINTED, "hold", hold)
    line = "  hold INSTANCE                   keep it\n"
    monkeypatch.setattr(cli, "USAGE", cli.USAGE.replace("  move ", f"{line}  move "))


def test_a_command_and_an_option_that_are_new_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_hold(monkeypatch, "--reason", metavar="TEXT", help="why")
    new = "\n".join(completion.files().values())
    assert "options='--help --reason=any'" in new and "'--reason=[why]:TEXT: '" in new
    assert "'hold:keep it'" in new
    with pytest.raises(AssertionError, match="hold"):
        test_the_files_have_what_the_parsers_have()


def test_an_argument_of_a_new_kind_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_hold(monkeypatch, "window", metavar="WINDOW")
    with pytest.raises(LookupError, match="how WINDOW is completed"):
        completion.files()


def test_choices_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_hold(monkeypatch, "half", choices=["main", "failover"])
    new = "\n".join(completion.files().values())
    assert "arguments='main|failover'" in new and "':HALF:(main failover)'" in new
