"""python3 -m tests.simulation [--hosts] [--seed S] [--seeds N]: the simulation, for ever without
--seeds. --hosts: that of an App on several hosts.
"""

from __future__ import annotations

import argparse
import itertools
import secrets
import sys

from tests.simulation.faults import Faults, simulate
from tests.simulation.host_faults import HostFaults
from tests.simulation.hosts import HostParts
from tests.simulation.world import Parts


def main() -> int:
    """Run; a violation ends it with the series of faults that leads there."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="the first")
    parser.add_argument("--seeds", type=int, help="so many; for ever without it")
    parser.add_argument("--hosts", action="store_true", help="of an App on several hosts")
    arguments = parser.parse_args()
    faults, parts = (HostFaults, HostParts()) if arguments.hosts else (Faults, Parts())
    last = None if arguments.seeds is None else arguments.seed + arguments.seeds
    for seed in itertools.count(arguments.seed):
        if seed == last:
            break
        tally = simulate(parts, seed, lambda tally: tally.runs > 0, faults=faults)
        print(f"seed {seed}: {tally}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
