"""What a person asks of the receiver: files that its next start finds, and removes when it is done.

`sendrecv forget` makes them, in a directory that only the receiver and root can write: it needs no
connection that a sender could use, too. It is in /run, so that no request outlives a boot or comes
back with a backup.
"""

from __future__ import annotations

from pathlib import Path

from sendrecv.core.wire import is_name

PREFIX = "forget-"
"""Before the appID, in the name of a request to forget an App."""


class Requests:
    """Those in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def apps(self) -> list[str]:
        """The Apps to be forgotten. Files that ask for none are left alone."""
        names = sorted(path.name for path in self._directory.glob(f"{PREFIX}*"))
        return [app_id for name in names if is_name(app_id := name.removeprefix(PREFIX))]

    def done(self, app_id: str) -> None:
        """It is forgotten."""
        (self._directory / f"{PREFIX}{app_id}").unlink(missing_ok=True)
