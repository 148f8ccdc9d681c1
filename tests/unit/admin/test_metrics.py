"""The text for Prometheus: what is in it, what is not, and its manual page."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sendrecv.admin import metrics
from sendrecv.admin.facts import STATES, App, Facts, apps_of
from sendrecv.admin.metrics import command, exposition, reading, table, tally
from sendrecv.admin.metrics.measured import MetricsInput, measured
from sendrecv.admin.metrics.table import COUNTER, HISTOGRAM, METRICS, Metric
from sendrecv.admin.metrics.tally import Tally
from sendrecv.admin.paused import Pause
from sendrecv.admin.receiver import Receiver, parse
from sendrecv.admin.units import Units
from sendrecv.core import takeover
from sendrecv.core.wire import Refusal
from sendrecv.errors import MissingPackage, UsageError
from tests.lab.dashboard import expressions
from tests.lab.paths import TOP
from tests.unit.admin.journals import EVENT
from tests.unit.admin.test_facts import FAILED, MAIN, NOW, ROW, sources
from tests.unit.only import only

PAGE = (TOP / "debian/man/sendrecv-metrics.1").read_text(encoding="utf-8")
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


# What Prometheus wants of names; promtool has a look, too, in tests/admin.


def faults(metric: Metric) -> list[str]:
    found = []
    if not re.fullmatch("sendrecv(_[a-z]+)+", metric.name):
        found.append("characters")
    if metric.name.endswith("_total") != (metric.kind == COUNTER):
        found.append("_total")
    if metric.name.endswith(("_sum", "_count", "_bucket")):
        found.append("suffix of a histogram")
    if {"instance", "job", "le", "quantile"} & {*metric.labels}:
        found.append("a label that is Prometheus' own")
    if metric.kind == HISTOGRAM and not metric.name.endswith("_seconds"):
        found.append("unit")
    return found


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric.name))
def test_a_name(metric: Metric) -> None:
    assert not faults(metric) and metric.text.endswith(".")


def test_a_wrong_name_is_found() -> None:
    for name, kind, labels in (
        ("sendrecv_counts", COUNTER, ()),
        ("sendrecv_x_total", "gauge", ()),
        ("sendrecv_appID", "gauge", ()),
        ("sendrecv_app_count", "gauge", ()),
        ("sendrecv_app", "gauge", ("instance",)),
        ("sendrecv_commit_ms", HISTOGRAM, ()),
    ):
        assert faults(Metric(name, kind, labels, ""))


def test_no_name_is_there_twice() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


# The manual page.


def documented(page: str) -> list[Metric]:
    """The metrics of the page, in its order."""
    part = page.split(".SH METRICS\n")[1].split("\n.SH ")[0].replace("\\(aq", "'")
    rows = re.findall(r"\.TP\n\\fB(\w+)\\fR(?:\{([^}]*)\})? \((\w+)\)\n([^.].*)", part)
    return [
        Metric(name, kind, tuple(labels.split(", ")) if labels else (), said)
        for name, labels, kind, said in rows
    ]


def test_the_manual_page_has_each_with_type_labels_and_meaning() -> None:
    assert documented(PAGE) == [*METRICS]
    assert documented(PAGE.replace("(counter)", "(gauge)")) != [*METRICS]
    assert documented(PAGE.replace("Whether", "If")) != [*METRICS]


def test_each_alert_is_in_the_manual_page() -> None:
    rules = (TOP / "monitoring/sendrecv.rules.yml").read_text(encoding="utf-8")
    named = re.findall(r"^ +- alert: (\w+)$", rules, re.M)
    part = PAGE.split(".SH ALERTS\n")[1].split("\n.SH ")[0]
    assert sorted(named) == sorted(re.findall(r"\bSendrecv\w+", part)) and len(named) > 10


@pytest.mark.parametrize("file", ["sendrecv.rules.yml", "sendrecv.dashboard.json"])
def test_rules_and_dashboard_name_no_metric_that_there_is_not(file: str) -> None:
    """Prometheus itself would not complain: it may come yet."""
    read = (TOP / "monitoring" / file).read_text(encoding="utf-8")
    if file.endswith(".json"):
        read = "\n".join(expressions(json.loads(read)))
    known = {metric.name: metric for metric in METRICS}
    named = {
        re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\bsendrecv_[a-z_]+", read)
    }
    assert named and named - {*known} == set()


# Reasons.


def test_the_reasons_are_those_of_takeovers() -> None:
    """In the table at the head of the module; and systemd's results."""
    rows = re.findall(r"^    ([a-z-]+)  ", str(takeover.__doc__), re.M)
    results = re.findall(r'^    "([a-z-]+)": ', Path(takeover.__file__).read_text("utf-8"), re.M)
    assert len(rows) > 10 and len(results) > 8
    assert sorted({*rows, *results} - {"code"}) == sorted(table.REASONS)


# The command.


@pytest.fixture(name="said")
def fixture_said(monkeypatch: pytest.MonkeyPatch) -> str:
    said = text(facts(app()))
    monkeypatch.setattr(reading, "text", lambda *_: said)
    return said


def test_printed(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    assert capsys.readouterr().out == said


def test_a_file_is_replaced_as_a_whole(said: str, tmp_path: Path) -> None:
    """Who has opened the one before reads that to its end; and nothing else is left behind."""
    file = tmp_path / "sendrecv.prom"
    file.write_text("before", encoding="ascii")
    with file.open(encoding="ascii") as before:
        assert command.main(["--output", str(file)]) == 0
        assert before.read() == "before"
    assert file.read_text(encoding="utf-8") == said
    assert file.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["sendrecv.prom"]


@pytest.mark.usefixtures("said")
def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        command.main(["--output", str(tmp_path / "none/x.prom")])
    (tmp_path / "x.prom").mkdir()
    with pytest.raises(UsageError, match="Is a directory"):
        command.main(["--output", str(tmp_path / "x.prom")])
    assert [one.name for one in tmp_path.iterdir()] == ["x.prom"]


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(metrics, "exposition")
    monkeypatch.delitem(sys.modules, "sendrecv.admin.metrics.exposition")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingPackage, match="apt install python3-prometheus-client"):
        reading.text()
