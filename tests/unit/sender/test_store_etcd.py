"""The store of several hosts: what it takes, holds, releases and hands over, and what goes wrong.

On the etcd of hosts_of_etcd.py. Without etcd: test_store_etcd_outage.py.
"""

from pathlib import Path

import pytest

from sendrecv.core.errors import WARNING
from sendrecv.core.lease import HandedOver, LeaseLost, Move, encode
from sendrecv.core.record import Record
from sendrecv.core.values import SECOND
from sendrecv.errors import LockLost, RecordFromFuture
from sendrecv.sender.store_file import StateFile
from tests.unit.sender.hosts_of_etcd import LEASE, Cluster, Host


def test_the_first_host_takes_an_app_that_nobody_has(cluster: Cluster, a: Host) -> None:
    assert a.stand_by() == (None, 1)
    assert cluster.holding().record.replace(due=0) == Record(
        "one", 1, -1, -1, 0, "a" * 32, "a", "a".ljust(32, "0")
    )
    assert a.store.lease.said == [(5, "epoch 1, counting here: no host held the App")]
    a.commit(0)
    assert a.store.lease.status().startswith("counting here since 20")
    assert a.store.lease.status().endswith("UTC, count 0")


def test_this_hosts_own_record_is_where_an_app_begins_that_etcd_does_not_know(
    cluster: Cluster, tmp_path: Path
) -> None:
    local = StateFile(tmp_path / "one.record")
    (tmp_path / "a").mkdir()
    local = StateFile(tmp_path / "a" / "one.record")
    local.acquire()
    local.commit(Record("one", 6, 70, 69, 5, "c" * 32, "main", "0" * 32))
    local.release()
    host = Host(cluster, tmp_path, "a")
    assert (host.takes().count, host.takes().epoch) == (70, 8)
    host.local.release()


def test_another_host_stands_by_until_the_lease_is_over(cluster: Cluster, a: Host, b: Host) -> None:
    a.takes()
    a.commit(7)
    began = cluster.now
    record = b.takes()
    assert (record.epoch, record.count, record.node_id) == (2, 7, "b")
    assert cluster.now - began == LEASE
    assert set(b.statuses) == {b.statuses[0]}
    assert b.statuses[0].startswith("standing by, a (a) counts since ")
    assert b.statuses[0].endswith("UTC, count 7")
    assert [text.partition(" since")[0] for _, text in b.store.lease.said] == [
        "standing by, a (a) counts",
        "epoch 2, counting here: a has not renewed its lease",
    ]
    for act in (a.store.lease.renew, lambda: a.commit(8), a.store.verify):
        with pytest.raises(LeaseLost, match="^the lease is lost$"):
            act()


def test_it_never_takes_an_app_from_a_holder_that_renews(
    cluster: Cluster, a: Host, b: Host
) -> None:
    a.takes()
    ends = cluster.now + 10 * LEASE

    def idle(_status: str, pause: float) -> bool:
        cluster.now += int(pause * SECOND)
        if a.store.lease.renews_in() == 0:
            a.store.lease.renew()
        return cluster.now < ends

    assert b.store.stand_by(idle) is None
    assert cluster.holding().host == "a"


def test_a_holder_sends_only_before_its_deadline(cluster: Cluster, a: Host, b: Host) -> None:
    a.takes()
    revision = cluster.revision
    cluster.now += LEASE * 7 // 10 - 1
    a.store.lease.hold()
    assert cluster.revision == revision  # that was no write
    cluster.now += 1
    a.store.lease.hold()
    assert cluster.revision == revision + 1
    cluster.now += LEASE
    b.takes()
    with pytest.raises(LeaseLost):
        a.store.lease.hold()


def test_the_deadline_counts_from_the_sending(cluster: Cluster, a: Host) -> None:
    a.takes()

    def slowly() -> None:
        cluster.now += LEASE // 2

    cluster.before_write = slowly
    a.store.lease.renew()
    assert a.store.lease.renews_in() == 0
    cluster.now += LEASE * 2 // 10
    cluster.silent = True
    with pytest.raises(OSError, match="no endpoint answers"):
        a.store.lease.hold()


def test_the_other_half_of_the_host_takes_it_at_once(
    cluster: Cluster, a: Host, tmp_path: Path
) -> None:
    a.takes()
    a.commit(3)
    a.local.release()  # its process has ended
    now = cluster.now
    other = Host(cluster, tmp_path, "a", "a-failover")
    record = other.takes()
    assert (record.epoch, record.count, record.node_id, cluster.now) == (2, 3, "a-failover", now)
    assert other.store.lease.said[-1][1] == "epoch 2, counting here: this host held the App"
    other.local.release()


def test_before_it_takes_the_app_and_only_then_it_says_so(
    cluster: Cluster, a: Host, b: Host
) -> None:
    before = cluster.revision
    a.takes()
    assert a.about_to_take == [before]
    b.stand_by(seconds=1)
    assert not b.about_to_take


def test_what_is_released_is_taken_at_once(cluster: Cluster, a: Host, b: Host) -> None:
    a.takes()
    a.commit(3)
    a.leaves = True
    a.store.release()
    assert cluster.holding().released
    now = cluster.now
    assert (b.takes().count, cluster.now) == (3, now)
    assert b.store.lease.said[-1][1] == "epoch 2, counting here: a released the App: stopped"


def test_a_release_does_not_take_back_a_count_that_etcd_may_have(cluster: Cluster, a: Host) -> None:
    a.takes()
    a.commit(1)
    cluster.unheard = 1
    with pytest.raises(OSError):
        a.commit(2)
    a.leaves = True
    a.store.release()
    assert cluster.holding().released and cluster.holding().record.count == 2


def test_a_stop_of_one_half_keeps_the_lease_on_the_host(cluster: Cluster, a: Host) -> None:
    a.takes()
    a.commit(3)
    a.store.release()
    assert not cluster.holding().released
    kept = StateFile(a.local.path)
    assert kept.acquire()[0] == cluster.holding().record
    kept.release()


def test_a_write_of_its_own_that_was_not_heard_is_no_loss(cluster: Cluster, a: Host) -> None:
    a.takes()
    cluster.unheard = 1
    with pytest.raises(OSError, match="no endpoint answers"):
        a.commit(1)
    a.commit(2)
    assert cluster.holding().record.count == 2
    # Of two copies of one write, the one that was faster is not heard.
    there = cluster.holding()
    record = there.record.replace(count=3)
    value = encode(there.replace(record=record, serial=there.serial + 1))
    cluster.before_write = lambda: cluster.write(value)
    revision = cluster.revision
    a.commit(3)
    assert cluster.revision == revision + 1


def test_a_renewal_of_long_ago_is_not_taken_for_this_one(
    cluster: Cluster, a: Host, b: Host
) -> None:
    """Another host has timed it since it was carried out, and takes the App in an instant."""
    a.takes()
    cluster.unheard = 1
    with pytest.raises(OSError, match="no endpoint answers"):
        a.store.lease.renew()
    landed, revision = cluster.now, cluster.revision
    assert b.stand_by(LEASE / SECOND - 0.1) is None
    cluster.now = landed + LEASE - 1

    def silence() -> None:
        cluster.silent = True

    a.store.lease.renew()
    assert cluster.revision == revision + 1
    cluster.unheard = 1
    with pytest.raises(OSError, match="no endpoint answers"):
        a.store.lease.renew()
    cluster.now += LEASE * 6 // 10
    cluster.before_write = silence
    with pytest.raises(OSError, match="no endpoint answers"):
        a.store.lease.renew()
    cluster.now += LEASE * 2 // 10
    with pytest.raises(OSError, match="no endpoint answers"):
        a.store.lease.hold()


def test_a_write_that_is_found_later_counts_from_its_own_sending(cluster: Cluster, a: Host) -> None:
    a.takes()
    cluster.now += LEASE // 2
    cluster.unheard = 2  # it is carried out; what finds it is, too, and is not heard
    for _ in range(2):
        with pytest.raises(OSError, match="no endpoint answers"):
            a.store.lease.renew()
    cluster.now += LEASE * 6 // 10
    cluster.silent = True
    a.store.lease.hold()  # of the first of the two, this is known
    cluster.now += LEASE // 10
    with pytest.raises(OSError, match="no endpoint answers"):
        a.store.lease.hold()


def test_an_answer_that_is_heard_too_late_lets_nothing_be_sent(cluster: Cluster, a: Host) -> None:
    a.takes()
    cluster.now += 2 * LEASE

    def slowly() -> None:
        cluster.now += LEASE

    cluster.before_write = slowly
    with pytest.raises(OSError, match="etcd answers too late for the lease"):
        a.store.lease.hold()
    a.store.lease.hold()


def test_a_release_of_its_own_that_is_found_does_not_count_for_the_deadline(
    cluster: Cluster, a: Host
) -> None:
    a.takes()
    cluster.unheard = 1
    with pytest.raises(OSError, match="no endpoint answers"):
        a.store.lease.hand_over("b", "")
    cluster.unheard = 1
    with pytest.raises(OSError, match="no endpoint answers"):
        a.store.lease.renew()
    cluster.silent = True
    with pytest.raises(OSError, match="no endpoint answers"):
        a.store.lease.hold()


def test_a_takeover_that_was_not_heard_is_taken_again(cluster: Cluster, a: Host) -> None:
    cluster.unheard = 1
    assert a.takes().epoch == 2


def test_of_two_that_take_it_one_wins(cluster: Cluster, a: Host, b: Host) -> None:
    cluster.before_write = lambda: print(b.takes())
    assert a.stand_by(LEASE / SECOND / 2) is None
    assert cluster.holding().host == "b"


def test_without_etcd_nothing_is_taken(cluster: Cluster, a: Host) -> None:
    cluster.silent = True
    assert a.stand_by() is None
    assert set(a.statuses) == {"standing by, no endpoint answers"}


def test_a_key_that_is_gone_is_no_lease(cluster: Cluster, a: Host) -> None:
    a.takes()
    a.commit(5)
    cluster.key = None
    with pytest.raises(LeaseLost, match="record is gone"):
        a.store.lease.renew()
    began = cluster.now
    assert a.takes().count == 5  # as this process knows
    assert cluster.now - began >= LEASE


def test_a_key_that_somebody_deletes_may_have_a_holder(cluster: Cluster, a: Host, b: Host) -> None:
    a.takes()
    a.commit(5)
    assert b.stand_by(1) is None
    cluster.key = None
    began = cluster.now
    assert b.takes().count == 5 and cluster.now - began >= LEASE


def test_a_record_of_this_host_that_was_replaced_ends_it(a: Host) -> None:
    a.takes()
    Path(a.local.path).unlink()
    with pytest.raises(LockLost):
        a.store.verify()


@pytest.mark.parametrize("value", [b"", b"{}", b'{"format": 2}'])
def test_a_key_that_is_not_understood_is_not_touched(
    cluster: Cluster, a: Host, value: bytes
) -> None:
    cluster.write(value)
    with pytest.raises(RecordFromFuture, match="etcd, /sendrecv/one/record: "):
        a.stand_by()
    assert cluster.key and cluster.key.value == value


def test_a_key_of_another_app_is_not_touched(cluster: Cluster, a: Host) -> None:
    a.takes()
    there = cluster.holding()
    cluster.write(encode(there.replace(record=there.record.replace(app_id="two"))))
    with pytest.raises(RecordFromFuture, match="not a record of this App"):
        a.store.lease.renew()


def test_a_key_that_changes_all_the_time_is_not_held(cluster: Cluster, a: Host) -> None:
    a.takes()

    def change() -> None:
        there = cluster.holding()
        cluster.write(encode(there.replace(since=there.since + 1)))
        cluster.before_write = change

    cluster.before_write = change
    with pytest.raises(OSError, match="changes all the time"):
        a.store.lease.renew()


def test_a_disk_that_is_full_is_said_and_does_not_hold_it_up(
    a: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_record: Record) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(a.store.lease, "_keep", full)
    a.takes()
    assert a.store.lease.said[0] == (WARNING, f"{a.local.path}: No space left on device, ignoring")


# What a watch tells


def test_a_watch_that_shows_a_write_counts_and_only_a_release_makes_it_look(
    cluster: Cluster, a: Host, b: Host
) -> None:
    a.takes()
    cluster.now += SECOND
    a.commit(1)
    assert not b.store.changed(cluster.key)
    heard = cluster.now
    cluster.now += SECOND // 2
    b.takes()
    assert cluster.now == heard + LEASE
    assert not a.store.changed(cluster.key)
    b.leaves = True
    b.store.release()
    assert not a.store.changed(cluster.key)  # it does not know yet that it counts no more
    with pytest.raises(LeaseLost):
        a.store.lease.renew()
    a.store.lease.give_up()
    assert a.store.changed(cluster.key) and a.store.changed(None)


# Moves


def test_a_lease_is_handed_over_to_a_host_and_goes_back_if_that_does_not_take_it(
    cluster: Cluster, a: Host, b: Host
) -> None:
    a.takes()
    a.store.lease.hand_over("a", "")
    assert a.store.lease.said[-1][1] == "asked to hand the App over to this host, which has it"
    with pytest.raises(HandedOver, match="^handed the App over to b$"):
        a.store.lease.hand_over("b", "kernel update")
    record = b.takes()
    assert (record.epoch, record.node_id) == (2, "b")
    assert cluster.holding().why == "a released the App: kernel update"
    with pytest.raises(HandedOver):
        b.store.lease.hand_over("nowhere", "")
    began = cluster.now
    assert b.takes().epoch == 3 and cluster.now == began + LEASE // 4
    assert cluster.holding().why == "b released the App for nowhere, which does not take it"


def test_after_a_release_that_nobody_answered_nothing_is_sent(
    cluster: Cluster, a: Host, b: Host
) -> None:
    a.takes()
    cluster.unheard = 1
    with pytest.raises(OSError, match="no endpoint answers"):
        a.store.lease.hand_over("b", "")
    b.takes()
    with pytest.raises(LeaseLost):
        a.store.lease.hold()


def test_a_wish_is_told_to_the_holder_and_only_to_that_one(
    cluster: Cluster, a: Host, b: Host
) -> None:
    assert a.store.lease.asked() is None
    b.store.ask_holder("b", "")
    assert not cluster.others  # nobody holds it
    a.takes()
    for why in ("first", "second"):
        b.store.ask_holder("b", why)
        assert a.store.lease.asked() == Move(1, "b", why)
    with pytest.raises(HandedOver):
        a.store.lease.hand_over("b", "second")
    b.takes()
    assert b.store.lease.asked() is None  # that was for epoch 1
    cluster.silent = True
    assert b.store.lease.asked() is None
    a.store.ask_holder("a", "")
    assert a.store.lease.said[-1][1] == "cannot ask a to take the App: no endpoint answers"
