"""python3 -m tests.simulation [--seed S] [--seeds N]: the simulation, for ever without --seeds."""

from __future__ import annotations

import argparse
import itertools
import secrets
import sys

from tests.simulation.faults import simulate
from tests.simulation.world import Parts


def main() -> int:
    """Run; a violation ends it with the series of faults that leads there."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="the first")
    parser.add_argument("--seeds", type=int, help="so many; for ever without it")
    arguments = parser.parse_args()
    last = None if arguments.seeds is None else arguments.seed + arguments.seeds
    for seed in itertools.count(arguments.seed):
        if seed == last:
            break
        tally = simulate(Parts(), seed, lambda tally: tally.runs > 0)
        print(f"seed {seed}: {tally}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
