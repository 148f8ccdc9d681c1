"""Samples as Prometheus' text, version 0.0.4, by Debian's python3-prometheus-client."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric as Family,
)
from prometheus_client.registry import Collector, CollectorRegistry

from sendrecv.admin.metrics.measured import Histogram, Measured, Sample
from sendrecv.admin.metrics.table import COUNTER, HISTOGRAM, METRICS, Metric


def text(found: Iterable[Measured]) -> str:
    """All of them, each with its HELP and its TYPE. Metrics without a sample are left out."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(families(found)))
    return generate_latest(registry).decode()


class _Found(Collector):
    def __init__(self, found: Sequence[Family]) -> None:
        self._found = found

    def collect(self) -> Sequence[Family]:
        """See Collector."""
        return self._found


def families(found: Iterable[Measured]) -> Sequence[Family]:
    """In the order of the table."""
    by_metric: dict[str, list[Measured]] = {}
    for one in found:
        by_metric.setdefault(one.metric.name, []).append(one)
    known = [metric for metric in METRICS if metric.name in by_metric]
    return [_family(metric, by_metric[metric.name]) for metric in known]


def _family(metric: Metric, found: Iterable[Measured]) -> Family:
    if metric.kind == HISTOGRAM:
        family = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
        for one in found:
            assert isinstance(one, Histogram)
            buckets = [(f"{bound:g}", number) for bound, number in one.up_to]
            family.add_metric(one.labels, [*buckets, ("+Inf", one.total)], one.sum)
        return family
    kind = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
    plain = kind(metric.name, metric.text, labels=metric.labels)
    for one in found:
        assert isinstance(one, Sample)
        plain.add_metric(one.labels, one.value)
    return plain
