"""The store of several hosts without etcd: SENDRECV_ETCD_OUTAGE=continue.

On the etcd of hosts_of_etcd.py.
"""

import contextlib
from pathlib import Path

import pytest

from sendrecv.core import record as slots
from sendrecv.core.errors import NOTICE, WARNING
from sendrecv.core.lease import LeaseLost, encode
from sendrecv.core.record import Record
from tests.lab.waiting import wait_until
from tests.unit.sender.hosts_of_etcd import LEASE, Cluster, Host


def kept(host: Host) -> Record | None:
    """What is on its disk."""
    return slots.decode(Path(host.local.path).read_bytes()).record


def out(cluster: Cluster, host: Host) -> Record:
    """It counts without etcd; the record as it was before."""
    before = host.takes()
    cluster.silent = True
    cluster.now += LEASE
    return before


def test_it_counts_on_without_etcd_and_says_so_once(cluster: Cluster, c: Host) -> None:
    before = out(cluster, c)
    for count in (1, 2):
        c.store.commit(before.replace(count=count))
        c.store.lease.hold()
        c.store.lease.renew()
        assert c.store.lease.renews_in() > 0 and kept(c) == before.replace(count=count)
    assert [text for severity, text in c.store.lease.said if severity == WARNING] == [
        "no endpoint answers: counting on without etcd, see SENDRECV_ETCD_OUTAGE"
    ]
    cluster.silent = False
    wait_until(lambda: cluster.holding().record.count == 2, "the newest is written")

    def says_so() -> bool:
        c.store.lease.renew()
        return c.store.lease.said[-1][0] == NOTICE

    wait_until(says_so, "it says so")
    assert c.store.lease.said[-1][1] == "etcd answers again, and this host still has the lease"
    c.store.commit(before.replace(count=3))
    assert cluster.holding().record.count == 3


def test_it_stops_when_another_host_has_the_lease(cluster: Cluster, c: Host, b: Host) -> None:
    before = out(cluster, c)
    c.store.commit(before.replace(count=1))
    b.cluster.silent = False
    cluster.write(encode(cluster.holding().replace(record=before.replace(epoch=9, run="x"))))

    def is_lost() -> bool:
        with contextlib.suppress(LeaseLost):
            c.store.lease.hold()
            return False
        return True

    wait_until(is_lost, "it knows")


def test_it_does_not_raise_its_epoch_without_etcd(cluster: Cluster, c: Host) -> None:
    before = out(cluster, c)
    c.store.commit(before)
    with pytest.raises(LeaseLost, match="the receiver has a newer epoch"):
        c.store.commit(before.replace(epoch=before.epoch + 1))


def test_an_epoch_that_was_raised_as_etcd_fell_silent_stays_raised(
    cluster: Cluster, c: Host
) -> None:
    """That write may be carried out: the epoch in the key must not fall after it."""
    raised = c.takes().replace(epoch=7)
    cluster.unheard = 1
    c.store.commit(raised)
    assert c.store.lease.is_out and cluster.holding().record.epoch == 7
    c.store.commit(raised.replace(count=1))
    assert kept(c) == raised.replace(count=1)
    wait_until(lambda: cluster.holding().record.count == 1, "it is written")
    assert cluster.holding().record.epoch == 7


def test_the_other_half_goes_on_without_etcd_if_this_host_had_the_lease(
    cluster: Cluster, c: Host, tmp_path: Path
) -> None:
    before = out(cluster, c)
    c.store.commit(before.replace(count=5))
    c.store.release()
    other = Host(cluster, tmp_path, "c", "c-failover", continues=True)
    assert other.stand_by() == (kept(other), before.epoch + 1)
    assert kept(other) == before.replace(epoch=2, count=5, node_id="c-failover", run=other.app.run)
    cluster.silent = False
    wait_until(lambda: cluster.holding().record == kept(other), "it has the lease again")
    other.local.release()


def test_who_has_lost_the_lease_does_not_go_on_without_etcd(
    cluster: Cluster, c: Host, b: Host, tmp_path: Path
) -> None:
    c.takes()
    cluster.now += LEASE
    b.takes()
    with pytest.raises(LeaseLost):
        c.store.lease.renew()
    cluster.silent = True
    assert c.stand_by(5) is None
    c.local.release()
    other = Host(cluster, tmp_path, "c", "c-failover", continues=True)
    assert other.stand_by(5) is None
    other.local.release()


def test_nor_does_one_whose_host_released_the_app(
    cluster: Cluster, c: Host, tmp_path: Path
) -> None:
    c.takes()
    c.leaves = True
    c.store.release()
    cluster.silent = True
    other = Host(cluster, tmp_path, "c", "c-failover", continues=True)
    assert other.stand_by(5) is None
    other.local.release()


def test_nor_one_whose_host_was_shown_that_another_one_has_it(
    cluster: Cluster, c: Host, b: Host, tmp_path: Path
) -> None:
    c.takes()
    c.local.release()  # killed
    cluster.now += LEASE
    b.takes()
    other = Host(cluster, tmp_path, "c", "c-failover", continues=True)
    assert other.stand_by(1) is None
    cluster.silent = True
    assert other.stand_by(5) is None
    other.local.release()
    another = Host(cluster, tmp_path, "c", continues=True)
    assert another.stand_by(5) is None
    another.local.release()


def test_nor_one_that_cannot_write_its_own_record(
    cluster: Cluster, c: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_record: Record) -> None:
        raise OSError(28, "No space left on device")

    before = out(cluster, c)
    c.local.release()  # killed
    other = Host(cluster, tmp_path, "c", "c-failover", continues=True)
    with monkeypatch.context() as patched:
        patched.setattr(other.store.lease, "_keep", full)
        assert other.stand_by(5) is None
    assert other.stand_by() == (kept(other), before.epoch + 1)
    other.store.lease.give_up()
    other.local.release()


def test_its_own_record_has_each_count_also_while_etcd_answers(cluster: Cluster, c: Host) -> None:
    before = c.takes()
    c.store.commit(before.replace(count=7))
    assert kept(c) == cluster.holding().record == before.replace(count=7)


def test_after_an_outage_all_that_was_taken_is_written_before_more_is_sent(
    cluster: Cluster, c: Host
) -> None:
    before = out(cluster, c)
    c.store.commit(before.replace(count=1))
    outage = c.store.lease._outage
    assert outage
    holding = c.store.lease._holding
    assert holding
    cluster.silent = False
    wait_until(lambda: outage.ended is not None, "etcd answers")
    c.store.lease._holding = holding.replace(record=before.replace(count=2))  # taken meanwhile
    c.store.lease.hold()
    assert cluster.holding().record.count == 2


def test_nor_does_a_process_whose_key_another_host_took_meanwhile(
    cluster: Cluster, c: Host, b: Host, tmp_path: Path
) -> None:
    out(cluster, c)
    c.local.release()  # killed
    other = Host(cluster, tmp_path, "c", "c-failover", continues=True)
    assert other.stand_by()
    cluster.silent = False
    b.cluster.write(encode(cluster.holding().replace(host="b", place="b" * 32)))

    def is_lost() -> bool:
        try:
            other.store.lease.hold()
        except LeaseLost:
            return True
        return False

    wait_until(is_lost, "it knows")
    other.local.release()


def test_without_etcd_nothing_is_handed_over(cluster: Cluster, c: Host) -> None:
    before = out(cluster, c)
    c.store.commit(before)
    assert c.store.lease.asked() is None
    with pytest.raises(OSError, match="etcd does not answer"):
        c.store.lease.hand_over("a", "")
