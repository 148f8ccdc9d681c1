"""`sendrecv pause` and `sendrecv resume`: nothing takes over by itself while a person works.

A pause only ever keeps a start from happening. So it cannot hurt the promises that no two processes
count and no count is lost; it suspends the one that an App goes on by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from sendrecv.admin import acts, facts, files, halves, names, pause_hosts, paused
from sendrecv.admin.acts import NOTES
from sendrecv.admin.facts import App, Facts
from sendrecv.admin.paused import Pause
from sendrecv.commandline import Parser
from sendrecv.core.takeover import PAUSED, RESUMED
from sendrecv.errors import DONE, SendrecvError, StoreUnusable, UsageError

GUARD = Path("/run/sendrecv-guard")
"""See systemd/guard."""


def pause(argv: Sequence[str]) -> int:
    """Until somebody types resume, also after a reboot. Raises SendrecvError."""
    options = _parse(
        argv,
        "pause",
        "Keep an App from being taken over, by the other half or another"
        " host, until it is resumed. The process that counts goes on.",
    )
    instance = acts.instance_of(options)
    acts.assert_root(f"sendrecv pause {instance}")
    known, app = _known(instance)
    by = acts.person()
    new = Pause(time.time(), by, options.reason)
    if _is_of_several(app):
        with pause_hosts.keys_of(known, app) as keys:
            if before := keys.pause():
                return _paused_already(instance, before)
            keys.write(new)
        what_follows = pause_hosts.what_follows(app)
    elif app.paused:
        return _paused_already(instance, app.paused)
    else:
        # The guard starts main if a target was started after that.
        _write(NOTES / f"{instance}.paused", f"{time.monotonic_ns() // 1000}\n")
        paused.write(instance, new)
        what_follows = _what_follows(app)
    text = f"App {instance} is paused {acts.with_reason(by, options.reason)}"
    _tell(text, app, PAUSED, by, options.reason)
    print(f"App {instance} is paused: {what_follows}.")
    print(f"It stays so, also after a reboot, until: sendrecv resume {instance}")
    return DONE


def _paused_already(instance: str, pause: Pause) -> int:
    print(f"App {instance} is paused already, {pause.words(time.time())}")
    return DONE


def resume(argv: Sequence[str]) -> int:
    """The App is looked after again; if it should run and does not, it goes on. Raises
    SendrecvError.
    """
    options = _parse(
        argv,
        "resume",
        "End what `sendrecv pause` has begun. If nothing counts, the App goes on.",
    )
    instance = acts.instance_of(options)
    acts.assert_root(f"sendrecv resume {instance}")
    known, app = _known(instance)
    is_of_several = _is_of_several(app)
    if not (_resume_hosts(known, app) if is_of_several else app.paused):
        print(f"App {instance} is not paused")
        return DONE
    by = acts.person()
    # Also if it was paused as an App of this machine alone, before it was one of several hosts.
    paused.remove(instance)
    for note in (NOTES / f"{instance}.paused", GUARD / f"paused-{instance}"):
        with contextlib.suppress(OSError):
            note.unlink()
    text = f"App {instance} is resumed {acts.with_reason(by, options.reason)}"
    _tell(text, app, RESUMED, by, options.reason)
    goes_on = pause_hosts.go_on(instance) if is_of_several else _go_on(instance)
    print(f"App {instance} is resumed: {goes_on}")
    return DONE


def _resume_hosts(known: Facts, app: App) -> bool:
    """Whether it was paused, here or on another host. Raises SendrecvError."""
    with pause_hosts.keys_of(known, app) as keys:
        was_paused = keys.pause() is not None
        keys.remove()
    return was_paused or app.instance in paused.paused()


def _parse(argv: Sequence[str], command: str, description: str) -> argparse.Namespace:
    parser = Parser(prog=f"sendrecv {command}", description=description)
    acts.add_arguments(parser)
    return parser.parse_args(argv)


def _known(instance: str) -> tuple[Facts, App]:
    """What is known, and of that App. Raises UsageError if there is none."""
    known = facts.gather()
    for app in known.apps:
        if app.instance == instance:
            return known, app
    raise UsageError(names.unknown(instance, {app.instance for app in known.apps}))


def _is_of_several(app: App) -> bool:
    return app.told.several or "SENDRECV_STORE" in files.settings(app.instance)


def _what_follows(app: App) -> str:
    other = {"main": "failover", "failover": "main"}.get(app.half)
    if other:
        return f"{app.half} counts on, and {other} does not take over when it ends"
    return "nothing counts, and nothing is started by itself"


def _go_on(instance: str) -> str:
    """In words. Raises SendrecvError if the App should go on, and does not."""
    now = halves.running(instance)
    if now is None and not halves.is_meant(instance):
        return f"it is stopped; to start it: systemctl start sender@{instance}"
    if now is None:
        both = halves.halves_of(instance)
        main, failover = both["main"], both["failover"]
        half = failover if main.masked else main
        try:
            halves.start(half)
        except SendrecvError as error:
            hint = f"journalctl -n 20 -u {main.unit} -u {failover.unit}"
            raise type(error)(f"App {instance} is resumed, and nothing counts: {error}", hint)
        return f"{half.role} counts"
    return f"{now.role} counts, and {halves.OTHER[now.role]} takes over when it ends"


def _tell(text: str, app: App, message: str, by: str, reason: str) -> None:
    fields = {"MESSAGE_ID": message, "SENDRECV_APP": app.app_id}
    acts.tell(text, app.instance, fields | {"SENDRECV_BY": by, "SENDRECV_REASON": reason})


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(0o755, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        new.write_text(text, encoding="ascii")
        os.replace(new, path)
    except OSError as error:
        raise StoreUnusable(f"{error.filename}: {error.strerror}") from None
