"""Which tokens the receiver knows after a change of the file, and what the next receiver knows."""

import stat
from pathlib import Path

from sendrecv.core import keyring
from sendrecv.receiver import secrets
from sendrecv.receiver.secrets import Secrets

A, B, C = "0a1b2c3d" * 8, "4e5f6a7b" * 8, "8c9d0e1f" * 8


def test_the_next_receiver_knows_the_old_ones(tmp_path: Path) -> None:
    kept = tmp_path / secrets.FILE
    Secrets(f"x * {A}\ny * {C}\n", kept=kept)
    for _ in range(2):
        one = Secrets(f"x * {B}\n", kept=kept)
        assert one.find(A) and one.find(B) and not one.find(C)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    text = kept.read_text(encoding="ascii")
    assert keyring.digest_of(A) in text and not any(t[:16] in text for t in (A, B, C))
    # A mistake in the file shuts nobody out, but there is nobody without a file.
    one = Secrets(f"x *\ny * {C}\n", kept=kept)
    assert one.find(A) and one.find(B) and not one.find(C)
    for text in ("", "# nobody may connect by TCP"):
        assert not Secrets(text, kept=kept).find(B)
        one = Secrets(f"x * {C}\n", kept=kept)
        assert one.find(C) and not one.find(B) and not one.find(A)
        Secrets(f"x * {A}\n", 0.0, kept=kept)
        Secrets(f"x * {B}\n", kept=kept)
    # A shorter time is for those that are old already, too.
    assert not Secrets(f"x * {B}\n", 0.0, kept=kept).find(A)
    kept.write_text("not a keyring", encoding="ascii")
    assert Secrets(f"x * {B}\n", kept=kept).find(B)


def test_without_an_overlap_a_changed_token_is_shut_out() -> None:
    one = Secrets(f"x * {A}\n", 0.0)
    shown = one.find(A)
    assert shown and one.keeps(shown, "main")
    assert "changed x (the old one is not valid any more)" in one.said(one.renew(f"x * {B}\n"))
    assert not one.find(A) and not one.keeps(shown, "main")
