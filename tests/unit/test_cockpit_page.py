"""The page in Cockpit: what it must not do, whatever it shows, and that it is whole."""

import json
import re
from pathlib import Path

import pytest

from sendrecv import cli
from tests.lab.paths import TOP

PAGE = TOP / "cockpit"
NEVER = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "createContextualFragment",
    "DOMParser",
    "document.write",
    "eval(",
    "Function(",
    "setTimeout('",
    "javascript:",
    "@import",
    "setAttribute('style'",
)
"""What would parse a text as HTML or as a script, or what Cockpit's policy of contents refuses."""


def wrong(text: str) -> list[str]:
    """What a file of the page must not have."""
    found = [word for word in NEVER if word in text]
    found += re.findall(r"<script>|<style|\sstyle=|\son[a-z]+=[\"']", text)
    namespace = "http://www.w3.org/2000/svg"
    return found + re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+/\S*", text.replace(namespace, ""))


def files() -> list[Path]:
    return sorted(path for path in PAGE.iterdir() if path.suffix in {".js", ".html", ".css"})


@pytest.mark.parametrize("file", files(), ids=lambda file: file.name)
def test_it_parses_no_text_and_loads_nothing_from_elsewhere(file: Path) -> None:
    assert wrong(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "element.innerHTML = text",
        '<p style="color: red">',
        "<script>go()</script>",
        '<a onclick="go()">',
        "@import 'x.css'",
        'src="https://cdn.example/lib.js"',
        "url(//cdn.example/font.woff2)",
    ],
)
def test_a_planted_fault_is_found(text: str) -> None:
    assert wrong(text)


def test_each_file_is_used_and_each_that_is_used_is_there() -> None:
    named = {"index.html"}
    for file in files():
        text = file.read_text(encoding="utf-8")
        named |= set(re.findall(r'from "\./([^"]+)"', text))
        named |= set(re.findall(r'(?:href|src)="([^".][^"]*)"', text))
    assert named == {file.name for file in files()}


def test_cockpit_shows_it_where_sendrecv_is() -> None:
    manifest = json.loads((PAGE / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["requires"] == {"cockpit": "287"}  # Debian 12's
    assert manifest["conditions"] == [{"path-exists": "/usr/bin/sendrecv"}]
    assert manifest["menu"]["index"]["label"] == "sendrecv"
    assert manifest["content-security-policy"] == "img-src 'self' data:"


def test_only_one_module_starts_commands_and_each_is_there() -> None:
    starts = [
        file.name
        for file in files()
        if re.search(r"cockpit\.(spawn|script|file|dbus|channel|http)\b", file.read_text("utf-8"))
    ]
    assert starts == ["source.js"]
    text = (PAGE / "source.js").read_text(encoding="utf-8")
    commands = set(re.findall(r'"sendrecv", "([a-z]+)"', text))
    assert {"status", "history", "move"} <= commands
    known = {command for command in commands if f"\n  {command} " in cli.USAGE}
    assert commands - known <= {"pause", "resume"}
