"""`make bench`: measures the package as shipped, in a booted machine, and prints one table.

    make bench                          everything that needs no npm
    make bench ONLY=takeover,backlog    those sections
    make bench PEERS=1                  the peers too
    make bench ONLY=sandbox             what the parts of the senders' sandbox take
    make bench KILLS=20                 shorter; the default is 100
    make bench RELEASE=bookworm
    make bench ONLY=rest                whose CPU a second of 100 pairs is
    make bench ONLY=crowd KILLS=20      1,000 pairs
    make bench ONLY=growth KILLS=10     on a machine full of other things; 20 minutes
    make bench ONLY=hosts               an App on several hosts; KILLS=20 is the default, 40 minutes
    make bench ONLY=hosts RELEASE=mixed    the hosts have both releases
    make bench ONLY=audit               a year of an App through hourly audits; 10 minutes

Writes .build/bench-RELEASE.json and .build/bench-RELEASE.svg beside it, and of growth
.build/bench-RELEASE-growth.svg.
"""

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench import audit, figures, growth, pairs, peers, plot, plot_growth
from tests.bench import probe, rates, rest, takeover
from tests.bench.hosts import keepalived, living, lost, outages, scene, sizing
from tests.lab import npm
from tests.lab.machine import DEB, TOP, Machine
from tests.lab.roots import RELEASES

Section = Callable[[probe.Probe, int], list[figures.Figure]]
OfHosts = Callable[[Mapping[str, str], int], list[figures.Figure]]
"""Takes the release of each host."""

SECTIONS: dict[str, Section] = {
    "takeover": takeover.takeover,
    "sandbox": takeover.sandbox,
    "hang": takeover.hang,
    "planned": takeover.planned,
    "receiver": takeover.receiver,
    "backlog": rates.backlog,
    "fastest": rates.fastest,
    "load": rates.load,
    "memory": pairs.memory,
    "pairs": pairs.pairs,
    "crowd": pairs.crowd,
    "rest": rest.rest,
    "peers": peers.peers,
    **growth.SECTIONS,
}
HOSTS: dict[str, OfHosts] = {
    "hosts.process": living.process,
    "hosts.moved": living.moved,
    "hosts.lost": lost.lost,
    "hosts.short": lost.short,
    "hosts.member": outages.member,
    "hosts.majority": outages.majority,
    "hosts.sizing": sizing.sizing,
    "hosts.keepalived": keepalived.keepalived,
}
ALONE: dict[str, Callable[[], list[figures.Figure]]] = {"audit": audit.section}
"""In no machine."""
GROUPS: dict[str, Mapping[str, object]] = {"hosts": HOSTS, "growth": growth.SECTIONS}
"""Names that stand for several sections."""


def main() -> int:
    """Runs the sections that are asked for; returns 1 if one fails, or misses what was asked."""
    options = _options()
    load = probe.load_now()
    print(f"load before: {load} on {os.cpu_count()} cores", file=sys.stderr)
    found: list[figures.Figure] = []
    failed = False
    for name in options.only:
        try:
            found += _run(name, options)
        except Exception:  # pylint: disable=broad-exception-caught  # it loses no other section
            traceback.print_exc()
            failed = True
        _write(found, options, load)
    print(figures.table(found))
    return int(failed or any(figure.met() is False for figure in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench", description=__doc__)
    choices = (*RELEASES, "mixed")
    parser.add_argument("release", choices=choices, nargs="?", default=RELEASES[-1])
    parser.add_argument("--only", type=_names, default=[], metavar="SECTION,...")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--kills", type=int, help="default: 100, for hosts 20")
    parser.add_argument("--output", type=Path, default=TOP / ".build")
    options = parser.parse_args()
    if not options.only:
        left_out = {"sandbox", "rest", "crowd", *growth.SECTIONS} | (
            set() if options.peers else {"peers"}
        )
        options.only = [name for name in SECTIONS if name not in left_out]
    if options.release == "mixed" and not set(options.only) <= set(HOSTS):
        parser.error("only several hosts can be mixed")
    return options


def _names(text: str) -> list[str]:
    known = {**SECTIONS, **HOSTS, **ALONE}
    names = text.split(",") if text else []
    for name in names:
        if name not in known and name not in GROUPS:
            raise argparse.ArgumentTypeError(f"no section {name}, there are {', '.join(known)}")
    return [one for name in names for one in GROUPS.get(name, [name])]


def _run(name: str, options: argparse.Namespace) -> list[figures.Figure]:
    """One section, in a machine of its own: what one leaves behind is nothing to the next."""
    print(f"{time.strftime('%H:%M:%S')} {name} ...", file=sys.stderr)
    if name in ALONE:
        return ALONE[name]()
    if name in HOSTS:
        release = options.release
        releases = scene.MIXED if release == "mixed" else dict.fromkeys(scene.MIXED, release)
        return HOSTS[name](releases, options.kills or 20)
    binds = {npm.modules(peers.JS): peers.MODULES} if name == "peers" else {}
    with Machine(options.release, binds=binds) as machine:
        machine.install_deb(DEB)
        return SECTIONS[name](probe.Probe(machine), options.kills or 100)


def _write(found: list[figures.Figure], options: argparse.Namespace, load: str) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    stem = options.output / f"bench-{options.release}"
    about = {
        "release": options.release,
        "cores": os.cpu_count(),
        "load before": load,
        "load after": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "day": time.strftime("%Y-%m-%d"),
    }
    rows = [figure.as_dict() for figure in found]
    stem.with_suffix(".json").write_text(json.dumps({**about, "figures": rows}, indent=1) + "\n")
    title = f"Debian {options.release}, {about['cores']} cores, {about['day']}"
    stem.with_suffix(".svg").write_text(plot.svg(found, title))
    if any(figure.section in growth.SECTIONS for figure in found):
        Path(f"{stem}-growth.svg").write_text(plot_growth.svg(found, title), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
