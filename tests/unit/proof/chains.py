"""Chains of made-up audits."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sendrecv.proof.chain import append as appending
from sendrecv.proof.chain.append import Addition, append
from sendrecv.proof.chain.lines import digest
from sendrecv.proof.chain.store import Chain

MACHINE = "a" * 32
HOUR = 3_600_000_000
DAY = 24 * HOUR
BEGIN = 20_000 * DAY
"""Midnight, UTC."""


def line(app: str, number: int, **fields: Any) -> dict[str, Any]:
    at = BEGIN + number * HOUR
    figures = {
        "counts": 3600,
        "first": number * 3600,
        "last": number * 3600 + 3599,
        "runs": 1,
        "takeovers": {"takeover": 1},
        "silence": 1_043_000,
        "epochs": [number, number + 1],
        "evidence": digest(f"{app} {number}".encode()),
    }
    period = {"at": at, "app": app, "n": number, "from": at - HOUR}
    return {**period, "verdict": "PROVEN", **figures, **fields}


def news(number: int, apps: Sequence[str] = ("x",), at: int = 0, **fields: Any) -> Addition:
    at = at or BEGIN + number * HOUR
    cursor = (
        f"s={'b' * 32};i={number:x};b={'c' * 32};m={abs(at - BEGIN):x};t={at:x};x={number:016x}"
    )
    of_machine = {"at": at, "machine": MACHINE, "n": number, "until": cursor, "from": at - HOUR}
    of_machine |= {"entries": 5, "verdict": "PROVEN"}
    of_machine["evidence"] = digest(f"{number}".encode())
    lines = [*(line(app, number, **fields) for app in apps), of_machine]
    return Addition(lines, at, cursor, {"number": number}, {"n": number})


@contextlib.contextmanager
def quickly() -> Iterator[None]:
    """Nothing is synced meanwhile: thousands of audits would wait for the disk."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(appending.os, "fsync", lambda _descriptor: None)
        yield


def chain_of(directory: Path, audits: int, apps: Sequence[str] = ("x",)) -> Chain:
    chain = Chain.begun(directory, MACHINE)
    with quickly():
        for number in range(audits):
            chain = append(chain, news(number, apps))
    return chain


def read(directory: Path) -> Chain:
    chain = Chain.read(directory, MACHINE)
    assert chain
    return chain
