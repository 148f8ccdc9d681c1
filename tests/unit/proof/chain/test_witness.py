"""A chain that was put back from a backup is whole. The journal has a witness."""

import shutil
from pathlib import Path

from sendrecv.proof.chain.append import append
from sendrecv.proof.chain.witness import LAST, NUMBER, Witness, fault, witness_of
from tests.unit.proof.chain.chains import BEGIN, chain_of, news, read


def test_put_back_from_a_backup(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    chain = chain_of(old, 3)
    shutil.copytree(old, new)
    newer = append(chain, news(3))
    witness = Witness(newer.head.number, newer.head.last, BEGIN)
    assert fault(newer, witness) == ""
    copy = read(new)
    assert "the chain is an old copy" in fault(copy, witness)
    forked = append(append(copy, news(3, verdict="INCONCLUSIVE")), news(4))
    assert "is not the one" in fault(forked, witness)
    assert fault(forked, Witness(5, forked.head.last, BEGIN)) == ""
    assert "was removed" in fault(None, witness)
    assert fault(None, None) == ""


def test_a_witness_that_a_power_cut_took(tmp_path: Path) -> None:
    """The journal is older than the chain, and that is no fault of it."""
    chain = chain_of(tmp_path, 2)
    older = Witness(chain.head.number, chain.head.last, BEGIN)
    assert fault(append(chain, news(2)), older) == ""


def test_a_witness_is_an_entry_with_its_fields() -> None:
    entry = f"\n__REALTIME_TIMESTAMP=5\n{NUMBER}=12\n{LAST}={'f' * 64}\n".encode()
    assert witness_of(entry) == (12, "f" * 64, 5)
    assert witness_of(entry.replace(b"=12", b"=-12")) is None
    assert witness_of(None) is None
