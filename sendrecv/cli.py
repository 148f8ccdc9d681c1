"""/usr/bin/sendrecv: chooses the command, and turns an error into one line and an exit status."""

from __future__ import annotations

import os
import sys

from sendrecv import __version__
from sendrecv.core.errors import ERROR, quoted
from sendrecv.errors import DONE, FAULT, INTERRUPTED, SendrecvError, UsageError

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sendrecv.systemd import Notifier

_KEPT = frozenset(
    "PATH LANG LANGUAGE TERM COLUMNS LINES NO_COLOR TZ"
    # From pkexec: who asks for something that is done as root.
    " PKEXEC_UID"
    # From systemd; systemd.py reads them.
    " NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID INVOCATION_ID JOURNAL_STREAM BOOT_ID"
    " LISTEN_FDS LISTEN_FDNAMES LISTEN_PID"
    " STATE_DIRECTORY RUNTIME_DIRECTORY CREDENTIALS_DIRECTORY"
    " MONITOR_INVOCATION_ID MONITOR_SERVICE_RESULT MONITOR_EXIT_STATUS TRIGGER_UNIT".split()
)
_KEPT_PREFIXES = ("LC_", "SENDRECV_")

USAGE = """\
usage: sendrecv COMMAND [ARGUMENT...] | --help | --version

To see what is:
  status [INSTANCE...]            who counts, since when, what is wrong, and what to type
  watch [INSTANCE...]             the same, live, with the beat of each App
  check [INSTANCE...]             settings, units, files, disks, journal: what would go wrong
  history [INSTANCE...]           the takeovers: who counted, who counts, since when and why
  metrics                         the same as numbers, for Prometheus
  proof [INSTANCE...]             prove from the journal that nothing ran or was counted twice
  audit                           prove what is new, and keep that: sendrecv-audit.timer

To change something, as root:
  move INSTANCE [HALF|HOST]       let the other half count, or that host
  pause INSTANCE                  let nothing take over by itself, while you work
  resume INSTANCE                 end that; if nothing counts, the App goes on
  accept APPID --count N          let an App go on from a count that its sender did not believe
  forget APP...                   let Apps that are stopped begin anew, with count 0

What the units run:
  send INSTANCE {main|failover}   count, as one half of an App (sender@INSTANCE.service)
  receive                         print what the senders send (receiver.service)

Apps are started, stopped and enabled with systemctl:
  systemctl start sender@NAME              start the App NAME; hand it back to its main
  systemctl stop sender@NAME               hand it to its failover
  systemctl stop sendrecv@NAME.target      stop it
  systemctl enable sendrecv@NAME.target    start it at boot

Each command has --help. See sendrecv(1) and, for the units, sender@.service(8).
"""


def main() -> None:
    """Run the command named in sys.argv, and exit."""
    _forget_the_environment()
    try:
        status = _run_or_complain(sys.argv[1:])
    except KeyboardInterrupt:
        status = INTERRUPTED
    # Python's own exit status would be 1, which is a verdict of `sendrecv proof`.
    except Exception:  # pylint: disable=broad-exception-caught
        sys.excepthook(*sys.exc_info())
        status = FAULT
    sys.exit(status)


def _forget_the_environment() -> None:
    """Remove each variable that no setting of ours names, before a library can read it.

    Libraries obey dozens of variables: proxies, CA files, a log of TLS keys, options of OpenSSL and
    of the resolver. A proxy would be told the token. A list of what to remove would miss the next
    one, so this is a list of what stays. Removed from the process, so code in C sees none either.
    """
    for name in [*os.environ]:
        if name not in _KEPT and not name.startswith(_KEPT_PREFIXES):
            del os.environ[name]


def _run_or_complain(arguments: list[str]) -> int:
    try:
        return _run(arguments)
    except SendrecvError as error:
        from sendrecv.systemd import log

        log(ERROR, f"sendrecv: {error}")
        return error.exit_status


def _print(text: str) -> int:
    from sendrecv import commandline

    def command(_arguments: Sequence[str]) -> int:
        print(text, end="")
        return DONE

    return commandline.printed(command, ())


def _starting() -> Notifier:
    """Make the notifier. This comes before the long imports, which are a part of the start."""
    from sendrecv import imports, systemd

    imports.begin()
    notifier = systemd.Notifier()
    notifier.starting()
    return notifier


# Called by printed(), where a failed import does not look like a verdict.


def _status(arguments: Sequence[str]) -> int:
    from sendrecv.admin import status

    return status.main(arguments)


def _check(arguments: Sequence[str]) -> int:
    from sendrecv.admin import check

    return check.main(arguments)


def _watch(arguments: Sequence[str]) -> int:
    from sendrecv.admin import watch

    return watch.main(arguments)


def _history(arguments: Sequence[str]) -> int:
    from sendrecv.admin import history

    return history.main(arguments)


def _metrics(arguments: Sequence[str]) -> int:
    from sendrecv.admin.metrics import command

    return command.main(arguments)


def _forget(arguments: Sequence[str]) -> int:
    from sendrecv.admin import forget

    return forget.main(arguments)


def _accept(arguments: Sequence[str]) -> int:
    from sendrecv.admin import accept

    return accept.main(arguments)


def _move(arguments: Sequence[str]) -> int:
    from sendrecv.admin import move

    return move.main(arguments)


def _pause(arguments: Sequence[str]) -> int:
    from sendrecv.admin import pause

    return pause.pause(arguments)


def _resume(arguments: Sequence[str]) -> int:
    from sendrecv.admin import pause

    return pause.resume(arguments)


def _audit(arguments: Sequence[str]) -> int:
    from sendrecv.proof.audit import command

    return command.main(arguments)


def _proof(arguments: Sequence[str]) -> int:
    from sendrecv.proof import prove

    return prove.main(arguments)


_PRINTED = {
    "status": _status,
    "check": _check,
    "watch": _watch,
    "history": _history,
    "metrics": _metrics,
    "forget": _forget,
    "accept": _accept,
    "move": _move,
    "pause": _pause,
    "resume": _resume,
    "proof": _proof,
    "audit": _audit,
}
"""The commands that print, and have a --help of their own."""


def _receive(notifier: Notifier) -> int:
    from sendrecv.backoff import wait_if_too_many_starts

    backoff = wait_if_too_many_starts("receiver", notifier)
    from sendrecv.receiver.light_server import import_libraries

    import_libraries()
    from sendrecv.receiver import main as receiver

    return receiver.main(notifier, backoff)


def _run(arguments: list[str]) -> int:
    """Run the command. Imports only what the command needs: a takeover is mostly imports."""
    match arguments:
        case ["--help" | "-h" | "help"]:
            return _print(USAGE)
        case [command, "--help" | "-h"] if command not in _PRINTED:
            return _print(USAGE)
        case ["--version"]:
            return _print(f"sendrecv {__version__}\n")
        case ["send", instance, "main" | "failover" as role]:
            from sendrecv.imports import deferred

            with deferred():
                notifier = _starting()
                from sendrecv.backoff import wait_if_too_many_starts

                # Before imports that may fail: with a broken module, the halves must not spin.
                backoff = wait_if_too_many_starts(instance, notifier)
                from sendrecv.sender import main as sender
            return sender.main(instance, role, notifier, backoff)
        case ["receive"]:
            return _receive(_starting())
        case ["receive", "settle"]:
            from sendrecv.receiver import settle

            return settle.main()
        case [command, *rest] if command in _PRINTED:
            from sendrecv import commandline

            return commandline.printed(_PRINTED[command], rest)
    problem = f"unknown command: {quoted(' '.join(arguments))}" if arguments else "no command"
    raise UsageError(problem, "see sendrecv --help")
