"""What the journal's lines tell a receiver that starts: which counts are not printed yet, and, for
a ledger that was lost, how far each App was.
"""

from __future__ import annotations

from sendrecv.core.lines import parse_line, parse_session
from sendrecv.core.receiver_events import Print, Row

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def missing(outbox: Sequence[Print], printed: Iterable[str]) -> list[Print]:
    """What of `outbox` is not among the lines `printed`: of each App all above its highest count.

    Each App's lines are printed in order, so a receiver that was killed, and a power cut, leave out
    the last ones. What is not there below them was printed, and has been lost or removed since
    (journalctl --vacuum-time=): printed again now, it would come after higher counts.
    """
    highest = {order.app_id: -1 for order in outbox}
    for line in printed:
        payload = parse_line(line)
        if payload and payload[2] > highest.get(payload[0], payload[2]):
            highest[payload[0]] = payload[2]
    return [
        order.replace(first=max(order.first, highest[order.app_id] + 1))
        for order in outbox
        if order.last > highest[order.app_id]
    ]


def rows_of(printed: Iterable[str]) -> list[Row]:
    """What the lines `printed` tell of each App, for a ledger that was lost: its last count, and
    the newest run that was admitted. If no line names one, the epoch is 0, below every sender's.
    """
    rows: dict[str, Row] = {}
    for line in printed:
        if payload := parse_line(line):
            app_id, node_id, count = payload
            row = rows.setdefault(app_id, Row(app_id, 0, "0" * 32, node_id, None))
            if row.last is None or count > row.last:
                node_id = row.node_id if row.epoch else node_id
                rows[app_id] = row.replace(node_id=node_id, last=count)
        elif claim := parse_session(line):
            row = rows.setdefault(claim.app_id, Row(claim.app_id, 0, "0" * 32, "", None))
            if claim.epoch > row.epoch:
                rows[claim.app_id] = Row(
                    claim.app_id, claim.epoch, claim.run, claim.node_id, row.last
                )
    return list(rows.values())
