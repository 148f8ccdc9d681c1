"""The faults, as Hypothesis chooses and shrinks them; and how to run any number of them.

A step is one thing that one process, connection or clock does. A run of the simulation is a series
of the rules below, then the end of all faults, and the verdict. What fails is shrunk and shown as
the calls of the rules that lead there; the seed in the message finds it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import hypothesis
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from sendrecv.core.values import SECOND
from sendrecv.core.sender_events import Connect, Emit, Persist, Resume, SenderCommand, VerifyLock
from tests.simulation.network import Admission, Connection
from tests.simulation.receiver import Phase
from tests.simulation.sender import SenderProcess
from tests.simulation.world import Parts, World

RULES = 40
"""At most so many in one run."""
RUNS = 100
"""Between two looks at whether it is enough."""

CALM = 140
"""Steps at most without a fault in between."""
SOON = 80
"""Steps in which something that is waited for mostly comes."""

indexes = st.integers(0, 7)
# Of a fixed size: that is one decision for Hypothesis, not one for each byte.
choices = st.binary(min_size=10, max_size=10) | st.binary(min_size=50, max_size=50)
more = st.integers(0, 14)
Kind = type[SenderCommand] | None
commands = st.sampled_from((None, Persist, Connect, Resume, VerifyLock, Emit))
sent = st.sampled_from((Emit, Connect, Resume))
phases = st.sampled_from(Phase)
durations = st.sampled_from((SECOND // 10, SECOND, 3 * SECOND, 7 * SECOND))


@dataclass
class Tally:
    """What was done in all runs of a simulation. worst: the longest it took to settle."""

    runs: int = 0
    steps: int = 0
    counts: int = 0
    worst: int = 0
    seen: Counter[tuple[object, ...]] = field(default_factory=Counter)

    def add(self, world: World, settled: int) -> None:
        """One run has ended well."""
        self.runs += 1
        self.steps += world.steps
        self.counts += sum(last + 1 for last in world.verdict().values())
        self.seen += world.witness.seen
        self.worst = max(self.worst, settled)

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.steps} steps, {self.counts} counts, counting again at the"
            f" latest {self.worst / SECOND:.1f} simulated seconds after the last fault"
        )


class Faults(RuleBasedStateMachine):
    """One run. A subclass sets the parts and the tally."""

    parts = Parts()
    tally = Tally()
    world: World

    @initialize(apps=st.integers(1, 2), interval=st.sampled_from((SECOND, SECOND, SECOND // 4, 0)))
    def begin(self, apps: int, interval: int) -> None:
        self.world = World(apps, interval, self.parts)
        self.copies: list[tuple[str, bytes]] = []

    # No faults: things happen, in whatever order, or at once when they can.

    @rule(choices=choices)
    def run(self, choices: bytes) -> None:
        self.world.run(choices)

    @rule(duration=durations)
    def calm(self, duration: int) -> None:
        self._repair()
        self.world.calm(duration, CALM)

    @rule(seconds=st.sampled_from((1, 6, 45, 150, 299, 361, 3600)))
    def sleep(self, seconds: int) -> None:
        self.world.stall(seconds * SECOND)

    # Senders. `before`: the command that one is about to carry out, then; or is about to finish, or
    # has, with some `more` calls of it to the outside.

    @rule(index=indexes, before=commands, more=more)
    def kill(self, index: int, before: Kind, more: int) -> None:
        if sender := self._sender(index, before, more):
            self.world.kill(sender)

    @rule(index=indexes, before=commands, more=more)
    def hang(self, index: int, before: Kind, more: int) -> None:
        if sender := self._sender(index, before, more):
            self.world.hang(sender, True)

    @rule(index=indexes)
    def go_on(self, index: int) -> None:
        hung = [sender for sender in self.world.senders if sender.hung]
        if hung:
            self.world.hang(hung[index % len(hung)], False)

    @rule(index=indexes, before=commands, more=more, choices=choices, remove=st.booleans())
    def pause(
        self,
        index: int,
        before: Kind,
        more: int,
        choices: bytes,
        remove: bool,
    ) -> None:
        """In the middle of something; the world goes on, perhaps with a second process."""
        if sender := self._sender(index, before, more):
            hung = sender.hung
            self.world.hang(sender, True)
            self._meanwhile(sender, choices, remove)
            self.world.hang(sender, hung)

    @rule(index=indexes)
    def start_beside(self, index: int) -> None:
        self.world.start(self._app(index))

    @rule(index=indexes, before=commands, more=more)
    def stop(self, index: int, before: Kind, more: int) -> None:
        if sender := self._sender(index, before, more):
            self.world.stop(sender)

    # The record.

    @rule(index=indexes, start=st.booleans())
    def remove_record(self, index: int, start: bool) -> None:
        self.world.remove_record(self._app(index))
        if start:
            self.world.start(self._app(index))

    @rule(index=indexes)
    def copy_record(self, index: int) -> None:
        app_id = self._app(index)
        self.copies.append((app_id, self.world.read_record(app_id)))

    @rule(index=indexes, new_file=st.booleans())
    def roll_record_back(self, index: int, new_file: bool) -> None:
        if self.copies:
            app_id, content = self.copies[index % len(self.copies)]
            self.world.replace_record(app_id, content, new_file)

    @rule(index=indexes, noise=st.sampled_from((b"", b"x", b"{}\n")), new_file=st.booleans())
    def damage_record(self, index: int, noise: bytes, new_file: bool) -> None:
        self.world.replace_record(self._app(index), noise * 200, new_file)

    @rule(broken=st.none() | st.integers(0, 512))
    def spoil_disk(self, broken: int | None) -> None:
        """It is full; or broken, and leaves torn writes."""
        self.world.disk.full, self.world.disk.broken = broken is None, broken

    @rule(index=indexes, before=commands)
    def forget(self, index: int, before: Kind) -> None:
        """Its senders are stopped, the receiver and the record forget it, it starts again."""
        self._sender(index, before)
        if not self.world.ledger_is_lost and not self.world.ledger_is_old:
            self.world.forget(self._app(index))

    # The network.

    @rule(index=indexes, before=commands, arriving=st.integers(0, 3))
    def cut(self, index: int, before: Kind, arriving: int) -> None:
        self._sender(index, before)
        if connection := self._connection(index):
            self.world.cut(connection, arriving)

    @rule(index=indexes, before=commands, kill=st.booleans())
    def freeze(self, index: int, before: Kind, kill: bool) -> None:
        """What a sender has just sent lingers; so may all that it sends later, if it lives."""
        sender = self._sender(index, before, 1)
        if sender and sender.connection:
            self.world.freeze(sender.connection, True)
            if kill:
                self.world.kill(sender)

    @rule(index=indexes, before=sent, kill=st.booleans(), choices=choices)
    def overtake(self, index: int, before: Kind, kill: bool, choices: bytes) -> None:
        """What a sender has just sent arrives after a successor was admitted; it may live on."""
        self._repair()
        sender = self._sender(index, before, 1)
        if sender and (connection := sender.connection):
            self.world.freeze(connection, True)
            self._replace(sender, kill)
            self.world.until(lambda: self._other_is_admitted(sender), 3 * SOON)
            self.world.freeze(connection, False)
            self.world.hang(sender, False)
            self.world.run(choices)

    @rule(index=indexes, choices=choices)
    def thaw(self, index: int, choices: bytes) -> None:
        frozen = [it for it in self.world.connections.values() if it.frozen]
        if frozen:
            self.world.freeze(frozen[index % len(frozen)], False)
            self.world.run(choices)

    # The receiver. `phase`: what it is about to do, then; another one, for what is done at a start.

    @rule(phase=phases, written=st.integers(0, 3))
    def kill_receiver(self, phase: Phase, written: int) -> None:
        self._until_receiver(phase)
        self.world.kill_receiver(written)

    @rule(phase=phases)
    def wedge_receiver(self, phase: Phase) -> None:
        self._until_receiver(phase)
        self.world.wedge_receiver()

    @rule(phase=phases)
    def stop_receiver(self, phase: Phase) -> None:
        self._until_receiver(phase)
        self.world.stop_receiver()

    @rule(written=st.integers(0, 3))
    def free_receivers(self, written: int) -> None:
        self.world.free_receivers(written)

    @rule()
    def spoil_ledger(self) -> None:
        self.world.ledger_fails = True

    @rule()
    def spoil_mark(self) -> None:
        """The next receiver that starts cannot open its mark."""
        self.world.spoil_mark()

    @rule()
    def copy_ledger(self) -> None:
        """A backup of the ledger, as it is now."""
        self.world.copy_ledger()

    @rule(phase=phases)
    def put_ledger_back(self, phase: Phase) -> None:
        """That backup is put back, by somebody who kills the receiver first."""
        self._until_receiver(phase)
        self.world.kill_receiver(0)
        self.world.put_ledger_back()

    @rule(phase=phases)
    def write_over_ledger(self, phase: Phase) -> None:
        """It is put back while the receiver runs, which is not asked, and into the same files."""
        self._until_receiver(phase)
        self.world.write_over_ledger()

    @rule(phase=phases, written=st.integers(0, 1), blind=st.booleans())
    def lose_mark(self, phase: Phase, written: int, blind: bool) -> None:
        """The receiver is killed, and what it had in /run is lost; perhaps the journal is blind."""
        self._until_receiver(phase)
        self.world.kill_receiver(written)
        self.world.lose_mark()
        if blind:
            self.world.blind_journal()

    @rule()
    def blind_journal(self) -> None:
        """It is rotated while it is read, vacuumed, elsewhere, or too busy."""
        self.world.blind_journal()

    @rule(phase=phases, written=st.integers(0, 1), stores=st.booleans(), killed=st.integers(0, 3))
    def restart_journald(self, phase: Phase, written: int, stores: bool, killed: int) -> None:
        """It is killed, or stores what the receiver prints no more, or again; perhaps while the
        receiver is killed too.
        """
        self._until_receiver(phase)
        if written:
            self.world.kill_receiver(written)
        self.world.restart_journald(stores, killed)

    @rule(phase=phases)
    def remove_ledger(self, phase: Phase) -> None:
        self._until_receiver(phase)
        self.world.remove_ledger()

    # Everything.

    @rule(
        waited=st.sampled_from((0, 150, 250)),
        phase=phases,
        kept=st.integers(0, 5) | st.just(1000),
        choices=st.binary(min_size=12, max_size=12),
    )
    def power_cut(self, waited: int, phase: Phase, kept: int, choices: bytes) -> None:
        """Perhaps when the journal was last synced long ago."""
        self.world.stall(waited * SECOND)
        self._until_receiver(phase)
        self.world.power_cut(kept, choices)

    def teardown(self) -> None:
        """The end of every run: no more faults, and all is well."""
        if hasattr(self, "world"):
            with self.world:
                settled = self.world.settle()
                self.tally.add(self.world, settled)

    def _meanwhile(self, sender: SenderProcess, choices: bytes, remove: bool) -> None:
        if remove:
            self.world.remove_record(sender.app.app_id)
            self.world.start(sender.app.app_id)
        self.world.run(choices)

    def _repair(self) -> None:
        """What keeps everything from going on ends."""
        self.world.repair_disks()
        self.world.free_receivers(1000)

    def _replace(self, sender: SenderProcess, kill: bool) -> None:
        """Another process takes its place: because it is dead, or hangs and has lost its lock."""
        if kill:
            self.world.kill(sender)
        else:
            self.world.hang(sender, True)
            self.world.remove_record(sender.app.app_id)
            self.world.start(sender.app.app_id)

    def _other_is_admitted(self, sender: SenderProcess) -> bool:
        return any(
            connection.admission is Admission.ADMITTED
            and connection.sender is not sender
            and connection.claim.app_id == sender.app.app_id
            for connection in self.world.connections.values()
        )

    def _app(self, index: int) -> str:
        return self.world.app_ids[index % len(self.world.app_ids)]

    def _sender(self, index: int, before: Kind = None, more: int = 0) -> SenderProcess | None:
        """A sender, about to carry out such a command, if it soon is, and `more` steps of it."""
        self.world.until(lambda: self._alive() != [], SOON)
        if not (alive := self._alive()):
            return None
        sender = alive[index % len(alive)]
        if before:
            self.world.until(lambda: sender.dead or sender.about_to(before), SOON)
        for _ in range(more):
            sender.step()
        return sender

    def _alive(self) -> list[SenderProcess]:
        return [sender for sender in self.world.senders if not sender.dead]

    def _until_receiver(self, phase: Phase) -> None:
        def reached() -> bool:
            receiver = self.world.receiver()
            return receiver is not None and receiver.phase is phase

        if phase in (Phase.STARTING, Phase.PREPARING) and not reached():
            self.world.kill_receiver(0)  # or it would be waited for in vain
        self.world.until(reached, SOON)

    def _connection(self, index: int) -> Connection | None:
        there = list(self.world.connections.values())
        return there[index % len(there)] if there else None


def simulate(
    parts: object,
    first_seed: int,
    enough: Callable[[Tally], bool],
    shrink: bool = True,
    faults: type[RuleBasedStateMachine] = Faults,
) -> Tally:
    """Run until it is enough; asked every RUNS runs. Raises what the verdict raises.

    `parts`: of those faults.
    """
    tally = Tally()
    generate, minimise = hypothesis.Phase.generate, hypothesis.Phase.shrink
    options = settings(
        max_examples=RUNS,
        stateful_step_count=RULES,
        deadline=None,
        database=None,
        phases=(generate, minimise) if shrink else (generate,),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    while not enough(tally):
        machine = type(faults.__name__, (faults,), {"parts": parts, "tally": tally})
        try:
            run_state_machine_as_test(  # type: ignore[no-untyped-call]  # Hypothesis's of Debian
                seed(first_seed)(machine), settings=options
            )
        except BaseException as error:
            which = "" if faults is Faults else " --hosts"
            again = f"python3 -m tests.simulation{which} --seeds 1 --seed {first_seed}"
            error.add_note(f"again: {again}")
            raise
        first_seed += 1
    return tally
