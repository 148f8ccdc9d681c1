"""The start of a half while its App is paused: nothing takes over by itself. See sendrecv-pause(1).

What a person starts counts as ever, and so does what a boot starts. But OnFailure= of the other
half starts this one too, and systemd does not tell which it was. It tells how the last run of the
other half ended (MONITOR_SERVICE_RESULT in systemd.exec(5)). Each failure starts this half once. So
if the last failure is one that no start of this half has seen before, the failure has started it.

This half could not be held back by a condition of its unit. When a person starts it, systemd stops
the other half first (Conflicts=), and looks at conditions later: nothing would count then.

Of an App on several hosts, the pause is a key in etcd (core/lease.py), and no file of the machine:
so the other half, the script takeover and the guard start a half as ever. It stands by, unless a
person has started it, which is asked here.
"""

from __future__ import annotations

import os

from sendrecv import systemd
from sendrecv.core import takeover
from sendrecv.core.errors import WARNING
from sendrecv.core.takeover import End
from sendrecv.sender.story import GUARD, STARTED_BY_END, Half, moved, read_word, write_word

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from sendrecv.systemd import Notifier


def is_held(instance: str, role: str, notifier: Notifier) -> bool:
    """Whether this process is to end: a failure of the other half has started it, and no person.

    Says so, and has told systemd that all is well: a failure would start the other half again.
    Otherwise it says that the App is paused.
    """
    half = Half(instance, role)
    if failure := _new_failure(half):
        # First: a person who starts it again means it.
        write_word(half.seen, failure.run)
        text = f"not taking over, for App {instance} is paused: {half.other}"
        why, hint = takeover.in_words(failure), f"to go on: sendrecv resume {instance}"
        notifier.log(WARNING, f"{text} {why}; {hint}")
        notifier.status("paused, not taking over")
        notifier.ready()
        notifier.stopping()
        return True
    text = f"App {instance} is paused: nothing takes over when {half.unit} ends"
    notifier.log(WARNING, f"{text}; to end that: sendrecv resume {instance}")
    return False


def is_by_person(instance: str, role: str) -> bool:
    """Whether this process of an App on several hosts was started by a person, or by a boot: not
    by a failure of the other half, nor by its orderly end, nor by the guard.
    """
    half = Half(instance, role)
    failure = _new_failure(half)
    if failure:
        write_word(half.seen, failure.run)
    notes = (
        (os.path.join(STARTED_BY_END, half.unit), f"{half.seen}-end"),
        (os.path.join(GUARD, f"{half.unit}.itself"), f"{half.seen}-guard"),
    )
    is_new = [_is_new_word(*note) for note in notes]  # all are seen now
    return failure is None and not any(is_new)


def _is_new_word(path: str, seen: str) -> bool:
    """Whether that file says what no start of this half has seen before."""
    word = read_word(path)
    if word in ("-", read_word(seen)):
        return False
    write_word(seen, word)
    return True


def _new_failure(half: Half) -> End | None:
    told = systemd.last_end()
    end = End(*told) if told else None
    if end is None or end.result == "success" or end.run == read_word(half.seen):
        return None
    # A half that does not end in time as a person moves the App is killed, which is a failure.
    return None if moved(half, end.run) else end
