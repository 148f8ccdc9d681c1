"""The metrics by name: what Prometheus wants of names, their manual page, and their reasons."""

import json
import re
from pathlib import Path

import pytest

from sendrecv.admin.metrics import table
from sendrecv.admin.metrics.table import COUNTER, HISTOGRAM, METRICS, Metric
from sendrecv.core import takeover
from tests.lab.dashboard import expressions
from tests.lab.paths import TOP

PAGE = (TOP / "debian/man/sendrecv-metrics.1").read_text(encoding="utf-8")

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
