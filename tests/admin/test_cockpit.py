"""The page in Cockpit, in Debian's Chromium: what a person sees of it, and does with it.

Not a part of `make test`: see `make admin`. Its pictures are in .build/cockpit, to be looked at.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.browser import Browser, browser
from tests.lab.machine import Machine
from tests.system.app import App

WIDE, NARROW = (1280, 900), (360, 780)
ROW = "document.querySelector('[data-app=one]')"
COUNT = f"Number({ROW}.querySelector('.count').textContent)"
SAYS = "document.body.innerText"
HEARD = "document.getElementById('announcements').textContent"


@pytest.fixture(scope="module")
def machine(release: str) -> Iterator[Machine]:
    """With the package, and a user who is no administrator."""
    # Selenium finds the driver by that name, which a machine without a network does not know.
    hosts = {"/etc/hosts": "127.0.0.1 localhost\n"}
    with Machine(release, kind="admin", files=hosts) as one:
        one.install_deb()
        one.run("useradd --create-home joe")
        yield one


@pytest.fixture(scope="module", name="page")
def fixture_page(machine: Machine) -> Iterator[Browser]:
    """The page, as root has it, in a wide window."""
    with browser(machine) as one:
        one.ask("size", *WIDE)
        one.visit()
        yield one


@pytest.fixture(scope="module", name="app")
def fixture_app(machine: Machine, page: Browser) -> App:
    """It is started by the page, on a machine that has no App."""
    page.wait(f"{SAYS}.includes('No App yet')")
    page.shot("empty")
    page.ask("click", "#empty .button")
    page.wait("document.querySelector('dialog[open] #instance')")
    page.value("document.querySelector('#instance').select()")
    page.ask("keys", "one", "ENTER")
    page.wait(f"{ROW} && {SAYS}.includes('counting')")
    return App(machine, "one")


@pytest.fixture(name="overview")
def fixture_overview(page: Browser, app: App) -> Browser:
    """All Apps are shown, of which one runs, and nothing was complained of yet."""
    page.ask("size", *WIDE)
    page.visit()
    page.wait(f"{ROW} && {COUNT} >= 0")
    page.ask("log")
    assert app.active()
    return page


def other_half(app: App) -> str:
    (half,) = app.active()
    return {"main": "failover", "failover": "main"}[half]


def test_the_count_ticks_and_nothing_is_announced(overview: Browser) -> None:
    before = overview.wait(f"{COUNT} || 0")
    overview.wait(f"{COUNT} > {before + 2}")
    assert overview.value(HEARD) == ""
    assert "Receiver up for" in overview.value(SAYS)
    overview.ask("shell")
    assert "sendrecv" in overview.value("document.querySelector('nav, #nav-system').innerText")


def test_a_kill_is_on_the_page(machine: Machine, overview: Browser, app: App) -> None:
    """How long it takes is printed: the time includes that of the command that kills."""
    times = []
    for _ in range(3):
        other = other_half(app)
        overview.wait(f"{ROW}.textContent.includes('counting')")
        began = time.monotonic()
        machine.kill(app.unit({"main": "failover", "failover": "main"}[other]), "KILL")
        overview.wait(f"{ROW}.querySelector('.who').textContent === '{other}'")
        times.append(time.monotonic() - began)
        heard = f"App one: {other} counts, in place of"
        overview.wait(f"{HEARD}.includes('{heard}') && {HEARD}.includes('was killed by signal 9')")
        overview.wait(f"document.getElementById('events').innerText.includes('{other} counts')")
    print("a kill was on the page after", ", ".join(f"{one:.2f} s" for one in times))
    marks = f"{ROW}.querySelectorAll('.mark-takeover').length"
    overview.wait(f"{marks} >= 3")
    picture = overview.value(f"{ROW}.querySelector('svg').getAttribute('aria-label')")
    assert "takeovers; at " in picture and "was killed by signal 9 (SIGKILL)" in picture
    overview.shot("overview")


def test_the_keyboard_alone_moves_an_app(overview: Browser, app: App) -> None:
    other = other_half(app)
    overview.value("document.body.focus()")
    for _ in range(30):
        overview.ask("keys", "TAB")
        if overview.value("document.activeElement.textContent").startswith("Move"):
            break
    assert overview.value(f"{ROW}.contains(document.activeElement)")
    outline = overview.value("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    overview.ask("keys", "ENTER")
    overview.wait("document.querySelector('dialog[open]').contains(document.activeElement)")
    overview.shot("move")
    overview.ask("keys", "ESCAPE")
    overview.wait("document.querySelector('dialog') === null")
    assert overview.value("document.activeElement.textContent").startswith("Move")
    assert app.active() != [other]
    overview.ask("keys", "ENTER")
    for _ in range(10):
        if overview.value("document.activeElement.textContent") == "Move":
            break
        overview.ask("keys", "TAB")
    overview.ask("keys", "ENTER")
    overview.wait(f"{ROW}.querySelector('.who').textContent === '{other}'")
    overview.wait("document.querySelector('dialog') === null")
    assert app.active() == [other]
    # Not lost, though the button says the other half now.
    assert overview.value("document.activeElement.textContent").startswith("Move")


def test_stop_and_start(overview: Browser, app: App) -> None:
    overview.ask("click", "[data-app=one] .button-danger-line")
    overview.wait("document.querySelector('dialog[open]')")
    overview.shot("stop")
    overview.ask("click", "dialog .button-danger")
    overview.wait(f"{ROW}.innerText.includes('stopped')")
    assert app.active() == []
    overview.ask("click", "[data-app=one] .button-primary")
    overview.wait(f"{ROW}.innerText.includes('counting')")
    assert app.active() == ["main"]


def test_pause_and_resume(machine: Machine, overview: Browser) -> None:
    def paused() -> Any:
        return json.loads(machine.run("sendrecv status --json one").stdout)["apps"][0]["paused"]

    pressed = f"[...{ROW}.querySelectorAll('button')].find(it => it.textContent === '%s').click()"
    overview.value(pressed % "Pause")
    overview.wait("document.activeElement.id === 'reason'")
    overview.ask("keys", "a new <b>disk</b>", "ENTER")
    overview.wait(f"{ROW}.innerText.includes('paused')")
    assert paused()["reason"] == "a new <b>disk</b>"
    overview.shot("paused")
    overview.value(pressed % "Resume")
    overview.wait(f"!{ROW}.innerText.includes('paused')")
    assert paused() is None


def test_history_and_proof_of_an_app(machine: Machine, overview: Browser, app: App) -> None:
    overview.ask("click", "[data-app=one] a")
    overview.wait("document.querySelectorAll('#history tbody tr').length >= 3")
    assert overview.value("document.activeElement.tagName") == "H1"
    history = overview.value("document.querySelector('#history').innerText")
    assert "was killed by signal 9 (SIGKILL)" in history
    overview.ask("click", "#prove")
    overview.wait("document.querySelector('#verdict .verdict')")
    told = json.loads(machine.run("sendrecv proof --json one").stdout)
    text = overview.value("document.querySelector('#verdict').innerText")
    assert text.startswith("PROVEN") and told["verdict"] == "PROVEN"
    checks = told["apps"][0]["checks"]
    assert len(checks) > 5 and all(check["check"] in text for check in checks)
    image = "document.querySelector('#verdict img')"
    overview.wait(f"{image}.complete && {image}.naturalWidth === 1200")
    assert machine.run("ls /tmp | grep '^tmp\\.' || true").stdout == ""
    overview.ask("size", 1280, 1750)
    overview.shot("details")
    overview.ask("click", "nav a")
    overview.wait(ROW)
    assert app.active() == ["main"]
    log = [line for line in overview.ask("log") if "/sendrecv/" in line]  # not Cockpit's own pages
    assert log == []  # nor a violation of Cockpit's policy of contents


def test_360_pixels_are_enough(overview: Browser) -> None:
    overview.ask("size", *NARROW)
    overview.visit()
    overview.wait(f"{ROW} && {COUNT} > 0")
    overview.shot("narrow")
    _assert_it_fits(overview)
    overview.ask("click", "[data-app=one] .button-primary")
    overview.wait("document.querySelector('dialog[open]')")
    overview.shot("narrow-move")
    _assert_it_fits(overview)
    overview.ask("keys", "ESCAPE")
    overview.ask("click", "[data-app=one] a")
    overview.wait("document.querySelectorAll('#history tbody tr').length >= 3")
    overview.ask("click", "#prove")
    overview.wait("document.querySelector('#verdict img')")
    overview.ask("size", NARROW[0], 2600)
    overview.shot("narrow-details")
    _assert_it_fits(overview)


def test_a_row_fits_at_every_width(overview: Browser) -> None:
    for width in range(WIDE[0], NARROW[0] - 1, -40):
        overview.ask("size", width, WIDE[1])
        overview.wait(f"innerWidth <= {width}")  # less, if Cockpit's own menu is beside it
        _assert_it_fits(overview)


def _assert_it_fits(page: Browser) -> None:
    """Nothing is wider than the window, but what can be scrolled by itself."""
    wide = page.value(TOO_WIDE)
    assert wide == []
    assert page.value("document.documentElement.scrollWidth - innerWidth") <= 0


TOO_WIDE = """
    [...document.querySelectorAll('body *')]
        .filter(it => !it.closest('.unseen, .picture, svg, thead'))
        .filter(it => it.getBoundingClientRect().right > innerWidth + 0.5)
        .map(it => it.outerHTML.slice(0, 120))
"""


def test_dark_is_as_the_shell_has_it(overview: Browser) -> None:
    light = overview.value("getComputedStyle(document.body).backgroundColor")
    overview.value(
        "localStorage.setItem('shell:style', 'dark'),"
        " window.dispatchEvent(new CustomEvent('cockpit-style', {detail: {style: 'dark'}}))"
    )
    dark = overview.value("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(242, 242, 242)", "rgb(21, 21, 21)")
    overview.visit()  # the shell, too
    overview.wait(f"{ROW} && {COUNT} > 0")
    assert overview.value("getComputedStyle(document.body).backgroundColor") == dark
    overview.shot("dark")
    overview.ask("click", "[data-app=one] a")
    overview.wait("document.querySelectorAll('#history tbody tr').length >= 3")
    overview.ask("size", 1280, 1300)
    overview.shot("dark-details")
    assert overview.value(CONTRAST) == []
    overview.value("localStorage.setItem('shell:style', 'auto')")
    overview.visit()
    overview.wait(f"{ROW} && {COUNT} > 0")
    assert overview.value(CONTRAST) == []


CONTRAST = """(() => {
    const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
    const light = channels => channels.slice(0, 3).map(it => it / 255)
        .map(it => it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
        .reduce((sum, it, place) => sum + it * [0.2126, 0.7152, 0.0722][place], 0);
    const ground = it => {
        for (; it; it = it.parentElement) {
            const colour = rgb(getComputedStyle(it).backgroundColor);
            if (colour.length === 3 || colour[3] === 1)
                return colour;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll('body *')]
        .filter(it => [...it.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
        .filter(it => it.offsetParent && !it.closest('svg, .unseen, :disabled'))
        .map(it => [it, light(rgb(getComputedStyle(it).color)), light(ground(it))])
        .map(([it, ...both]) => [it, Math.max(...both), Math.min(...both)])
        .filter(([, more, less]) => (more + 0.05) / (less + 0.05) < 4.5)
        .map(([it]) => it.outerHTML.slice(0, 120));
})()"""
"""Texts that stand out too little of their ground: below 4.5, which is WCAG's AA."""


def test_who_is_no_administrator_is_told_what_is_missing(overview: Browser, app: App) -> None:
    overview.visit("joe")
    overview.wait(f"{ROW} && {ROW}.innerText.includes('counting')")
    text = overview.wait(f"{SAYS}.includes('You do not see everything') && {SAYS}")
    assert "members of the group adm" in text and "groups adm and systemd-journal" in text
    overview.shot("unprivileged")
    (before,) = app.active()
    overview.ask("click", "[data-app=one] .button-primary")
    overview.wait("document.querySelector('dialog[open]')")
    overview.ask("click", "dialog .button-primary")
    overview.wait("document.querySelector('dialog .alert-bad')")
    assert "You may not do this" in overview.value("document.querySelector('dialog').innerText")
    overview.shot("denied")
    assert app.active() == [before]
    overview.ask("keys", "ESCAPE")
    overview.ask("click", "[data-app=one] a")
    overview.wait(f"{SAYS}.includes('may read the journal, which has the evidence')")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "mv /usr/bin/sendrecv /root/; pkill -f 'status --json --follo[w]'",
            "sendrecv is not installed on this machine",
        ),
        ("systemctl stop receiver.socket receiver.service", "receiver.socket is not active"),
        (
            "mv /usr/bin/sendrecv /root/; printf '#!/bin/sh\\necho sendrecv: unrecognized >&2;"
            " exit 64' > /usr/bin/sendrecv; chmod 755 /usr/bin/sendrecv",
            "too old for this page",
        ),
    ],
)
def test_what_is_wrong_is_said(
    machine: Machine, overview: Browser, command: str, words: str
) -> None:
    machine.run(command)
    try:
        if "exit 64" in command:  # what runs already goes on
            overview.visit()
        overview.wait(f"{SAYS}.includes('{words}')")
        overview.shot(words.split()[-1].replace(".", ""))
    finally:
        machine.run(
            "mv /root/sendrecv /usr/bin/ 2>/dev/null; systemctl start receiver.socket", check=False
        )
    overview.wait(f"{ROW} && {ROW}.innerText.includes('counting') && !{SAYS}.includes('{words}')")


def test_nobody_asks_while_nobody_looks(machine: Machine, overview: Browser) -> None:
    """One process while the page is shown, and none while another page of Cockpit is."""

    def streams() -> int:
        return len(machine.run("pgrep -f 'status --json --follo[w]' || true").stdout.split())

    overview.wait(f"{COUNT} > 0")
    machine.wait_until(lambda: streams() == 1, "one process follows")
    overview.ask("shell")
    overview.value("document.querySelector('a[href$=\"/system/services\"]').click()")
    machine.wait_until(lambda: streams() == 0, "none is left")
    overview.value("document.querySelector('a[href$=\"/sendrecv\"]').click()")
    machine.wait_until(lambda: streams() == 1, "one process follows again")


def test_what_the_page_knows_of_the_past(overview: Browser) -> None:
    """past.js, on events that no machine has had."""

    def value(text: str) -> list[list[object]]:
        found: list[list[object]] = overview.value(f"(async () => {{ {PAST}{text} }})()")
        return found

    assert value("return spans([], app('main', 40))") == [[40, 100, "main"]]
    takeover = "event(70, 'main', 'failover', 2)"
    both = [[0, 68, "main"], [68, 70, "silent"], [70, 100, "failover"]]
    assert value(f"return spans([{takeover}], app('failover', 69))") == both
    assert value(f"return spans([{takeover}, {takeover}], app('failover', 69))") == both
    boot = "event(70, 'main', 'main', null)"
    assert value(f"return spans([{boot}], app('main', 69))") == [
        [0, 70, "unknown"],
        [70, 100, "main"],
    ]
    stopped = "{...app('', null), half: null, nodeID: null, state: 'stopped'}"
    assert value(f"return spans([{takeover}], {stopped})")[-1] == [70, 100, "unknown"]
    assert value(f"return spans([], {stopped}, [{stopped}, {stopped}])") == [[98, 99, "silent"]]
    seen = f"[{{...app('failover', 69)}}, {stopped}, {stopped}]"
    known = value(f"return spans([{takeover}], {stopped}, {seen})")
    assert known[2:] == [[70, 98, "failover"], [99, 100, "silent"]]
    elsewhere = "{...app('b', 20), host: 'b', state: 'standing by'}"
    assert value(f"return spans([], {elsewhere})") == [[20, 100, "elsewhere"]]


PAST = """
const { Past } = await import('/cockpit/@localhost/sendrecv/past.js');
const event = (when, fromNode, toNode, silence) => ({
    event: fromNode === toNode ? 'start' : 'takeover', when, instance: 'x', fromNode, toNode,
    fromHost: null, toHost: null, silence, epoch: when,
});
const app = (nodeID, since) => ({
    instance: 'x', state: 'counting', half: nodeID, nodeID, host: null, since,
});
const spans = (events, now, seen = []) => {
    const past = new Past();
    past.tell(events);
    seen.forEach((one, place) => past.see({ when: 98 + place, apps: [one] }));
    return past.spans(now, 0, 100, 'here').map(span => [span.from, span.to, span.kind]);
};
"""


def test_scripts_are_scripts(machine: Machine) -> None:
    """Each is parsed by Debian's node, as what it is loaded as."""
    directory = "/usr/share/cockpit/sendrecv"
    names = machine.run(f"cd {directory}; ls *.js").stdout.split()
    assert len(names) > 8
    for name in names:
        kind = "cjs" if name == "theme.js" else "mjs"
        machine.run(f"cp {directory}/{name} /tmp/x.{kind} && node --check /tmp/x.{kind}")
