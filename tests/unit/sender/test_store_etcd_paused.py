"""The store of several hosts while its App is paused: who takes it, who does not, and what it says.

On the etcd of hosts_of_etcd.py. On real ones: tests/system/test_pause_hosts.py.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sendrecv.core.errors import CRITICAL
from sendrecv.core.lease import HandedOver, Pause, encode_pause
from sendrecv.core.values import SECOND
from tests.unit.sender.hosts_of_etcd import LEASE, PAUSED, Cluster, Host

BY = Pause(1_795_764_433, "joe", "new disk")
WORDS = ", paused by joe since 2026-11-27 07:27:13 UTC (new disk)"


def pause(cluster: Cluster) -> None:
    cluster.write(encode_pause(BY), PAUSED)


def resume(cluster: Cluster) -> None:
    del cluster.others[PAUSED]


@pytest.fixture(name="half")
def fixture_half(cluster: Cluster, a: Host, tmp_path: Path) -> Iterator[Host]:
    """The other half of host a, whose main has counted to 3 and has died."""
    a.takes()
    a.commit(3)
    a.local.release()
    half = Host(cluster, tmp_path, "a", "a-failover")
    yield half
    half.local.release()


def crit(host: Host) -> list[str]:
    return [text for severity, text in host.store.pauses.said if severity == CRITICAL]


def test_nobody_takes_it_from_a_host_that_is_lost(cluster: Cluster, a: Host, b: Host) -> None:
    a.takes()
    a.commit(7)
    pause(cluster)
    b.store.pauses.changed()
    b.by_person = True
    assert b.stand_by(seconds=20) is None
    assert cluster.holding().host == "a"
    assert b.statuses[0].startswith("standing by, a (a) counts since ")
    assert b.statuses[0].endswith(f", count 7{WORDS}")
    nothing = f"standing by, nothing counts: a has not renewed its lease, count 7{WORDS}"
    assert b.statuses[-1] == nothing
    assert crit(b) == ["App one is paused, and nothing counts. To go on: sendrecv resume one"]
    assert len(b.statuses) < 120, "it reads as often as ever"


def test_after_the_pause_it_is_taken_at_once(cluster: Cluster, a: Host, b: Host) -> None:
    a.takes()
    a.commit(7)
    pause(cluster)
    b.store.pauses.changed()
    looks = 0

    def idle(_status: str, pause: float) -> bool:
        nonlocal looks
        looks += 1
        if looks == 100:
            resume(cluster)
        cluster.now += int(pause * SECOND)
        return looks < 110

    assert b.store.stand_by(idle) is not None
    assert (looks, cluster.holding().record.count) == (100, 7)


def test_a_half_that_was_started_by_itself_stands_by(cluster: Cluster, half: Host) -> None:
    pause(cluster)
    assert half.stand_by(seconds=10) is None
    assert (
        half.statuses[-1] == f"standing by, nothing counts: this host held the App, count 3{WORDS}"
    )
    resume(cluster)
    assert half.takes().count == 3


def test_a_half_that_a_person_has_started_counts(cluster: Cluster, half: Host) -> None:
    pause(cluster)
    half.by_person = True
    now = cluster.now
    assert (half.takes().count, cluster.now) == (3, now)
    half.commit(4)
    cluster.now += LEASE
    half.store.lease.renew()  # it counts on, and renews
    half.leaves = True
    half.store.release()
    assert cluster.holding().released


def test_a_pause_between_the_look_and_the_write(cluster: Cluster, half: Host) -> None:
    """It is compared in the transaction. Nobody has told this host of it."""
    cluster.before_write = lambda: pause(cluster)
    assert half.stand_by(seconds=10) is None
    assert cluster.holding().record.node_id == "a" and crit(half)


def test_a_person_may_start_it_just_before_the_pause(cluster: Cluster, half: Host) -> None:
    half.by_person = True
    cluster.before_write = lambda: pause(cluster)
    assert half.takes().count == 3


def test_it_is_moved_and_stays_paused(cluster: Cluster, a: Host, b: Host, c: Host) -> None:
    a.takes()
    pause(cluster)
    with pytest.raises(HandedOver):
        a.store.lease.hand_over("b", "")
    c.store.pauses.changed()
    assert c.stand_by(seconds=5) is None
    now = cluster.now
    assert (b.takes().node_id, cluster.now) == ("b", now)


def test_what_the_other_host_does_not_take_goes_back(cluster: Cluster, a: Host, b: Host) -> None:
    a.takes()
    pause(cluster)
    with pytest.raises(HandedOver):
        a.store.lease.hand_over("nowhere", "")
    assert b.stand_by(seconds=5) is None
    assert a.takes().node_id == "a"


def test_a_boot_of_the_host_that_held_it(
    cluster: Cluster, a: Host, b: Host, tmp_path: Path
) -> None:
    a.takes()
    pause(cluster)
    a.leaves = True
    a.store.release()  # systemctl reboot
    assert b.stand_by(seconds=5) is None
    again = Host(cluster, tmp_path, "a")
    again.by_person = True
    assert again.takes().epoch == 2
    again.local.release()


def test_a_new_app_that_is_paused(cluster: Cluster, a: Host, b: Host) -> None:
    pause(cluster)
    assert a.stand_by(seconds=5) is None
    assert a.statuses[-1] == f"standing by, nothing counts: no host held the App{WORDS}"
    b.by_person = True
    assert b.takes().node_id == "b"


@pytest.mark.parametrize("value", [b"", b"[1]", b'{"format": 2}', b"\xff", b'{"since": -1}'])
def test_whatever_the_key_says_it_is_paused(cluster: Cluster, half: Host, value: bytes) -> None:
    cluster.write(value, PAUSED)
    assert half.stand_by(seconds=5) is None
    assert half.statuses[-1].endswith(", count 3, paused")


def test_without_etcd_a_host_knows_what_it_was_told(
    cluster: Cluster, c: Host, tmp_path: Path
) -> None:
    c.takes()
    c.commit(3)
    pause(cluster)
    c.store.pauses.changed()
    c.store.pauses.look()  # as its loop does
    c.store.release()
    cluster.silent = True
    half = Host(cluster, tmp_path, "c", "c-failover", continues=True)
    assert half.stand_by(seconds=5) is None
    half.local.release()
    by_person = Host(cluster, tmp_path, "c", continues=True)
    by_person.by_person = True
    assert by_person.stand_by(seconds=5) is not None
    by_person.store.release()
    cluster.silent = False
    resume(cluster)
    again = Host(cluster, tmp_path, "c", "c-failover", continues=True)
    again.store.pauses.changed()
    again.takes()
    assert not (tmp_path / "c/one.paused").exists(), "it is not held any more"
    again.local.release()


def test_what_is_said_is_said_once(cluster: Cluster, a: Host, b: Host) -> None:
    a.takes()
    pause(cluster)
    for _ in range(3):
        b.store.pauses.changed()
        b.stand_by(seconds=1)
    resume(cluster)
    b.stand_by(seconds=1)
    assert [text for _, text in b.store.pauses.said] == [
        f"App one is{WORDS[1:]}: no host takes it by itself; to end that: sendrecv resume one",
        "App one is not paused any more",
    ]
