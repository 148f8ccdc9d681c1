"""Settings in the code and in sendrecv.env(5): each is in both, with its default and its bounds."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from sendrecv import config
from sendrecv.config import RECEIVER_SETTINGS, SENDER_SETTINGS
from tests.lab.paths import TOP

CODE = (TOP / "sendrecv/config.py").read_text(encoding="utf-8")
PAGE = (TOP / "debian/man/sendrecv.env.5").read_text(encoding="utf-8")
READERS = {"name", "number", "integer", "url", "path", "_get"}
WORDS = {
    "SENDRECV_MAIN_NODE_ID": ["main"],
    "SENDRECV_FAILOVER_NODE_ID": ["failover"],
    "SENDRECV_APP_ID": ["the instance's name"],
    "SENDRECV_URL": [config.DEFAULT_URL],
    "SENDRECV_CA": ["the CAs of the machine"],
    "SENDRECV_TLS_CERTIFICATE": [],
    "SENDRECV_TLS_KEY": [],
}
"""What the page says of a default that is no number and no word of the code."""


class Setting(NamedTuple):
    """As the code reads it: least and most are None for what is no number."""

    name: str
    default: object
    least: float | None = None
    most: float | None = None


def read(code: str = CODE) -> Iterator[Setting]:
    """Each setting that some code asks for."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr not in READERS or not isinstance(node.args[0], ast.Constant):
            continue
        name, *rest = (_value(argument) for argument in node.args)
        bounds = [number for number in rest[1:] if isinstance(number, (int, float))]
        yield Setting(str(name), rest[0] if rest else "", *bounds)


def _value(node: ast.expr) -> object:
    """A constant, or one of the module's; None for what is worked out."""
    if isinstance(node, ast.Constant):
        return node.value
    return getattr(config, node.id, None) if isinstance(node, ast.Name) else None


def entries(page: str) -> dict[str, str]:
    """The text of each setting, without roff."""
    found = {}
    for item in page.split("\n.TP\n")[1:]:
        head, _, text = item.partition("\n")
        text = re.split(r"\n\.SH ", text)[0].replace("\\-", "-")
        plain = " ".join(re.sub(r"^\.[BIR]{1,2} ", "", line) for line in text.split("\n"))
        for name in re.findall(r"SENDRECV_[A-Z_]+", head):
            found[name] = re.sub(r" ([,;.:])( |$)", r"\1\2", plain)
    return found


def disagreements(page: str, code: str = CODE) -> list[str]:
    """What one of the two says, and the other does not."""
    settings, texts = [*read(code)], entries(page)
    found = [*{setting.name for setting in settings} ^ texts.keys()]
    for setting in settings:
        text = texts.get(setting.name, "")
        wanted = list(WORDS.get(setting.name, []))
        if isinstance(setting.default, (int, float)):
            wanted.append(f"Default: {setting.default:g}.")
        elif setting.default == "":
            wanted += ["Default: "] * (setting.name not in WORDS)
        elif setting.name not in WORDS:
            wanted.append(f"Default: {setting.default}.")
        if isinstance(setting.default, float):
            wanted.append("Seconds")
        if setting.least is not None and setting.most is not None:
            wanted.append(f"{setting.least:g} to {setting.most:g}")
        found += [f"{setting.name}: {words}" for words in wanted if words not in text]
    return found


def test_code_and_page_agree() -> None:
    settings = [*read()]
    assert len(settings) == 15 and sum(1 for one in settings if one.most) >= 3
    assert disagreements(PAGE) == []


def test_the_lists_are_what_is_read() -> None:
    assert {one.name for one in read()} == {*SENDER_SETTINGS, *RECEIVER_SETTINGS}
    for names in (SENDER_SETTINGS, RECEIVER_SETTINGS):
        assert [*names] == sorted({*names})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (".B SENDRECV_INTERVAL\n", ".B SENDRECV_PAUSE\n"),
        ("0 to 86400", "0 to 3600"),
        ("Default: 1.", "Default: 2."),
        ("1 to 60", "1 to 30"),
        ("Default: stop.", "Default: continue."),
        ("1 to 16000", "1 to 4096"),
        ("Default: 4096.", "Default: 16000."),
        ("Seconds, 1 to 60", "Minutes, 1 to 60"),
    ],
)
def test_a_planted_difference_in_the_page_is_seen(before: str, after: str) -> None:
    assert before in PAGE and disagreements(PAGE.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"SENDRECV_INTERVAL", 1.0, 0.0, 86400.0', '"SENDRECV_INTERVAL", 2.0, 0.0, 86400.0'),
        ('"SENDRECV_LEASE", 2.0, 1.0, 60.0', '"SENDRECV_LEASE", 2.0, 0.5, 60.0'),
        ('"SENDRECV_CA"', '"SENDRECV_CA_FILE"'),
    ],
)
def test_a_planted_difference_in_the_code_is_seen(before: str, after: str) -> None:
    assert before in CODE and disagreements(PAGE, CODE.replace(before, after))
