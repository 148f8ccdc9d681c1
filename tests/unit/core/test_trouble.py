"""What a sender says of its counts while the receiver does not get them."""

import pytest

from sendrecv.core.trouble import kept


@pytest.mark.parametrize(
    ("behind", "known", "words"),
    [
        (0, True, "counting on, counts are kept to send later"),
        (1, True, "counting on, 1 count kept to send later"),
        (12, True, "counting on, 12 counts kept to send later"),
        (0, False, "the first count waits for it"),
    ],
)
def test_what_becomes_of_counts(behind: int, known: bool, words: str) -> None:
    assert kept(behind, known=known) == words
