"""What a view that stays open reads again, and what of it is news."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from sendrecv.admin import facts as reading
from sendrecv.admin import follow, status
from sendrecv.admin.facts import COUNTING, STANDING_BY, UNDELIVERED, App, Facts
from sendrecv.admin.follow import CALM, NEWER, PATIENCE, Follower, News, Recent
from sendrecv.admin.takeovers import Takeover
from sendrecv.admin.units import Half, Units, half_of
from sendrecv.errors import CredentialError, UsageError
from tests.unit.admin.journals import EVENT
from tests.unit.admin.test_facts import MAIN as RUNS
from tests.unit.admin.test_facts import ROW, sources

MAIN = half_of("one", "main").replace(state="active")
ONE = App("one", "app", COUNTING, True, False, (MAIN, half_of("one", "failover")), "main")


class Journal:
    """What is read of it, and how often."""

    def __init__(self, *events: Takeover) -> None:
        self.events, self.asked, self.now = list(events), 0, 100.0
        self.newest = 0
        self.error: CredentialError | None = None
        self.recent = Recent(self._read, lambda: self.now)

    def _read(self, newest: int) -> Sequence[Takeover]:
        self.asked += 1
        self.newest = newest
        if self.error:
            raise self.error
        return self.events[-newest:]


def test_the_journal_is_read_until_it_tells_of_the_epoch() -> None:
    journal = Journal(EVENT)
    for _ in range(3):
        assert journal.recent([ONE.replace(epoch=EVENT.epoch)]) == {"one": EVENT}
    assert journal.asked == 1
    third = [ONE.replace(epoch=3)]
    for _ in range(3):
        assert journal.recent(third) == {"one": EVENT}
    assert journal.asked == 4
    journal.events.append(replace(EVENT, epoch=3, from_node="failover", to_node="main"))
    for _ in range(3):
        assert journal.recent(third)["one"].epoch == 3
    assert journal.asked == 5


def test_a_start_is_no_takeover_and_nothing_more_to_wait_for() -> None:
    journal = Journal(EVENT, replace(EVENT, epoch=3, from_node="failover"))
    for _ in range(3):
        assert journal.recent([ONE.replace(epoch=3)]) == {"one": EVENT}
    assert journal.asked == 1


@pytest.mark.parametrize(
    "app",
    [
        ONE.replace(epoch=None),
        ONE.replace(epoch=7, half=""),
        ONE.replace(epoch=7, state=STANDING_BY),
    ],
)
def test_nothing_is_waited_for_of_who_does_not_count_here(app: App) -> None:
    journal = Journal(EVENT)
    for _ in range(3):
        journal.recent([app])
    assert journal.asked == 1


def test_only_the_newest_are_read_again_and_none_is_forgotten() -> None:
    """Nor told twice."""
    journal = Journal(*(replace(EVENT, epoch=n, when=float(n)) for n in range(2 * NEWER)))
    journal.recent([ONE.replace(epoch=2 * NEWER - 1)])
    assert (journal.newest, len(journal.recent.found)) == (reading.NEWEST, 2 * NEWER)
    journal.events.append(replace(EVENT, epoch=2 * NEWER, when=2.0 * NEWER))
    assert journal.recent([ONE.replace(epoch=2 * NEWER)])["one"].epoch == 2 * NEWER
    assert journal.newest == NEWER
    assert [event.epoch for event in journal.recent.found] == list(range(2 * NEWER + 1))


def test_what_never_comes_is_not_waited_for_for_ever() -> None:
    journal = Journal()
    for journal.now in (100.0, 101.0, 101.0 + PATIENCE, 102.0 + PATIENCE):
        assert journal.recent([ONE.replace(epoch=1)]) == {}
    assert journal.asked == 2


def test_who_may_not_read_asks_seldom() -> None:
    journal = Journal(EVENT)
    journal.error = CredentialError("not yours")
    for _ in range(3):
        with pytest.raises(CredentialError):
            journal.recent([ONE])
    assert journal.asked == 1
    journal.now, journal.error = 101.0 + PATIENCE, None
    assert journal.recent([ONE]) == {"one": EVENT}


def facts(*apps: App, error: str = "") -> Facts:
    said = sources()
    return Facts(
        when=1.0,
        host="alpha",
        receiver=said.receiver.replace(error=error),
        units=said.units,
        apps=apps,
        sees_records=True,
        has_token=True,
    )


def test_numbers_are_news_once_a_second_and_the_rest_at_once() -> None:
    now = [50.0]
    news = News(lambda: now[0])

    def told(one: Facts, after: float = 0.0) -> bool:
        now[0] += after
        return news.is_news(one)

    assert told(facts(ONE))
    ticked = ONE.replace(count=8, beat=1.0, late=0.2, backlog=1)
    assert not told(facts(ticked), CALM / 2)
    assert told(facts(ticked), CALM / 2)
    for change in (
        facts(ONE.replace(state=UNDELIVERED)),
        facts(ONE.replace(half="failover")),
        facts(ONE.replace(takeover=EVENT)),
        facts(ONE.replace(halves=(MAIN.replace(masked=True), ONE.halves[1]))),
        facts(ONE, error="it does not answer"),
        facts(ONE, ONE.replace(instance="other")),
        facts(),
    ):
        assert told(change) and not told(change)


def test_each_line_is_a_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Gone(Exception):
        """The reader has."""

    def some_looks(_url: str, _ca: str) -> Iterator[Facts]:
        yield facts(ONE)
        yield facts(ONE.replace(count=2))
        yield facts(ONE.replace(state=UNDELIVERED))
        raise Gone

    monkeypatch.setattr(follow, "looks", some_looks)
    with pytest.raises(Gone):
        status.main(["--json", "--follow", "one"])
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["apps"][0]["state"] for one in said] == [COUNTING, UNDELIVERED]
    assert said[1]["exitStatus"] == 150 and said[1]["problems"][0]["code"] == "not-delivered"


def test_it_is_for_programs() -> None:
    with pytest.raises(UsageError, match="add --json"):
        status.main(["--follow"])


def test_looks_are_paused_as_long_as_they_are_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    used, slept = [0.0], list[float]()
    cost = iter([0.001, 0.2])

    def gather(_url: str, _ca: str, _last: object, _reuse: object) -> Facts:
        used[0] += next(cost)
        return facts()

    monkeypatch.setattr(reading, "gather", gather)
    monkeypatch.setattr(follow.time, "process_time", lambda: used[0])
    monkeypatch.setattr(follow.time, "sleep", slept.append)
    looks = follow.looks("unix:///nowhere")
    assert next(looks) == next(looks) == facts()
    with pytest.raises(StopIteration):
        next(cost)
    assert slept == [follow.PAUSE]
    with pytest.raises(RuntimeError):
        next(looks)
    assert slept[1] == pytest.approx(0.2 / follow.SHARE - 0.2)


@pytest.mark.parametrize("change", [{"run": "9" * 32}, {"since": None}])
def test_a_half_is_asked_again_when_its_run_is_not_connected(
    change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Half] = []
    given = sources(RUNS, row=ROW)
    rows = dict(given.receiver.rows)

    def units(_masked: object, reuse: object) -> Units:
        assert callable(reuse)
        bare = half_of("x", "main").replace(state="active")
        known = reuse(bare)
        if known is None:
            asked.append(bare)
            known = RUNS
        return Units({("x", "main"): known}, meant=frozenset({"x"}), others=given.units.others)

    monkeypatch.setattr(reading.units, "read", units)
    monkeypatch.setattr(
        reading.receiver, "read", lambda *_: given.receiver.replace(rows=dict(rows))
    )
    monkeypatch.setattr(reading.takeovers, "events", lambda **_: [])
    monkeypatch.setattr(reading, "GRACE", 1e12)
    follower = Follower()
    for _ in range(2 * follow.SELDOM):
        assert follower.read().apps[0].half == "main"
    assert 1 <= len(asked) <= 4, "once, and then seldom"
    asked.clear()
    rows["x"] = rows["x"].replace(**change)
    follower.read()
    assert asked
