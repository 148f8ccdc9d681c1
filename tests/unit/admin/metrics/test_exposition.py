"""The text for Prometheus: what is in it, and what is not."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from sendrecv.admin.facts import STATES, App, Facts, apps_of
from sendrecv.admin.metrics import exposition, tally
from sendrecv.admin.metrics.measured import MetricsInput, measured
from sendrecv.admin.metrics.tally import Tally
from sendrecv.admin.paused import Pause
from sendrecv.admin.receiver import Receiver, parse
from sendrecv.admin.units import Units
from sendrecv.core.wire import Refusal
from tests.unit.admin.journals import EVENT
from tests.unit.admin.test_facts import FAILED, MAIN, NOW, ROW, sources
from tests.unit.only import only

OWN = {
    "since": NOW - 5,
    "connections": 1,
    "counts": 42,
    "rate": 1.0,
    "refusals": {"token": 3},
    "lastRefusal": None,
    "commits": {"count": 5, "seconds": 0.5, "within": {"0.01": 2, "0.1": 4}},
}
Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def facts(*apps: App, receiver: Receiver | None = None) -> Facts:
    known = receiver or parse("unix:///x", {"apps": {"x": ROW}, "receiver": OWN})
    return Facts(NOW, "alpha", known, Units({}), apps, False, True)


def app() -> App:
    return only(apps_of(sources(MAIN, FAILED, row=ROW)))


def text(found: Facts, counted: Tally | None = None) -> str:
    return exposition.text(
        measured(MetricsInput(found, counted, {"/var/lib/sendrecv": (4, 9)}, 0.25))
    )


def samples(said: str) -> Samples:
    """By name and labels; as Prometheus' own parser for Python reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(said)
        for sample in family.samples
    }


def value(said: str, name: str, **labels: str) -> float | None:
    return samples(said).get((name, tuple(sorted(labels.items()))))


def test_an_app_that_counts() -> None:
    said = text(facts(app()))
    assert value(said, "sendrecv_app_counts_total", app="x") == 42  # 0 to 41
    assert value(said, "sendrecv_app_late_seconds", app="x") == 0
    assert value(said, "sendrecv_app_beat_seconds", app="x") == 1
    assert value(said, "sendrecv_app_epoch", app="x") == 7
    who = {"app": "x", "app_id": "x", "half": "main", "node": "main", "host": ""}
    assert value(said, "sendrecv_app_counting_info", **who) == 1
    assert value(said, "sendrecv_half_active", app="x", half="main") == 1
    assert value(said, "sendrecv_half_active", app="x", half="failover") == 0
    states = {state: value(said, "sendrecv_app_state", app="x", state=state) for state in STATES}
    assert states == {state: float(state == "counting") for state in STATES}
    assert value(said, "sendrecv_problems", code="start-limit", severity="warning") == 1


def test_the_receiver() -> None:
    said = text(facts())
    assert value(said, "sendrecv_receiver_counts_total") == 42
    refused = {one: value(said, "sendrecv_receiver_refusals_total", reason=one) for one in Refusal}
    assert refused == {one: 3.0 if one == "token" else 0.0 for one in Refusal}
    bucket = "sendrecv_receiver_commit_seconds_bucket"
    assert [value(said, bucket, le=le) for le in ("0.01", "0.1", "+Inf")] == [2, 4, 5]
    assert value(said, "sendrecv_receiver_commit_seconds_sum") == 0.5
    assert value(said, "sendrecv_receiver_commit_seconds_count") == 5


def test_what_is_not_known_is_missing() -> None:
    silent = Receiver("unix:///x", error="you may not ask", exit_status=77)
    (one,) = apps_of(sources(MAIN, receiver=silent))
    said = text(facts(one, receiver=silent))
    assert value(said, "sendrecv_source_up", source="receiver") == 0
    assert value(said, "sendrecv_source_up", source="journal") == 0
    assert value(said, "sendrecv_source_up", source="systemd") == 1
    for name in ("app_counts_total", "app_late_seconds", "app_connected", "receiver_", "takeover"):
        assert f"\nsendrecv_{name}" not in said


def test_a_counter_does_not_jump_to_what_another_source_says() -> None:
    """A record may be ahead of the ledger; without a receiver there is no count at all."""
    one = app().replace(count=99)
    assert value(text(facts(one)), "sendrecv_app_counts_total", app="x") == 42
    silent = Receiver("unix:///x", error="no answer", exit_status=69)
    assert "app_counts_total" not in text(facts(one, receiver=silent))


def test_takeovers_and_silences() -> None:
    events = [EVENT, EVENT.__class__(**{**EVENT.__dict__, "code": "made up", "silence": 7.0})]
    counted = tally.counted(Tally(), events)
    one = app().replace(instance="one")
    said = text(facts(one), counted)
    assert value(said, "sendrecv_takeovers_total", app="one", reason="signal") == 1
    assert value(said, "sendrecv_takeovers_total", app="one", reason="other") == 1
    assert value(said, "sendrecv_takeovers_total", app="one", reason="watchdog") == 0
    assert value(said, "sendrecv_takeovers_total", app="one", reason="moved") is None
    assert value(said, "sendrecv_starts_total", app="one", reason="again") == 0
    bucket = "sendrecv_takeover_silence_seconds_bucket"
    assert [value(said, bucket, app="one", le=le) for le in ("0.5", "5", "10")] == [1, 1, 2]
    assert value(said, "sendrecv_takeover_silence_seconds_sum", app="one") == 7.338397


def test_of_an_app_that_is_forgotten_nothing_is_said() -> None:
    said = text(facts(app()), tally.counted(Tally(), [EVENT]))
    assert 'app="one"' not in said and 'app="x"' in said


def test_paused() -> None:
    assert value(text(facts(app())), "sendrecv_app_paused", app="x") == 0
    said = text(facts(app().replace(paused=Pause(NOW - 60))))
    assert value(said, "sendrecv_app_paused", app="x") == 1
    assert value(said, "sendrecv_app_paused_timestamp_seconds", app="x") == NOW - 60
