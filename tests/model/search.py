"""Runs spin on takeover.pml or lease.pml: translate, compile, search it all, read the verdict.

    python3 -m tests.model.search [--lease] [--progress] [--bits] [NAME[=VALUE] ...]

searches one configuration, e.g. FAULTS=3 N=2 KILL_SENDER BESIDE, and prints the verdict; before
it, if something is violated, the steps that lead there. With --bits the search keeps three bits
for each state (BITSTATE): it gets deeper in the same memory, but may pass over states.
"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).with_name("takeover.pml")
LEASE = Path(__file__).with_name("lease.pml")
MEGABYTES = 2000
"""Where an exhaustive search gives up, which is no verdict."""
DEPTH = 20_000
"""Steps in one execution. The longest has some hundred."""
BIT_OPTIONS = ["-w32", "-k3"]


class SearchFailed(Exception):
    """It did not run, or not to the end: there is no verdict."""


@dataclass(frozen=True)
class Verdict:
    """violation: its name in the model, "cycle" for an endless execution, "" for none.

    unreached: steps ("file:line text") that no execution takes. trail: the steps to a violation.
    """

    violation: str
    states: float
    seconds: float
    megabytes: float
    unreached: frozenset[str]
    trail: str = ""

    def __str__(self) -> str:
        size = f"{self.states:,.0f} states, {self.seconds:.1f} s, {self.megabytes:.0f} MB"
        return f"{self.violation or 'holds'}: {size}"


def search(
    defines: Mapping[str, int],
    *,
    model: Path = MODEL,
    progress: bool = False,
    bits: bool = False,
    optimize: str = "-O2",
) -> Verdict:
    """Search one configuration. progress: for endless executions too, at twice the states.

    Nothing in the model may go on for ever: faults are finite, so every cycle is a violation.
    """
    flags = [f"-D{name}={value}" for name, value in defines.items()]
    options = ["-DNP" if progress else "-DSAFETY"]
    options += ["-DBITSTATE"] if bits else ["-DCOLLAPSE", f"-DMEMLIM={MEGABYTES}"]
    with tempfile.TemporaryDirectory(prefix="sendrecv-model-") as directory:
        _run(["spin", *flags, "-a", str(model)], directory)
        _run(["gcc", "-w", optimize, *options, "-o", "pan", "pan.c"], directory)
        pan = ["./pan", f"-m{DEPTH}", *(BIT_OPTIONS if bits else ["-w22"])]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        output = _run(pan + ["-l"] * progress, directory)
        seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        return _read(output, seconds, _trail(model, flags, directory))


def _run(command: list[str], directory: str) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode and command[0] != "./pan":
        raise SearchFailed(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def _read(output: str, seconds: float, trail: str) -> Verdict:
    kinds = r"assertion violated +!\((\w+)\)|(non-progress cycle)"
    violated = re.search(rf"^pan:1: (?:{kinds})", output, re.M)
    name = "" if violated is None else violated[1] or "cycle"
    errors = re.search(r"errors: (\d+)$", output, re.M)
    states = re.search(r"^ *([\d.e+]+) states, stored", output, re.M)
    memory = re.search(r"^ *([\d.]+)\s+total actual memory usage", output, re.M)
    if errors is None or states is None or memory is None or (errors[1] != "0") != bool(name):
        raise SearchFailed(output)
    if re.search(r"search depth too small|reached -DMEMLIM|out of memory", output):
        raise SearchFailed(output)
    steps = re.findall(r"/(\w+\.pml:\d+), state \d+, \"(.*)\"$", output, re.M)
    unreached = {f"{place} {text}" for place, text in steps if not _is_expected(text)}
    return Verdict(name, float(states[1]), seconds, float(memory[1]), frozenset(unreached), trail)


def _is_expected(text: str) -> bool:
    """The end of a process, or a violation."""
    return bool(re.match(r"-end-|assert\(|\w+ = 1$", text))


def _trail(model: Path, flags: list[str], directory: str) -> str:
    trail = Path(directory, f"{model.name}.trail")
    if not trail.exists():
        return ""
    return _run(["spin", *flags, "-t", "-p", "-k", str(trail), str(model)], directory)


def main() -> int:
    """Search what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.model.search",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--lease", action="store_true", help="search lease.pml")
    parser.add_argument("--progress", action="store_true", help="look for endless executions too")
    parser.add_argument("--bits", action="store_true", help="not exhaustive, but deeper")
    parser.add_argument("define", nargs="*", metavar="NAME[=VALUE]")
    arguments = parser.parse_args()
    pairs = (define.partition("=") for define in arguments.define)
    defines = {name: int(value or "1") for name, _, value in pairs}
    model = LEASE if arguments.lease else MODEL
    verdict = search(defines, model=model, progress=arguments.progress, bits=arguments.bits)
    print(verdict.trail, end="")
    print(verdict)
    return 1 if verdict.violation else 0


if __name__ == "__main__":
    sys.exit(main())
