"""In which order the boots of a machine are read."""

import itertools

from sendrecv.proof.read.journal import BootStart, in_order

HOUR = 3_600_000_000
OLD, NEW = "5" * 32, "6" * 32


def test_boots_come_by_their_numbering_and_that_by_the_wall_clock() -> None:
    """The clock was set back in the first boot; a power cut after the second began a numbering."""
    boots = [
        BootStart("a", "machine", OLD, 1, 9 * HOUR),
        BootStart("b", "machine", OLD, 500, 3 * HOUR),
        BootStart("c", "machine", NEW, 7, 4 * HOUR),
        BootStart("d", "machine", NEW, 900, 2 * HOUR + 5 * HOUR),
    ]
    for shuffled in itertools.permutations(boots):
        assert in_order(list(shuffled)) == boots
