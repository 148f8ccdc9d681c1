"""Runs the steps of `make test`, some at a time, and sums up what passed and what failed.

    python3 -m tests.steps [STEP ...]      if none is named: all but those of ON_REQUEST

Each step has a log in .build/log/; what fails is shown with the end of its log. A step that ran no
test at all has failed. At the end there is a table of the seconds and tests of each step, and then
the name and the message of each failure, shortened.

No test says anything about speed: a slow or busy machine takes longer, and no step fails for it.
What each step costs: CONTRIBUTING.md. On a machine that has no roots yet (tests/lab/roots.py),
these are made first.
"""

import argparse
import contextlib
import subprocess
import sys
import time
import traceback
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO

from tests.lab import progress, roots
from tests.lab.machine import DEB, Machine
from tests.lab.paths import BUILD, LOGS, TOP
from tests.lab.workshop import TREE, as_builder, build_again, build_deb, workshop

CHAOS = "tests/system/test_chaos.py"
HOSTS = "tests/system/test_hosts.py"
OF_HOSTS = (
    HOSTS,
    *(
        f"tests/system/test_{name}.py"
        for name in ("chaos_hosts", "pause_hosts", "proof_hosts", "cluster", "etcd_client")
    ),
)
"""What needs several hosts. All of it takes too long for each `make test`, which runs the first
three: see `make hosts`.
"""
HABITS = "tests/system/test_habits.py"
"""What needs programs of Debian that nothing else does: see `make habits`."""
ADMIN = "tests/admin"
"""With what administrators have beside the package; its own roots take long to make."""
RESULTS = BUILD / "junit"
PARTS = (
    ("units", "once", "root"),
    (
        *("package", "upgrade", "proof", "proof_reading", "proof_missing", "bad_input"),
        *("not_stored", "put_back", "tls", "audit", "abuse", "impostor"),
    ),
)
"""Of tests/system: each a third of its time. The last part has the rest."""
ON_ONE = {
    "trixie": (
        *("bad_input", "proof", "proof_life", "audit", "tls", "abuse", "impostor", "descriptors"),
        *("forget", "history", "belief", "foreign_run", "connecting", "tokens", "root", "status"),
        *("check", "environment"),
    ),
    "bookworm": (
        *("once", "printed_once", "not_stored", "put_back", "proof_reading", "proof_missing"),
    ),
}
"""Of tests/system: what rests on our code more than on the release's. `make test` runs it on that
release alone, `make long` on the other one.
"""
PLANTED_ONCE = ("chaos", *(f"system-{part}" for part in range(1, len(PARTS) + 2)))
"""Of these steps, one release is enough to plant violations for their checkers."""
BOOTED_AT_ONCE = 6
"""Steps that test booted machines. They mostly wait: with four, a quarter of the cores was idle."""
COMPUTING = ("unit", "model", "long", "lint", "types", "lintian", "coverage")
"""Steps that keep a core busy. They run beside those of booted machines, and get what these leave:
the faults at random met machines so busy that journald lagged by seconds."""
COMPUTING_AT_ONCE = 2
"""One for each of the two cores that this is for."""
_LAST = ["nice", "-n", "5"]
SHOWN = 800
"""Characters of a failure's message in the summary, which may be all that is left of a run."""


@dataclass(frozen=True)
class Outcome:
    """How many tests of a step ended how. A command that is no test suite counts as one test."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = field(default=0.0, compare=False)
    failures: tuple[str, ...] = field(default=(), compare=False)
    """A line for each test that failed, as far as it is known which."""

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.seconds + other.seconds,
            self.failures + other.failures,
        )

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


FAILED = Outcome(failed=1)
Step = Callable[[IO[str]], Outcome]


def of_command(status: int, command: str = "") -> Outcome:
    """The outcome of a command that is one test."""
    if not status:
        return Outcome(passed=1)
    return Outcome(failed=1, failures=(f"{command[:80]}: status {status}",) if command else ())


def of_pytest(status: int, junit: Path) -> Outcome:
    """Pytest's outcome, by its own report; never better than its exit status."""
    try:
        root = ET.parse(junit).getroot()
    except (OSError, ET.ParseError):
        return FAILED
    suites = list(root.iter("testsuite"))
    total, failures, errors, skipped = (
        sum(int(suite.get(key, "0")) for suite in suites)
        for key in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    names = tuple(
        f"{case.get('classname', '')}::{case.get('name', '')}: {why.get('message', '')}"
        for case in root.iter("testcase")
        for why in (*case.iter("failure"), *case.iter("error"))
    )
    return Outcome(total - failed - skipped, max(failed, int(status != 0)), skipped, failures=names)


# The steps


def _logged(machine: Machine, command: str, log: IO[str]) -> int:
    print(f"$ {command}", file=log, flush=True)
    with machine.popen([*_LAST, *as_builder(command)], stdout=log, stderr=log) as process:
        return process.wait()


def _checked(commands: Sequence[str], log: IO[str]) -> Outcome:
    """Each command in the tree in a trixie workshop."""
    with workshop("trixie") as machine:
        outcomes = [of_command(_logged(machine, each, log), each) for each in commands]
    return sum(outcomes, Outcome())


def _unit(release: str, name: str, log: IO[str]) -> Outcome:
    junit = RESULTS / f"{name}.xml"
    junit.unlink(missing_ok=True)
    with workshop(release) as machine:
        status = _logged(machine, f"{UNIT[name]} --junit-xml=/tmp/unit.xml", log)
        if status in {0, 1}:
            machine.get("/tmp/unit.xml", junit)
    return of_pytest(status, junit)


def _coverage(log: IO[str]) -> Outcome:
    """Of unit tests and simulation. The tables are in the log, and on the terminal if all is well:
    if not, the end of the log is shown, and the core's table is the last one."""
    with workshop("trixie") as machine:
        machine.write(*HOOK)
        status = _logged(machine, MEASURED, log)
        tables = [machine.run(as_builder(table), check=False) for table in COVERAGE_TABLES]
    text = "\n".join(f"{table.stdout}{table.stderr}" for table in tables)
    log.write(text)
    total = sum((of_command(table.returncode) for table in tables), of_command(status))
    if not total.failed:
        progress.say(text)
    return total


def _system(release: str, part: int, log: IO[str]) -> Outcome:
    """In parts, which may run at once: each test has machines of its own."""
    elsewhere = _on_others(release)
    parts = [_files(names) for names in PARTS]
    others = [CHAOS, HABITS, *OF_HOSTS, *sum(parts, []), *elsewhere]
    parts.append(["tests/system", *(f"--ignore={path}" for path in others)])
    here = [path for path in parts[part - 1] if path not in elsewhere]
    return _in_machines(release, here, f"system-{part}", log)


def _long(release: str, log: IO[str]) -> Outcome:
    takes_long = _in_machines(release, ["-m", "long", "tests/system"], "long", log)
    return takes_long + _in_machines(release, _on_others(release), "elsewhere", log)


def _files(names: Sequence[str]) -> list[str]:
    return [f"tests/system/test_{name}.py" for name in names]


def _on_others(release: str) -> list[str]:
    """What `make test` runs on the other release alone."""
    return _files([name for other, names in ON_ONE.items() if other != release for name in names])


def _chaos(release: str, log: IO[str]) -> Outcome:
    return _in_machines(release, [CHAOS], "chaos", log)


def _hosts(log: IO[str]) -> Outcome:
    """One cluster has both releases. `make hosts` has the planted violations, too."""
    return _in_machines("bookworm", ["--not-planted", *OF_HOSTS[:3]], "hosts", log)


def _all_of_hosts(release: str, log: IO[str]) -> Outcome:
    return _in_machines(release, OF_HOSTS, "hosts", log)


def _habits(release: str, log: IO[str]) -> Outcome:
    return _in_machines(release, [HABITS], "habits", log)


def _admin(release: str, log: IO[str]) -> Outcome:
    roots.ensure("admin", release)
    return _in_machines(release, [ADMIN], "admin", log)


def _in_machines(release: str, tests: Sequence[str], name: str, log: IO[str]) -> Outcome:
    junit = RESULTS / f"{name}-{release}.xml"
    junit.unlink(missing_ok=True)
    _ensure_roots(release)  # here, because pytest would not show that they are being made
    command = [sys.executable, "-m", "pytest", "-v", f"--release={release}", f"--junit-xml={junit}"]
    if name != "long":
        command += ["-m", "not long"]
    if name in PLANTED_ONCE and release != roots.RELEASES[-1]:
        command.append("--not-planted")
    process = subprocess.Popen(
        [*command, *tests],
        cwd=TOP,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    with process:
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            if line.startswith("tests/") and "::" in line:
                progress.say(f"    {release}: {line.removeprefix('tests/system/').rstrip()}")
    return of_pytest(process.returncode, junit)


def _lintian(release: str, log: IO[str]) -> Outcome:
    """Of the .deb on each release; where it is built, of the source, and of a second build too."""
    strict = "lintian --pedantic --info --fail-on error,warning"
    commands = [f"{strict} /tmp/{DEB.name}"]
    if release == "trixie":
        commands.append(f"dpkg-buildpackage --build=source --no-sign && {strict} ../*.dsc")
    with workshop(release) as machine:
        machine.put(DEB, f"/tmp/{DEB.name}")
        outcomes = [of_command(_logged(machine, each, log), each) for each in commands]
        if release == "trixie":
            outcomes.append(of_command(build_again(machine, log), "the same bytes from each build"))
    return sum(outcomes, Outcome())


def _deb(log: IO[str]) -> Outcome:
    return of_command(build_deb(log))


# By their first line: maintainer scripts have no suffix.
_SHELL_SCRIPTS = "find . -type f -exec awk 'FNR == 1 && /^#!.*sh/ {print FILENAME} {nextfile}' {} +"
LINTERS = (
    "black --check --quiet --diff sendrecv tests debian/bin/sendrecv debian/tests/libraries",
    "flake8 sendrecv tests debian/bin/sendrecv debian/tests/libraries",
    "pylint sendrecv debian/bin/sendrecv debian/tests/libraries",
    # A simulated world, or an arena for faults, holds much state, has a method for each fault, and
    # breaks into what it tests.
    "pylint --disable=too-many-instance-attributes,attribute-defined-outside-init,protected-access"
    ",consider-using-with,redefined-variable-type,too-many-lines,too-many-public-methods tests",
    "codespell",
    f"shellcheck debian/completion/sendrecv $({_SHELL_SCRIPTS})",
    # Not the pages that only name another one.
    "mandoc -T lint -W warning $(grep -L '^\\.so ' debian/man/*.[1-8])",
)
# The model is in no language of either release: one of them is enough to search it. The simulation
# looks for orders of events, which are the same on both. tests/unit/lab, and what reads the text of
# the tree, are no part of the package. What takes long and only computes, with nothing of the
# release but the language and SQLite, is in `make test` on one release, and in `make long` on both.
COMPUTES = (
    *("core", "receiver/test_ledger_kills.py", "proof/judge/test_verdict_holes.py"),
    *("proof/judge/test_verdict_random.py", "proof/show/test_past.py"),
)
UNIT_OF_BOOKWORM = (
    "python3 -m pytest tests/unit --ignore=tests/unit/lab"
    " --ignore=tests/unit/test_imports.py --ignore=tests/unit/test_glossary.py"
    " --ignore=tests/unit/test_mirror.py"
)
# What tests `make bench` and `make coverage`, and takes a minute or more: with what takes long.
OF_TOOLS = ("tests/unit/lab/test_bench_year.py", "tests/unit/lab/test_coverage.py")
UNIT = {
    "unit-bookworm": " ".join(
        (UNIT_OF_BOOKWORM, *(f"--ignore=tests/unit/{it}" for it in COMPUTES))
    ),
    "unit-trixie": " ".join(
        ("python3 -m pytest tests/unit", *(f"--ignore={it}" for it in OF_TOOLS))
    ),
    "model": "python3 -m pytest -m 'not long' tests/model tests/simulation",
    # One test of those takes longer than the time after which pytest shows where a test hangs.
    "long": "SIMULATION_RUNS=2000 python3 -m pytest -o faulthandler_timeout=3600 tests/model"
    f" tests/simulation {' '.join(OF_TOOLS)}",
    "long-unit": UNIT_OF_BOOKWORM,
}
# The versions of Python of the two releases; the types of the libraries are trixie's.
TYPES = ("mypy --python-version 3.11", "mypy --python-version 3.13")
# Of the core all lines and branches must be run; no core at all is an error too. Of the rest, the
# lowest files come first. Both figures count lines and branches together.
CORE = "sendrecv/core/*"
MEASURED = (
    "python3 -m coverage run --parallel-mode -m pytest tests/unit tests/simulation; status=$?;"
    " python3 -m coverage combine --quiet && exit $status"
)
# Only these processes: what else is a child may look at which modules it has imported.
HOOK = (
    "/usr/lib/python3/dist-packages/measured.pth",
    'import sys; any("sendrecv.cli import main" in word for word in sys.orig_argv)'
    f" and __import__('runpy').run_path('{TREE}/tests/lab/children.py', run_name='measured')\n",
)
COVERAGE_TABLES = (
    f"python3 -m coverage report --omit='{CORE}' --sort=cover",
    f"python3 -m coverage report --include='{CORE}' --sort=cover --fail-under=100",
)
# What the others need first, then the longest of each sort.
STEPS: dict[str, Step] = {
    "deb": _deb,
    **{
        f"system-{release}-{part}": partial(_system, release, part)
        for part in range(1, len(PARTS) + 2)
        for release in roots.RELEASES
    },
    "hosts": _hosts,
    "chaos-bookworm": partial(_chaos, "bookworm"),
    "chaos-trixie": partial(_chaos, "trixie"),
    "model": partial(_unit, "trixie", "model"),
    "unit-trixie": partial(_unit, "trixie", "unit-trixie"),
    "unit-bookworm": partial(_unit, "bookworm", "unit-bookworm"),
    "lint": partial(_checked, LINTERS),
    "types": partial(_checked, TYPES),
    "lintian-bookworm": partial(_lintian, "bookworm"),
    "lintian-trixie": partial(_lintian, "trixie"),
    "coverage": _coverage,
    "long": partial(_unit, "trixie", "long"),
    "long-unit": partial(_unit, "bookworm", "long-unit"),
    "long-bookworm": partial(_long, "bookworm"),
    "long-trixie": partial(_long, "trixie"),
    "hosts-bookworm": partial(_all_of_hosts, "bookworm"),
    "hosts-trixie": partial(_all_of_hosts, "trixie"),
    "habits-bookworm": partial(_habits, "bookworm"),
    "habits-trixie": partial(_habits, "trixie"),
    "admin-bookworm": partial(_admin, "bookworm"),
    "admin-trixie": partial(_admin, "trixie"),
}
NEED_THE_DEB = ("system", "chaos", "hosts", "habits", "admin", "lintian")
# They run again, and more slowly or more of it, what other steps have run; or need more of Debian.
ON_REQUEST = frozenset({"coverage", "long", "long-unit"}) | {
    f"{name}-{release}"
    for name in ("hosts", "habits", "admin", "long")
    for release in roots.RELEASES
}


# Running them


def run(name: str, step: Step) -> Outcome:
    """Runs one step with its log, and tells how it went."""
    log_file = LOGS / f"{name}.log"
    progress.say(f"{name} ...")
    started = time.monotonic()
    with log_file.open("w", encoding="utf-8", errors="replace") as log:
        try:
            outcome = step(log)
        # pylint: disable-next=broad-exception-caught  # a step's end is a result too
        except (Exception, progress.StepFailed):
            traceback.print_exc(file=log)
            outcome = FAILED
    if not outcome.passed and not outcome.failed:
        outcome = FAILED
    outcome = replace(outcome, seconds=time.monotonic() - started)
    report = f"{name}: {outcome} ({outcome.seconds:.0f} s)"
    if outcome.failed:
        report = f"{progress.excerpt(log_file, 40)}\n{report}; log: {log_file}"
    progress.say(report)
    return outcome


def run_all(names: Sequence[str]) -> dict[str, Outcome]:
    """Runs these steps, some of both sorts at once; those that need the package, after its build.

    Computing fills the time in which booted machines wait. One after the other, the two sorts would
    leave a core idle, and then have too few of them.
    """
    names = sorted(names, key=list(STEPS).index)  # the build first, or the others waited for ever
    with (
        ThreadPoolExecutor(BOOTED_AT_ONCE) as booted,
        ThreadPoolExecutor(COMPUTING_AT_ONCE) as computing,
    ):
        running: dict[str, Future[Outcome | None]] = {}
        for name in names:
            pool = computing if name.partition("-")[0] in COMPUTING else booted
            running[name] = pool.submit(_run_after, running.get("deb"), name)
        try:
            outcomes = {name: future.result() for name, future in running.items()}
        except KeyboardInterrupt:
            # The terminal has told the steps that run; those that wait must not begin.
            for pool in (booted, computing):
                pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {name: outcome for name, outcome in outcomes.items() if outcome is not None}


def _run_after(deb: Future[Outcome | None] | None, name: str) -> Outcome | None:
    """None for a step that needs a package that could not be built."""
    kind, _, rest = name.partition("-")
    if deb and kind in NEED_THE_DEB:
        if kind != "lintian":
            _make_roots(rest.partition("-")[0] or "bookworm")
        built = deb.result()
        if not built or built.failed:
            return None
    return run(name, STEPS[name])


def _make_roots(release: str) -> None:
    """While the package is built. What fails here fails again where it is needed, with a log."""
    with contextlib.suppress(Exception, progress.StepFailed):
        _ensure_roots(release)


def _ensure_roots(release: str) -> None:
    """Those of the machines, and of hosts, which are of both releases in one cluster."""
    roots.ensure("machine", release)
    for each in roots.RELEASES:
        roots.ensure("host", each)


def table(outcomes: Mapping[str, Outcome], seconds: float) -> str:
    """What each step took, and all of them together, which is less than their sum."""
    whole = replace(sum(outcomes.values(), Outcome()), seconds=seconds)
    rows = {**outcomes, "all": whole}.items()
    return "\n".join(f"{name:<18}{one.seconds:>5.0f} s   {one}" for name, one in rows)


def failures(outcomes: Mapping[str, Outcome]) -> str:
    """A line for each failure: its step, its test, how its message begins, and how it ends."""
    return "\n".join(
        f"FAILED {step}: {shortened(' '.join(failure.split()) or '?')}"
        for step, outcome in outcomes.items()
        if outcome.failed
        for failure in outcome.failures or ("see its log",)
    )


def shortened(text: str, most: int = SHOWN) -> str:
    """The end is kept too: there, what waited in vain shows the last lines of the journal."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} [...] {text[-most // 2 :]}"


def main() -> int:
    """Runs the steps that are asked for; the last lines are the table, failures, and the sum."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.steps", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    names = parser.parse_args().steps or [name for name in STEPS if name not in ON_REQUEST]
    if unknown := set(names) - set(STEPS):
        parser.error(f"no such step: {', '.join(unknown)}; there are: {', '.join(STEPS)}")
    for directory in (LOGS, RESULTS):
        directory.mkdir(parents=True, exist_ok=True)
    try:
        started = time.monotonic()
        outcomes = run_all(names)
    except KeyboardInterrupt:
        return 130
    total = sum(outcomes.values(), Outcome())
    progress.say(table(outcomes, time.monotonic() - started))
    if total.failed:
        progress.say(failures(outcomes))
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
