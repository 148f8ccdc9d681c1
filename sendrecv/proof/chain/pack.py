"""A chain as one text: so a bundle carries it along."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from sendrecv.proof.chain.head import decode
from sendrecv.proof.chain.store import Chain, ChainError
from sendrecv.proof.statements import Missing


def packed(chain: Chain, known: Iterable[Missing] = ()) -> str:
    """For unpacked(). known: what is missing of the journal of the audits' time."""
    files = {name: data.decode("utf-8", "replace") for name, data in chain.files.items()}
    head = chain.head.encode().decode()
    return json.dumps({"head": head, "files": files, "known": list(known)})


def unpacked(text: str, path: Path) -> tuple[Chain, frozenset[Missing]]:
    """The chain that a file has, and what is missing of the journal of the audits' time. Raises
    ChainError if it is none, or was altered.
    """
    try:
        values = json.loads(text)
        known = frozenset(Missing(*one) for one in values["known"])
        head = decode(str(values["head"]).encode())
        files = {str(name): str(data).encode() for name, data in dict(values["files"]).items()}
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ChainError(f"{path}: it has no chain of audits: {error}") from None
    sizes = head.files()
    if not sizes.keys() <= files.keys():
        raise ChainError(f"{path}: the chain of audits is not whole")
    chain = Chain(path, head, {name: files[name] for name in sizes})
    chain.check()
    return chain, known
