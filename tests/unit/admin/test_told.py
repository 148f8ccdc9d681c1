"""What is read from a sender's STATUS=, as senders write it."""

from typing import cast

import pytest

from sendrecv.admin.paused import Pause
from sendrecv.admin.told import Told, told
from sendrecv.core import lease
from sendrecv.core.lease import Holding
from sendrecv.core.reach import App
from sendrecv.core.record import Record
from sendrecv.core.sender import SenderMachine, State
from sendrecv.core.values import SECOND
from sendrecv.sender.etcd import Etcd
from sendrecv.sender.etcd_lease import standing_by
from sendrecv.sender.etcd_pause import Pauses

SINCE = 1_795_764_433
RECORD = Record("main", 7, 41, 41, 0, "b" * 32, "alpha", "a" * 32)


def machine(state: State, count: int, acknowledged: int) -> SenderMachine:
    record = RECORD.replace(count=count, acknowledged=acknowledged)
    one = SenderMachine(App("main", "main", "a" * 32, "b" * 32, SECOND), record, 7, 0)
    one.state = state
    return one


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("behind", [0, 1, 2, 30])
def test_an_app_of_one_machine(state: State, behind: int) -> None:
    said = told(machine(state, 41, 41 - behind).status())
    # One is in flight, as ever, and is not said.
    backlog = behind if behind > 1 else 0
    count = None if state is State.UP and not backlog else 41
    assert said == Told(connection=state.value, epoch=7, count=count, backlog=backlog)


def test_a_doubt() -> None:
    one = machine(State.DOWN, 41, 41)
    one.belief = one.belief.replace(doubt="the receiver's last count is 9, ...")
    assert told(one.status()).doubts


def test_standing_by() -> None:
    holding = Holding(RECORD, "alpha", "c" * 32, SINCE, SECOND)
    expected = Told(
        several=True, stands_by=True, holder=("alpha", "alpha"), since=float(SINCE), count=41
    )
    assert told(f"{standing_by(holding)}, count 41") == expected
    assert told(standing_by(holding)) == expected.replace(count=None)
    assert told(standing_by(holding.replace(released=True))).stands_by
    assert told("standing by, etcd does not answer").stands_by


def test_counting_on_this_host() -> None:
    text = "counting here since 2026-11-26 23:07:13 UTC, count 41, connected, epoch 7"
    said = told(f"{text}, count 41, 3 not acknowledged")
    assert (said.several, said.connection, said.epoch, said.backlog) == (True, "connected", 7, 3)
    assert said.since == 1_795_734_433 and not said.stands_by


@pytest.mark.parametrize("state", list(State))
def test_a_pause(state: State) -> None:
    """Whatever a person's reason says."""
    etcd = cast(Etcd, None)  # nobody asks it
    pauses = Pauses("", etcd, 1.0, "main", "", by_person=bool)
    here = "counting here since 2026-11-26 23:07:13 UTC, count 41"
    holding = Holding(RECORD, "alpha", "c" * 32, SINCE, SECOND)
    texts = [
        f"{here}, {machine(state, 41, 38).status()}",
        f"{standing_by(holding)}, count 41",
        "standing by, nothing counts: alpha has not renewed its lease, count 41",
        "no host counts",
    ]
    for pause in (
        lease.Pause(SINCE, "user:1000", "new (disk), paused by eve, count 7"),
        lease.Pause(SINCE, "joe", ""),
        lease.Pause(),
    ):
        pauses.pause = pause
        for text in texts:
            assert told(text + pauses.words()) == told(text).replace(paused=Pause.of(pause)), text


def test_what_nothing_counts() -> None:
    for why in (
        "alpha has not renewed its lease",
        "alpha released the App for beta, which does not take it",
        "no host held the App",
    ):
        said = told(f"standing by, nothing counts: {why}, count 41")
        assert said == Told(several=True, stands_by=True, held=why, count=41)


@pytest.mark.parametrize("text", ["", "waiting for the lock", "connected", "counting here since x"])
def test_what_says_nothing_of_a_connection(text: str) -> None:
    assert told(text) == Told()
