"""The judge of what was written to an App's key: who did not compare, or went back, is found."""

import base64
import json

import pytest

from tests.judges.history import Write, read, wrong

FIRST = Write("x", 7, "a", "r1", 1, 10)
ALONE = "this host held the App, and etcd does not answer"


def watched(app: str, revision: int, value: object) -> str:
    """A line of etcdctl."""

    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    pair = {"key": encoded(f"/sendrecv/{app}/record"), "mod_revision": revision}
    pair["value"] = encoded(json.dumps(value))
    return json.dumps({"Header": {}, "Events": [{"kv": pair}], "CompactRevision": 0})


def test_what_etcdctl_prints_is_read() -> None:
    record = {"run": "r1", "epoch": 1, "count": 10}
    line = watched("x", 7, {"host": "a", "record": record})
    deleted = json.dumps({"Events": [{"type": 1, "kv": {"key": "", "mod_revision": 8}}]})
    assert read(f'{line}\n{deleted}\n{{"Events": null}}\n{line[:30]}') == [FIRST]


@pytest.mark.parametrize(
    ("second", "is_wrong"),
    [
        (Write("x", 8, "a", "r1", 1, 10), False),  # renewed
        (Write("x", 8, "a", "r1", 1, 11), False),
        (Write("x", 8, "b", "r2", 2, 10), False),
        (Write("x", 8, "a", "r1", 2, 11), False),
        (Write("y", 8, "b", "r2", 1, 0), False),
        (Write("x", 8, "a", "r2", 2, 9, ALONE), False),
        (Write("x", 8, "a", "r2", 2, 9), True),
        (Write("x", 8, "a", "r2", 1, 9, ALONE), True),
        (Write("x", 8, "b", "r2", 2, 9, ALONE), True),
        (Write("x", 8, "b", "r2", 1, 11), True),
        (Write("x", 8, "b", "r2", 0, 11), True),
        (Write("x", 8, "b", "r2", 2, 9), True),
        (Write("x", 8, "b", "r2", 2, -1), True),
    ],
)
def test_what_goes_back_is_wrong(second: Write, is_wrong: bool) -> None:
    assert bool(wrong([FIRST, second])) is is_wrong
