"""Where the metrics come from; and what is said where they cannot be made."""

import sys

import pytest

from sendrecv.admin import metrics
from sendrecv.admin.metrics import reading
from sendrecv.errors import MissingPackage


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(metrics, "exposition", raising=False)
    monkeypatch.delitem(sys.modules, "sendrecv.admin.metrics.exposition", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingPackage, match="apt install python3-prometheus-client"):
        reading.text()
