"""What a check could not look at."""

from __future__ import annotations

from sendrecv.core.values import Value

ROOT = "root"
ROOT_OR_ADM = "root, and members of the group adm"


class Unseen(Value):
    """what: it is. who: may see it."""

    what: str
    who: str = ROOT
