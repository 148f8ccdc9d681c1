"""An entry of a takeover, and a script in the place of journalctl."""

from pathlib import Path

from sendrecv.admin.takeovers import Takeover
from sendrecv.core.takeover import TAKEOVER

# As journalctl of Debian 13 prints one.
ENTRY = {
    "__REALTIME_TIMESTAMP": "1795765501812393",
    "__CURSOR": "s=509c39c044334f3d9106fd7a8dd9dc85;i=2c4",
    "MESSAGE_ID": TAKEOVER,
    "_SYSTEMD_UNIT": "sender-failover@one.service",
    "SENDRECV_APP": "app",
    "SENDRECV_FROM": "main",
    "SENDRECV_TO": "failover",
    "SENDRECV_WHY": "signal",
    "SENDRECV_WHY_TEXT": "main was killed by signal 9 (SIGKILL)",
    "SENDRECV_SILENCE_USEC": "338397",
    "SENDRECV_COUNT": "13",
    "SENDRECV_EPOCH": "2",
}
EVENT = Takeover(
    when=1795765501.812393,
    app_id="app",
    instance="one",
    from_node="main",
    to_node="failover",
    from_host="",
    to_host="",
    why="main was killed by signal 9 (SIGKILL)",
    code="signal",
    silence=0.338397,
    epoch=2,
    count=13,
    reason="",
)


def does(script: Path, what: str) -> None:
    keep = f'printf "%s\\n" "$@" > {script}.arguments'
    script.write_text(f"#!/bin/sh\n{keep}\n{what}\n", encoding="utf-8")
    script.chmod(0o755)


def asked(script: Path) -> set[str]:
    return set(script.with_name("journalctl.arguments").read_text(encoding="utf-8").splitlines())
