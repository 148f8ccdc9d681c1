"""An App in a machine, for the tests of units and package: what a person types, and looks for."""

import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence

from tests.judges.checker import Entry, Verdict, check
from tests.lab.machine import HANG, Machine

FIELDS = (
    *("MESSAGE", "MESSAGE_ID", "PRIORITY", "UNIT", "INVOCATION_ID"),
    *("_PID", "_BOOT_ID", "_SYSTEMD_UNIT", "_TRANSPORT"),
)


class App:
    """One instance, which counts ten times a second so that tests need not wait."""

    def __init__(
        self, machine: Machine, name: str, settings: str = "SENDRECV_INTERVAL=0.1"
    ) -> None:
        self.machine = machine
        self.name = name
        self.main = f"sender@{name}.service"
        self.failover = f"sender-failover@{name}.service"
        self.target = f"sendrecv@{name}.target"
        self._since = machine.cursor()
        machine.write(f"/etc/sendrecv/{name}.env", f"{settings}\n")

    def systemctl(self, *words: str, check: bool = True) -> int:
        """Types that systemctl command; returns its exit status."""
        return self.machine.run(["systemctl", *words], check=check).returncode

    def start(self) -> None:
        """Starts main, and waits for its first count."""
        with self.counts_from("main"):
            self.systemctl("start", self.main)

    def stop(self) -> None:
        """Stops it for good."""
        self.systemctl("stop", self.target)

    def unit(self, node: str) -> str:
        """The unit of that half."""
        return {"main": self.main, "failover": self.failover}[node]

    def active(self) -> list[str]:
        """The halves that are active."""
        units = {"main": self.main, "failover": self.failover}
        return [node for node, unit in units.items() if self.state(unit) == "active"]

    def state(self, unit: str) -> str:
        """The unit's ActiveState."""
        return self.machine.show(unit, "ActiveState")

    @contextlib.contextmanager
    def counts_from(self, node: str = "", timeout: float = HANG) -> Iterator[None]:
        """Waits, after what is done in this context, for a count of that half (or of any)."""
        after = self.machine.cursor()
        yield
        self.machine.wait_entry(
            lambda entry: self._is_count(entry, node),
            "_SYSTEMD_UNIT=receiver.service",
            after=after,
            timeout=timeout,
            what=f"a count of {self.name} from {node or 'either half'}",
        )

    def count(self, number: int) -> None:
        """Waits for so many counts more."""
        after = self.machine.cursor()
        entries = self.machine.follow("_SYSTEMD_UNIT=receiver.service", after=after)
        with contextlib.closing(entries):
            counts = (entry for entry in entries if self._is_count(entry, ""))
            assert len([*itertools.islice(counts, number)]) == number, f"{self.name} hangs"

    def _is_count(self, entry: Entry, node: str) -> bool:
        lines = check([entry], first=None).lines.get(self.name, ())
        return any(not node or line.node == node for line in lines)

    def verdict(self) -> Verdict:
        """What the journal says about this App since it was made; it must have something to say."""
        return self._judge(self._entries())

    def _judge(self, entries: Sequence[Entry]) -> Verdict:
        whole = check(entries)
        lines, runs = whole.lines.get(self.name, ()), whole.runs.get(self.name, ())
        assert lines and runs, f"nothing in the journal about {self.name}"
        faults = tuple(fault for fault in whole.faults if fault.app == self.name)
        return Verdict({self.name: lines}, {self.name: runs}, faults)

    def nodes(self) -> list[str]:
        """The halves in the order in which they counted, each takeover one more."""
        nodes = [line.node for line in self.verdict().lines[self.name]]
        return [node for node, before in zip(nodes, ["", *nodes], strict=False) if node != before]

    def rescues(self) -> list[str]:
        """What the guard had to start or to kill, and what a time-out has ended.

        A takeover needs neither: these are for what ends a chain of takeovers, and come seconds
        later. So this tells of one that should not have waited for them, on a machine of any speed.
        """
        return self._rescues(self._entries())

    def _rescues(self, entries: Sequence[Entry]) -> list[str]:
        ours = {self.main, self.failover, "receiver.service"}
        return [
            str(entry["MESSAGE"])
            for entry in entries
            if _is_from_guard(entry, self.name)
            or (entry.get("UNIT") in ours and " timed out" in str(entry.get("MESSAGE")))
        ]

    def assert_sound(self, *, rescued: bool = False) -> None:
        """Each count once, in order, one sender at a time; rescued only if that is said."""
        entries = self._entries()
        verdict = self._judge(entries)
        assert not verdict.faults, verdict
        rescues = self._rescues(entries)
        assert rescued or not rescues, rescues

    def _entries(self) -> Sequence[Entry]:
        since = [f"--after-cursor={self._since}"] if self._since else []
        return list(self.machine.journal(*since, fields=FIELDS))


def _is_from_guard(entry: Entry, app: str) -> bool:
    """It names four of many Apps only. All Apps need a receiver."""
    if entry.get("_SYSTEMD_UNIT") != "sendrecv-guard.service":
        return False
    said = str(entry.get("MESSAGE"))
    if said.startswith("receiver.service was not started"):
        return True
    about = re.search(r"Apps? (\S+|\(.*\)) ha(s|ve) no sender|@(\S+)\.service was stopped", said)
    return about is not None and (app in re.findall(r"[^\s()]+", said) or about[3] == app)
