"""`sendrecv move`: a person moves an App to the other half of this machine."""

from __future__ import annotations

import os
from pathlib import Path

from sendrecv.admin import acts, halves
from sendrecv.admin.acts import NOTES
from sendrecv.admin.halves import OTHER
from sendrecv.admin.units import Half
from sendrecv.errors import DONE, ReceiverUnavailable, StoreUnusable, UsageError


def move(instance: str, role: str, reason: str) -> int:
    """To that half, "" for the other one. Returns when that one counts, or raises SendrecvError.

    If it cannot start, the half that counts is left alone. If it does not start all the same, that
    half counts on.
    """
    now = halves.running(instance)
    if now is None:
        raise UsageError(f"no half of App {instance} runs", f"systemctl start sender@{instance}")
    to = halves.halves_of(instance)[role or OTHER[now.role]]
    if to.role == now.role:
        print(f"App {instance}: {now.role} counts already")
        return DONE
    halves.assert_can_start(to)
    note = _note(to, now, reason)
    try:
        halves.start(to)
    except ReceiverUnavailable as error:
        note.unlink(missing_ok=True)
        raise _back(instance, now, str(error)) from None
    print(f"App {instance}: {to.role} counts now")
    return DONE


def _note(to: Half, now: Half, reason: str) -> Path:
    """For the sender that is about to start: its story says who has moved the App, and why."""
    path = NOTES / f"{to.unit}.moved"
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(f"{now.run}\n{acts.person()}\n{reason}\n", encoding="utf-8")
        os.replace(new, path)
    except OSError as error:
        raise StoreUnusable(f"{error.filename}: {error.strerror}") from None
    return path


def _back(instance: str, now: Half, why: str) -> ReceiverUnavailable:
    """The error, once the half that counted before counts again: by OnFailure=, but not while the
    App is paused.
    """
    there = halves.running(instance)
    try:
        if there is None:
            halves.start(now)
            there = now
    except ReceiverUnavailable:
        pass
    counts = f"{there.role} runs" if there else "nothing counts"
    return ReceiverUnavailable(
        f"{why}; App {instance}: {counts}",
        f"journalctl -n 20 -u sender@{instance} -u sender-failover@{instance}",
    )
