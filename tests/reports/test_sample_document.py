"""The document that reports are tried on is one that a session could have written."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import sample_document

from pytest_llmserve.domain.metrics import nearest_rank
from pytest_llmserve.reports.charts import run_charts
from pytest_llmserve.reports.private import without_private

REPORT = Path(__file__).parents[2] / "docs" / "report.md"


@pytest.fixture(scope="module")
def document():
    return sample_document.document()


@pytest.fixture(scope="module")
def long_run():
    return sample_document.big_run(30_000, hours=0.5, tokens=20)


def keys(value):
    if isinstance(value, dict):
        return set(value) | {key for each in value.values() for key in keys(each)}
    return {key for each in value for key in keys(each)} if isinstance(value, list) else set()


def test_it_is_plain_data_of_two_tests(document):
    """One passes, one fails; the same each time."""
    written = json.dumps(document, allow_nan=False)
    assert [test["outcome"] for test in document["tests"]] == ["passed", "failed"]
    assert [len(test["runs"]) for test in document["tests"]] == [2, 1]
    kinds = {mark["kind"] for mark in document["tests"][1]["_marks"]}
    assert kinds == {"restart", "gone", "log", "stall"}
    assert json.dumps(sample_document.document()) == written


def test_every_key_of_it_is_described(document):
    """But for the private ones, and the figures that docs/watching.md names."""
    described = set(re.findall(r"[\w/]+", REPORT.read_text()))
    unknown = {key for key in keys(without_private(document)) if key not in described}
    figures = {key for key in unknown if key.endswith(("_median", "_peak"))}
    values = set(document["environment"]["definitions"]) | set(document["tests"][1]["log"]["by_pattern"])
    values |= {key for run in document["tests"][1]["runs"] for key in run["counts"]["by_outcome"]}
    values |= {key for test in document["tests"] for each in test["diagnosis"] for key in each["figures"]}
    assert unknown - figures - values == set()


def test_plots_of_a_long_run_are_as_small_as_those_of_a_short_one(long_run):
    """A few thousand figures, however many requests there were."""
    charts = run_charts(long_run, sample_document.ZERO_NS)
    short = run_charts(sample_document.big_run(3_000, hours=0.5), sample_document.ZERO_NS)
    sizes = [len(json.dumps(each)) for each in (charts, short)]
    assert sizes[0] < 150_000
    assert sizes[0] < 1.2 * sizes[1]
    assert len(charts["over_time"]["at_s"]) <= 300


def test_plots_of_a_long_run_agree_with_its_figures(long_run):
    """All requests, all tokens, and each quantile, whether counted by numpy or one by one."""
    charts = run_charts(long_run, sample_document.ZERO_NS)
    over_time, records = charts["over_time"], long_run.requests
    assert sum(over_time["sent"]) == len(records)
    assert (sum(over_time["ok"]), sum(over_time["failed"])) == (len(long_run.ok), len(long_run.failed))
    width_s = (charts["end_s"] - charts["start_s"]) / len(over_time["at_s"])
    tokens = math.fsum(over_time["output_tokens_per_s"]) * width_s
    assert tokens == pytest.approx(sum(r.output_tokens for r in long_run.ok), rel=1e-4)
    spans = math.fsum(r.end_ns - r.sent_ns for r in records) / 1e9
    assert math.fsum(over_time["in_flight"]) * width_s == pytest.approx(spans, rel=1e-3)
    place = 17
    edges = [charts["start_s"] + (place + step) * width_s for step in (0, 1)]
    begun = [(r.sent_ns - sample_document.ZERO_NS) / 1e9 for r in long_run.ok]
    there = sorted(r.ttft_ms for r, at in zip(long_run.ok, begun, strict=True) if edges[0] <= at < edges[1])
    assert over_time["ttft_ms"]["p95"][place] == round(there[nearest_rank(0.95, len(there)) - 1], 3)
    for name in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms"):
        values, drawn = getattr(long_run, name), charts["histograms"][name]
        assert sum(drawn["n"]) + drawn["failed"] == values.n
        low, high = drawn["edges"][20:22]
        inside = sum(low <= value < high for value in values.values_ms)
        assert drawn["n"][20] == inside
