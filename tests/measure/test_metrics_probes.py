"""Where a server's metrics are looked for, and what reads them."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.samples import GPU, HOST, METRICS
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.measure import metrics_probes as room
from pytest_llmserve.measure.metrics_probes import find_metrics, metrics_probes
from pytest_llmserve.observe.metrics import Look

ENDPOINT = target_from_url("http://127.0.0.1:8000/v1")
OWN = "http://127.0.0.1:8000/metrics"


def test_the_endpoint_s_own_page_is_taken_where_it_tells_something(monkeypatch):
    """Asked once; with URLs given it is not asked at all."""
    asked = []
    monkeypatch.setattr(room, "look_at", lambda address: asked.append(address.url) or Look(True))
    assert find_metrics((), ENDPOINT) == ((OWN,), None)
    assert find_metrics(("http://b/x?token=1",), ENDPOINT) == (("http://b/x?token=1",), None)
    assert asked == [OWN]
    monkeypatch.setattr(room, "look_at", lambda address: Look(False, "it answered 404"))
    why = "the server's metrics are not available, because it answered 404; give --llm-metrics-url=URL"
    assert find_metrics((), ENDPOINT) == ((), why)
    with pytest.raises(SetupError, match="--llm-metrics-url 'b'"):
        find_metrics(("b",), ENDPOINT)


def test_probes_read_the_pages_or_say_why_not(monkeypatch):
    """One thread for all pages; sources whose figures may be on a page have a reason of their own."""
    probes = metrics_probes((OWN,), None, ENDPOINT, ())
    assert [probe.source for probe in probes] == [METRICS, GPU, HOST]
    assert [probe.missing for probe in probes] == [None, "", ""]
    for probe in probes:
        probe.close()
    (silent,) = metrics_probes((), "why", ENDPOINT, ())
    assert (silent.source, silent.missing, silent.read(True)) == (METRICS, "why", {})
    silent.close()
    assert metrics_probes((), None, None, ()) == []


def test_without_the_library_it_is_said_how_to_install_it(monkeypatch):
    """Where there are metrics to read."""
    monkeypatch.setattr(room, "is_installed", lambda: False)
    (silent,) = metrics_probes((OWN,), None, ENDPOINT, ())
    assert silent.missing == (
        "the server's metrics are not available, because prometheus-client is not installed:"
        " pip install 'pytest-llmserve[prometheus]'"
    )
