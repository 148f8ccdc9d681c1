"""What the receiver prints, and how it reads it back: lines of the journal."""

from __future__ import annotations

import re

from sendrecv.core.receiver_events import Print, Row
from sendrecv.core.wire import Claim

_LINE = re.compile(r'\{"count": ([0-9]{1,19}), "appID": "([^"]{1,64})", "nodeID": "([^"]{1,64})"\}')
_SESSION = re.compile(
    r'session \{"appID": "([^"]{1,64})", "nodeID": "([^"]{1,64})", "epoch": ([0-9]{1,19}),'
    r' "run": "([0-9a-f]{32})", "last": (?:null|[0-9]{1,19})\}'
)

_FORGOTTEN = re.compile(r'forgotten \{"appID": "([^"]{1,64})", "incarnation": ([0-9]{1,19})\}')
_PROBE = re.compile(r'probe \{"at": ([0-9]{1,19})\}')


def line_of(app_id: str, node_id: str, count: int) -> str:
    """One payload as it is printed. Names need no escaping, so this is JSON."""
    return f'{{"count": {count}, "appID": "{app_id}", "nodeID": "{node_id}"}}\n'


def lines_of(order: Print) -> str:
    """The lines of `order`, in order."""
    tail = f', "appID": "{order.app_id}", "nodeID": "{order.node_id}"}}\n'
    return "".join([f'{{"count": {n}{tail}' for n in range(order.first, order.last + 1)])


def parse_line(line: str) -> tuple[str, str, int] | None:
    """appID, nodeID and count of a printed payload; None if the line is no payload."""
    match = _LINE.fullmatch(line.rstrip("\n"))
    return (match[2], match[3], int(match[1])) if match else None


def session_line(row: Row) -> str:
    """The line about a run that is admitted: for people, and for the proof."""
    last = "null" if row.last is None else row.last
    return (
        f'session {{"appID": "{row.app_id}", "nodeID": "{row.node_id}",'
        f' "epoch": {row.epoch}, "run": "{row.run}", "last": {last}}}'
    )


def parse_session(line: str) -> Claim | None:
    """The run that a session line names; None if the line is no session line."""
    match = _SESSION.fullmatch(line.rstrip("\n"))
    return Claim(match[1], match[2], int(match[3]), match[4]) if match else None


def forgotten_line(app_id: str, incarnation: int) -> str:
    """The line that says that an App was forgotten: an incarnation begins, the first one is 0."""
    return f'forgotten {{"appID": "{app_id}", "incarnation": {incarnation}}}'


def parse_forgotten(line: str) -> tuple[str, int] | None:
    """appID and incarnation; None if the line is no such line."""
    match = _FORGOTTEN.fullmatch(line.rstrip("\n"))
    return (match[1], int(match[2])) if match else None


def probe_line(at: int) -> str:
    """A line that says nothing. If the journal has it, the journal has what was printed before it.

    at: microseconds of the monotonic clock, by which it is found.
    """
    return f'probe {{"at": {at}}}\n'


def parse_probe(line: str) -> int | None:
    """The time of the probe; None if the line is none."""
    match = _PROBE.fullmatch(line.rstrip("\n"))
    return int(match[1]) if match else None


def unproven_line(order: Print) -> str:
    """The line that names counts of which it is not known whether they were printed."""
    return (
        f'unproven {{"appID": "{order.app_id}", "nodeID": "{order.node_id}",'
        f' "first": {order.first}, "last": {order.last}}}'
    )
