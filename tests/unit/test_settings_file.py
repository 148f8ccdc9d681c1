"""What of a settings file has no effect, and where a wrong setting was made."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest

from sendrecv import settings_file
from sendrecv.config import RECEIVER_SETTINGS, SENDER_SETTINGS, sender_config
from sendrecv.errors import ConfigError

KEY = "SENDRECV_INTERVAL"
UNIT = "sender@one.service"


@pytest.fixture(name="file")
def fixture_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of the instance one, which are not there yet."""
    monkeypatch.setattr(settings_file, "DIRECTORY", str(tmp_path / "etc"))
    monkeypatch.setattr(settings_file, "UNITS", (str(tmp_path / "a"), str(tmp_path / "b")))
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc/one.env"


def told(instance: str = "one") -> list[str]:
    """The warnings, with their severity."""
    said = SimpleQueue[str]()
    settings_file.tell(instance, lambda severity, text: said.put(f"{severity} {text}"))
    return [said.get() for _ in range(said.qsize())]


def test_nothing_is_said_of_what_is_right(file: Path) -> None:
    assert not told()
    file.write_text(f"{KEY}=2\nLANG=C\nTZ=UTC\nMALLOC_ARENA_MAX=1\n", encoding="ascii")
    assert not told()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("SENDRCV_INTERVAL=2", "'SENDRCV_INTERVAL' is no setting, so it has no effect; perhaps"),
        ("sendrecv_interval=2", "'sendrecv_interval' is no setting, so it has no effect; perhaps"),
        ("INTERVAL=2", "'INTERVAL' is no setting, so it has no effect; perhaps SENDRECV_INTERVAL"),
        ("SENDRECV-URL=x", "'SENDRECV-URL' is no name of a setting"),
        ("SENDRECV_INTERVAL: 2", "write SENDRECV_INTERVAL=..."),
        ("export SENDRECV_INTERVAL=2", "write SENDRECV_INTERVAL=... without export"),
    ],
)
def test_a_line_without_effect(file: Path, line: str, words: str) -> None:
    file.write_text(f"# one\n{line}\n", encoding="ascii")
    (said,) = told()
    assert said.startswith(f"4 {file}, line 2: ") and words in said and said.endswith(", ignoring")


def test_what_is_no_file(file: Path) -> None:
    file.mkdir()
    assert told() == [f"4 {file}: this is no file: nothing of it is read, ignoring"]
    file.rmdir()
    os.mkfifo(file)
    assert told() == [f"4 {file}: this is no file: nothing of it is read, ignoring"]


def test_many_lines_are_a_number(file: Path) -> None:
    file.write_text("x\n" * 9, encoding="ascii")
    said = told()
    assert len(said) == settings_file.MOST + 1 and "4 more lines have no effect" in said[-1]


def test_the_receivers_settings_are_others(file: Path) -> None:
    file.with_name("receiver.env").write_text("MAX_CONNECTIONS=2\nINTERVAL=3\n", encoding="ascii")
    (said,) = told("receiver")
    assert "line 1" in said and "SENDRECV_MAX_CONNECTIONS" in said


def test_all_settings_are_far_from_each_other() -> None:
    """What is meant by a name that is none is not a matter of luck."""
    for names in (SENDER_SETTINGS, RECEIVER_SETTINGS):
        assert [*names] == sorted(names)
        for name in names:
            others = [one for one in names if one != name]
            found = settings_file.complaints(
                settings_file.parse(f"{name.lower()}=1".encode()), names
            )
            assert f"perhaps {name} is meant" in found[0].text and name not in others


# Where a wrong setting was made.


def source(value: str | None, unit: str = UNIT) -> str:
    return settings_file.where(KEY, value, "one", unit)


def test_a_line_of_the_file(file: Path) -> None:
    file.write_text(f"{KEY}=x\n{KEY}=y\n", encoding="ascii")
    assert source("y") == f"{file}, line 2"


@pytest.mark.parametrize("name", ["sender@one.service.d", "sender@.service.d"])
def test_a_drop_in(file: Path, tmp_path: Path, name: str) -> None:
    file.write_text("# nothing\n", encoding="ascii")
    drop_in = tmp_path / "a" / name / "own.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(f"[Service]\nEnvironment={KEY}=x\n", encoding="ascii")
    assert source("x") == f"{drop_in}, line 2"


def test_neither_of_them(file: Path) -> None:
    file.write_text(f"{KEY}=1\n", encoding="ascii")
    assert source("x") == f"the environment of {UNIT}"
    assert source("x", "") == "the environment"


@pytest.mark.parametrize(
    "wrong",
    [
        partial(sender_config, "one", "main", {KEY: "x"}),
        partial(sender_config, "one", "main", {"SENDRECV_X": "x"}),
    ],
)
def test_an_error_names_the_place(wrong: Callable[..., object]) -> None:
    with pytest.raises(ConfigError, match="^there, line 3: '?SENDRECV_"):
        wrong(where=lambda _key: "there, line 3")


def test_a_specifier_is_for_drop_ins() -> None:
    with pytest.raises(ConfigError, match="a specifier such as %H works in a drop-in alone"):
        sender_config("one", "main", {"SENDRECV_MAIN_NODE_ID": "%H"})
