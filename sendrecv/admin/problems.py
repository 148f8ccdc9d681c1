"""What is wrong, in words, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator

from sendrecv.admin import audits, names
from sendrecv.admin.facts import SHOULD_RUN, STANDING_BY, STARTING, STOPPED, UNDELIVERED, App, Facts
from sendrecv.admin.screen import plain
from sendrecv.admin.units import ACTIVE, Half
from sendrecv.config import STATUS_URL
from sendrecv.core.values import Value
from sendrecv.errors import EXIT_STATUSES, UNAVAILABLE

MAKE_TOKEN = "(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \\n' > /etc/sendrecv/token)"


class Problem(Value):
    """Something that is wrong. app: the instance; "" if it concerns all. code: for scripts, see
    sendrecv-status(1). commands: what to type next, the first of them first. is_error: whether it
    keeps an App from running, or its counts from the receiver; if not, it is a warning. cost: what
    it leads to, if the text does not say that.
    """

    app: str
    code: str
    text: str
    commands: tuple[str, ...]
    is_error: bool = True
    cost: str = ""


def problems(facts: Facts) -> list[Problem]:
    """All that is wrong: what concerns all Apps first, then App by App."""
    found = [*_of_receiver(facts)]
    explains = bool(found)
    found += _of_token(facts)
    for app in facts.apps:
        found += [*_of_app(app, facts, explains), *_of_halves(app), *_of_pause(app, facts.when)]
    return [*found, *_of_audits(facts), *_of_names(facts)]


def _of_audits(facts: Facts) -> Iterator[Problem]:
    """Nothing if there is no App: then there is nothing to audit."""
    if not facts.audits or not facts.apps or facts.units.error:
        return
    instances = {app.app_id: app.instance for app in facts.apps}
    for found in audits.problems(facts.audits, facts.units.others, facts.when):
        app_id, code, text, commands, is_error = found
        yield Problem(instances.get(app_id, ""), code, text, commands, is_error)


def _of_receiver(facts: Facts) -> Iterator[Problem]:
    """At most one: the others would follow from it."""
    others = facts.units.others
    masked = sorted({"receiver.service", "receiver.socket"} & facts.units.masked)
    look = "journalctl -n 20 -u receiver"
    start = "systemctl start receiver.socket"
    if facts.units.error:
        yield Problem("", "systemd", facts.units.error, ("systemctl list-units",))
    elif masked:
        text = f"{' and '.join(masked)} is masked: no count is printed once the receiver has ended"
        yield Problem("", "receiver-masked", text, (f"systemctl unmask {' '.join(masked)}", start))
    elif others.get("receiver.service") == "failed":
        yield Problem(
            "", "receiver-failed", "the receiver has failed: no count is printed", (look,)
        )
    elif others.get("receiver.socket") not in {*ACTIVE, "activating"}:
        text = "receiver.socket is not active: no sender of this machine can reach the receiver"
        yield Problem("", "receiver-socket", text, (start,))
    elif facts.receiver.exit_status == UNAVAILABLE and facts.receiver.url == STATUS_URL:
        yield Problem("", "receiver-silent", "the receiver does not answer", (look,))


def _of_token(facts: Facts) -> Iterator[Problem]:
    """By TCP nobody is admitted without it. On the Unix socket none is needed."""
    if not facts.has_token and (
        facts.units.others.get("receiver-tcp.socket") in ACTIVE
        or any(half.needs_token for app in facts.apps for half in app.halves)
    ):
        text = "/etc/sendrecv/token is missing: nothing connects by TCP"
        yield Problem("", "token", text, (MAKE_TOKEN,))


def _of_app(app: App, facts: Facts, explained: bool) -> Iterator[Problem]:
    """explained: whether something is wrong with the receiver, which was said already."""
    if app.state == SHOULD_RUN and app.paused:
        text = f"App {app.instance} is paused {app.paused.words(facts.when)}, and nothing counts: "
        text += _why(app, facts)
        yield Problem(app.instance, "should-run", text, _for_paused(app))
    elif app.state == SHOULD_RUN:
        text = f"App {app.instance} should run and does not: {_why(app, facts)}"
        yield Problem(app.instance, "should-run", text, _for_idle(app))
    elif app.state == UNDELIVERED:
        text = f"App {app.instance} runs, and nothing is delivered: {_undelivered(app)}"
        commands = () if explained else _for_undelivered(app)
        yield Problem(app.instance, "not-delivered", text, commands)


def _why(app: App, facts: Facts) -> str:
    if all(half.masked for half in app.halves):
        return "both halves are masked"
    if not facts.has_token and any(half.needs_token for half in app.halves):
        return "/etc/sendrecv/token is missing"
    ended = [f"{half.role} {_ended(half)}" for half in app.halves if _ended(half)]
    ended += [plain(half.text) for half in app.halves if half.text]  # of one that waits
    if app.told.held:
        return app.told.held
    if app.paused:
        return ", ".join(ended) or "the half that counted was stopped"
    return ", ".join(ended) or "neither half was started"


def _ended(half: Half) -> str:
    """In what way it has ended; "" if that needs no words."""
    if half.masked:
        return "is masked"
    if half.result == "exit-code":
        known = {int(status): status.meaning for status in EXIT_STATUSES}
        meaning = known.get(half.status, "").rstrip(".")
        return f"ended with status {half.status}" + (f" ({meaning})" if meaning else "")
    return _RESULTS.get(half.result, f"has failed ({half.result})")


_RESULTS = {
    "": "",
    "success": "",
    "signal": "was killed",
    "core-dump": "was killed",
    "watchdog": "hung, and its watchdog killed it",
    "timeout": "was not ready in time",
    "oom-kill": "was killed, memory was short",
    "start-limit-hit": "was started too often (start limit)",
    "resources": "could not be started by systemd",
}
"""Result= of systemd.service(5) in words."""


def _for_paused(app: App) -> tuple[str, ...]:
    if app.told.several:
        return (f"sendrecv resume {app.instance}",)
    return (f"sendrecv resume {app.instance}", f"systemctl start sender@{app.instance}")


def _for_idle(app: App) -> tuple[str, ...]:
    units = " ".join(half.unit for half in app.halves if half.masked)
    limited = [half.unit for half in app.halves if half.result == "start-limit-hit"]
    look = f"journalctl -n 20 -u sender@{app.instance} -u sender-failover@{app.instance}"
    if any(half.result == "exit-code" for half in app.halves):
        return (look,)  # it has said why. A start would end in the same way, and is tried anyway
    return (
        *([f"systemctl unmask {units}"] if units else []),
        *([f"systemctl reset-failed {' '.join(limited)}"] if limited else []),
        f"systemctl start sender@{app.instance}",
        look,
    )


def _undelivered(app: App) -> str:
    if app.told.doubts:
        return "its sender does not believe the receiver's last count"
    said = "".join(half.text for half in app.halves if half.role == app.half)
    why = app.told.connection or plain(said) or "its sender says nothing"
    if app.told.connection == "connected":
        why = "the receiver does not answer" if (app.backlog or 0) > 1 else "no count is taken"
    if not app.backlog:
        return why
    return f"{why}, {app.backlog} count{'s' * (app.backlog > 1)} kept to send later"


def _for_undelivered(app: App) -> tuple[str, ...]:
    unit = f"sender-failover@{app.instance}" if app.half == "failover" else f"sender@{app.instance}"
    look = f"journalctl -n 20 -u {unit}"
    if not app.told.connection:  # it waits for something else
        return (look,)
    return (look, "systemctl status receiver.socket receiver.service")


def _of_halves(app: App) -> Iterator[Problem]:
    """What would keep the other half from taking over. An App that is idle has said all that."""
    if app.state in {SHOULD_RUN, STOPPED}:
        return
    for half in app.halves:
        if half.masked:
            text = f"{half.unit} is masked: it cannot take over when the other half ends"
            yield Problem(app.instance, "masked", text, (f"systemctl unmask {half.unit}",), False)
        elif half.result == "start-limit-hit" and app.state != STARTING:
            text = f"{half.unit} was started too often (start limit)"
            command = f"systemctl reset-failed {half.unit}"
            yield Problem(app.instance, "start-limit", text, (command,), False)


def _of_pause(app: App, now: float) -> Iterator[Problem]:
    if app.paused and app.state != SHOULD_RUN:
        is_alone = app.half and app.state != STANDING_BY and not app.told.several
        ends = f"when {app.half} ends" if is_alone else "by itself"
        text = f"App {app.instance} is paused {app.paused.words(now)}; nothing takes over {ends}"
        command = f"sendrecv resume {app.instance}"
        yield Problem(app.instance, "paused", text, (command,), False)


def _of_names(facts: Facts) -> Iterator[Problem]:
    """A name that was mistyped is an App of its own."""
    known = {app.instance: app for app in facts.apps}
    for name, app in known.items():
        others = names.alike(name, known)
        if others and app.state == STOPPED:
            text = f"App {name} is stopped, and {others[0]} has nearly its name: was it a mistake?"
            yield Problem(name, "name", text, (f"sendrecv forget {app.app_id}",), False)
