"""make chaos FAULTS=N SEED=S SUITE=trixie|bookworm: faults at random on a machine, and the verdict.

python3 -m tests.chaos --suite trixie --faults 5000 --seed 1
python3 -m tests.chaos.table FILE...             the tables of several runs as one, in Markdown
"""

import argparse
import json
import os
import secrets
import sys
from dataclasses import asdict
from pathlib import Path

from tests.chaos.campaign import BATCH, PROBLEM, RECOVERY_LIMIT, Campaign, Options
from tests.chaos.table import table
from tests.lab import roots
from tests.lab.paths import BUILD


def main() -> int:
    """Run it; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos", description=__doc__)
    parser.add_argument("--suite", choices=roots.RELEASES, default="trixie")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="default: at random, and printed")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--recovery", type=float, default=RECOVERY_LIMIT, help="at most, seconds")
    parser.add_argument("--keep", type=Path, default=BUILD / "chaos")
    parser.add_argument("--in-namespace", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.in_namespace:
        # The disks are mounted in it, and so are gone with this process, however it ends.
        again = [sys.executable, "-m", "tests.chaos", *sys.argv[1:], "--in-namespace"]
        os.execvp("unshare", ["unshare", "--mount", *again])
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    print(f"{arguments.suite}, {arguments.faults} faults, seed {seed}", flush=True)
    options = Options(
        arguments.suite, arguments.faults, seed, arguments.keep, arguments.batch, arguments.recovery
    )
    result = Campaign(options).run()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    kept = arguments.keep / f"{options.suite}-{seed}.json"
    kept.write_text(json.dumps(asdict(result)), encoding="utf-8")
    print(table([result]))
    for problem in result.problems[:40]:
        print(f"{PROBLEM} {problem}")
    if result.problems:
        print(f"FAILED with seed {seed}; the journal is in {options.keep}")
    return 1 if result.problems or not result.counts else 0


if __name__ == "__main__":
    sys.exit(main())
