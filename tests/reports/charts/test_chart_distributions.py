"""Quantile curves and histograms of literal values."""

from __future__ import annotations

import math

import pytest

from pytest_llmserve.domain.gaps import gather
from pytest_llmserve.domain.metrics import Distribution, distribution
from pytest_llmserve.domain.stamps import token_stamps
from pytest_llmserve.reports.charts.histograms import histogram
from pytest_llmserve.reports.charts.quantiles import quantiles


def test_the_curve_passes_through_the_figures_of_the_table():
    """Nearest rank, from the fastest to the very slowest, finer towards the end, at most 120 points."""
    values = distribution(range(1, 100_001))
    found = dict(zip(quantiles(values)["q"], quantiles(values)["ms"], strict=True))
    assert len(found) <= 120
    assert {q: found[q] for q in (0.5, 0.9, 0.95, 0.99, 0.999)} == {
        0.5: values.p50,
        0.9: values.p90,
        0.95: values.p95,
        0.99: values.p99,
        0.999: values.p999,
    }
    shares = list(found)
    assert shares == sorted(shares)
    assert (shares[0], found[shares[0]]) == (0.0, 1.0)
    assert (1 - shares[-1] == pytest.approx(1 / 200_000), found[shares[-1]]) == (True, 100_000.0)
    assert sum(q > 0.999 for q in shares) > 30


def test_a_quantile_that_failures_reach_has_no_value():
    """One of ten failed: the slowest is infinite."""
    found = quantiles(distribution(range(1, 10), failed=1))
    assert found["ms"][-1] is None
    assert found["ms"][0] == 1.0
    assert [q for q, ms in zip(found["q"], found["ms"], strict=True) if ms is None and q <= 0.9] == []
    assert set(quantiles(Distribution((), failed=3))["ms"]) == {None}


@pytest.mark.parametrize(
    ("values", "points"), [([], []), ([7.0], [7.0, 7.0]), ([1.0, 2.0], [1.0, 1.0, 1.0, 2.0, 2.0])]
)
def test_curves_of_almost_nothing(values, points):
    """No value has no curve; one value is its own."""
    assert quantiles(distribution(values))["ms"] == points


def test_bins_hold_every_value_and_the_failed_apart():
    """Counted in bins that grow evenly, 60 at most."""
    values = distribution([1.0, *[10.0] * 50, *[100.0 + i for i in range(5000)], 90_000.0], failed=4)
    found = histogram(values)
    assert (sum(found["n"]), found["failed"], len(found["edges"])) == (5052, 4, len(found["n"]) + 1)
    assert len(found["n"]) <= 60
    assert found["edges"][-1] == 90_000.0
    steps = [b / a for a, b in zip(found["edges"], found["edges"][1:], strict=False)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)
    at_ten = next(i for i, edge in enumerate(found["edges"]) if edge > 10.0) - 1
    assert found["n"][at_ten] == 50


def test_gaps_of_no_length_are_in_the_first_bin():
    """Zero has no place on a logarithmic scale, and chunks of one read are so far apart."""
    stamps = token_stamps((0, 0, 0, 10_000_000, 20_000_000, 6_000_000_000))
    found = histogram(Distribution(gather([stamps]).ordered()))
    assert found["edges"][0] == 0.001
    assert (found["n"][0], sum(found["n"])) == (2, 5)
    assert found["n"][-1] == 1  # 5.98 s


@pytest.mark.parametrize(
    ("values", "failed", "expected"),
    [
        ([], 0, {"edges": [], "n": [], "failed": 0}),
        ([], 3, {"edges": [], "n": [], "failed": 3}),
        ([20.0], 0, {"edges": [19.0, 21.0], "n": [1], "failed": 0}),
        ([0.0, 0.0], 0, {"edges": [0.00095, 0.00105], "n": [2], "failed": 0}),
    ],
)
def test_histograms_of_almost_nothing(values, failed, expected):
    """Nothing has no bins; what is all alike has one around it."""
    assert histogram(distribution(values, failed)) == expected


def test_a_few_far_under_the_rest_do_not_stretch_the_bins():
    """They are counted in the first one."""
    found = histogram(distribution([0.01, *[50.0 + i / 100 for i in range(5000)]]))
    assert found["edges"][0] == pytest.approx(12.5, rel=0.01)
    assert found["n"][0] == 1
    assert not any(math.isnan(edge) for edge in found["edges"])
