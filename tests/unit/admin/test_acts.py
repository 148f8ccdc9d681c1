"""Who may do what changes an App: root, or who is allowed by polkit."""

import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from sendrecv.admin import acts
from sendrecv.errors import UsageError
from tests.lab.paths import TOP

POLICY = TOP / "debian/polkit/sendrecv.policy"
COMMANDS = {"move", "pause", "resume", "forget", "accept"}
PREFIX = "org.freedesktop.policykit.exec."


class Replaced(Exception):
    """This process would be another program now."""


@pytest.fixture(name="became")
def fixture_became(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """What this process was replaced by: of a user at a terminal, on a machine with pkexec."""
    became: list[list[str]] = []

    def execv(_path: str, argv: list[str]) -> None:
        became.append(argv)
        raise Replaced

    pkexec = tmp_path / "pkexec"
    pkexec.touch(0o755)
    monkeypatch.setattr(acts, "PKEXEC", str(pkexec))
    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "isatty", lambda _descriptor: True)
    monkeypatch.setattr(sys, "argv", [acts.PROGRAM, "move", "main", "--reason", "a b"])
    return became


def test_at_a_terminal_polkit_is_asked(became: list[list[str]]) -> None:
    with pytest.raises(Replaced):
        acts.assert_root("sendrecv move main")
    assert became == [[acts.PKEXEC, acts.PROGRAM, "move", "main", "--reason", "a b"]]


@pytest.mark.parametrize("what", ["pkexec", "terminal", "program"])
def test_elsewhere_it_is_refused(
    became: list[list[str]], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "pkexec":
        Path(acts.PKEXEC).unlink()
    elif what == "terminal":
        monkeypatch.setattr(os, "isatty", lambda _descriptor: False)
    else:
        monkeypatch.setattr(sys, "argv", ["/home/x/sendrecv", "move", "main"])
    with pytest.raises(UsageError, match="sudo sendrecv move main, or, with polkit: pkexec send"):
        acts.assert_root("sendrecv move main")
    assert not became


def test_root_just_does_it(became: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    acts.assert_root("sendrecv move main")
    assert not became


def test_each_command_has_an_action_that_an_administrator_has_to_allow() -> None:
    actions = {action.get("id", ""): action for action in ET.parse(POLICY).iter("action")}
    assert set(actions) == {f"sendrecv.{command}" for command in COMMANDS}
    for name, action in actions.items():
        annotated = {it.get("key"): it.text for it in action.iter("annotate")}
        command = name.removeprefix("sendrecv.")
        assert annotated == {f"{PREFIX}path": acts.PROGRAM, f"{PREFIX}argv1": command}
        defaults = action.find("defaults")
        assert defaults is not None and len(defaults) == 3
        assert {it.text for it in defaults} == {"auth_admin"}


@pytest.mark.parametrize(
    ("login", "uid", "by", "person"),
    [
        ("65534", 0, "1", "nobody"),
        ("4294967295", 0, "1", "daemon"),
        ("4294967295", 0, "", "root"),
        ("4294967295", 0, "x", "root"),
        ("4294967295", 0, "4000000000", "user:4000000000"),
        ("4294967295", 65534, "1", "nobody"),
        ("", 0, "1", "daemon"),
    ],
)
def test_who_asks(
    login: str, uid: int, by: str, person: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The one who has logged in; or whom pkexec names, but nobody else may say so."""
    (tmp_path / "loginuid").write_text(login, encoding="ascii")
    monkeypatch.setattr(acts, "LOGIN", str(tmp_path / "loginuid"))
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setenv("PKEXEC_UID", by)
    assert acts.person() == person
