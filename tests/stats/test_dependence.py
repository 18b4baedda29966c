"""Variance inflation: near 1 for strangers, the known figure for a known process."""

from __future__ import annotations

import math
import random
from statistics import mean

import pytest

from pytest_llmserve.stats.dependence import (
    batches_of,
    effective_n,
    inflation_of,
    reach_of,
    variance_inflation,
)


def first_order(n: int, rho: float, source: random.Random) -> list[float]:
    """An autoregressive series: its variance inflation is (1 + rho) / (1 - rho)."""
    value, values = source.gauss(0, 1), []
    for _ in range(n):
        values.append(value)
        value = rho * value + (1 - rho**2) ** 0.5 * source.gauss(0, 1)
    return values


@pytest.mark.parametrize(("rho", "inflation"), [(0.5, 3.0), (0.8, 9.0), (0.95, 39.0)])
def test_inflation_of_an_autoregressive_series_is_the_textbook_one_or_somewhat_more(rho, inflation):
    """More by up to a third: the correlation of the batches is never taken to be negative."""
    source = random.Random(1)
    found = mean(variance_inflation(first_order(4000, rho, source)) for _ in range(40))
    assert inflation <= found <= 1.35 * inflation


def test_a_memory_longer_than_a_batch_is_seen_too():
    """400 values of a series of 0.95 make batches of 20, half as long as its memory of 39."""
    source = random.Random(1)
    found = mean(variance_inflation(first_order(400, 0.95, source)) for _ in range(40))
    assert found > 25


def test_independent_values_are_hardly_discounted():
    source = random.Random(2)
    found = mean(variance_inflation([source.random() for _ in range(400)]) for _ in range(100))
    assert 1.0 <= found < 1.5


@pytest.mark.parametrize("series", [[], [1.0], [0.0, 1.0] * 4, [3.0] * 1000, [0.1] * 30])
def test_short_and_constant_series_are_taken_as_they_are(series):
    assert variance_inflation(series) == 1.0


def test_batches_by_hand():
    """20 batches of two: ten (0, 0), then ten (1, 1).

    The values: variance 40 * 0.25 / 39 = 0.25641. The batch means are ten 0 and ten 1, of
    variance 20 * 0.25 / 19 = 0.26316, so that of a mean is 2 * 0.26316 / 0.25641 = 2.05263 times what it
    would be. Each is like the next but for one pair: correlation (18 - 1) * 0.25 / 5 = 0.85, and
    with Kendall's correction 0.85 + (1 + 2.55) / 20 = 1.0275, which counts as 0.95.
    """
    found = batches_of([0.0] * 20 + [1.0] * 20)
    assert found.spread == pytest.approx(2.05263, abs=1e-5)
    assert found.alike == 0.95
    assert found.inflation == pytest.approx(2.05263 * 1.95 / 0.05, abs=1e-3)
    assert found.cautious == pytest.approx(1.3 * 2.05263 * (1.95 / 0.05) ** 1.75, rel=1e-5)


def test_batches_that_swing_to_and_fro_are_not_discounted_further():
    """20 batches of two, (0, 0) and (1, 1) in turn: correlation -0.95, which counts as 0."""
    found = batches_of([0.0, 0.0, 1.0, 1.0] * 10)
    assert (found.alike, found.inflation) == (0.0, pytest.approx(2.05263, abs=1e-5))


def test_below_40_values_neighbours_are_compared():
    """Six 0, six 1: correlation (11 - 2) * 0.25 / 3 = 0.75, corrected 0.75 + 3.25 / 12: over 0.95."""
    assert variance_inflation([0.0] * 6 + [1.0] * 6) == pytest.approx(39)
    assert variance_inflation([0.0, 1.0] * 6) == 1.0


def test_a_series_that_swings_back_never_counts_for_more_than_it_is():
    assert variance_inflation([0.0, 1.0] * 500) == 1.0


def test_one_long_burst_counts_nearly_once():
    """50 slow requests in a row among 1000 are one observation more than fifty."""
    burst = [400 <= i < 450 for i in range(1000)]
    assert variance_inflation(burst) == pytest.approx(50, rel=0.06)
    assert effective_n(burst) == pytest.approx(20, rel=0.06)


def test_scattered_values_are_chance():
    """About 1 in 10 of independent series is discounted before something is shown to be kept."""
    source = random.Random(3)
    found = []
    for _ in range(200):
        values = [source.random() for _ in range(300)]
        found.append(inflation_of([v > 0.99 for v in values], values))
    assert found.count((1.0, 1.0)) >= 165


def test_a_queue_shows_in_the_upper_tenth():
    values = first_order(2000, 0.9, random.Random(4))
    assert inflation_of([False] * 2000, values).bold > 3


def test_a_memory_shows_in_the_ranks_where_no_value_is_over_the_limit():
    """A first-order series of 0.9: inflation 19 of its mean; no limit is passed, so the marks show none."""
    values = first_order(2000, 0.9, random.Random(4))
    assert inflation_of([False] * 2000, values).cautious > 15
    assert inflation_of([False] * 2000) == (1.0, 1.0)


def test_arrays_and_lists_say_the_same():
    import numpy as np

    values = first_order(500, 0.7, random.Random(5))
    marks = [value > 1 for value in values]
    listed = inflation_of(marks, values, 0.9)
    assert inflation_of(np.array(marks), np.array(values), 0.9) == pytest.approx(listed)
    assert 1 < listed.bold < listed.cautious


@pytest.mark.parametrize("n", [0, 9])
def test_very_short_series_tell_nothing(n):
    assert inflation_of([True] * n, [float(i) for i in range(n)]) == (1.0, 1.0)


def test_equal_values_are_not_taken_for_neighbours_that_are_alike():
    assert inflation_of([False] * 300, [7.0] * 300) == (1.0, 1.0)
    assert inflation_of([False] * 300, [float(i * 7 % 3) for i in range(300)]).cautious < 1.3


def test_a_limit_far_out_of_reach_needs_no_discount():
    """A slow drift from 10 to 19.99 ms says nothing against a limit of 20 s.

    Its batches of 50 have means from 10.245 to 19.745, 9.5 apart: 19.99 + 10 * 9.5 = 114.99 would do.
    """
    drift = [10 + i / 100 for i in range(1000)]
    assert reach_of(drift).high == pytest.approx(114.99)
    assert inflation_of([False] * 1000, drift, limit=114.9).cautious > 100
    assert inflation_of([False] * 1000, drift, limit=115) == (1.0, 1.0)


def test_values_far_over_their_limit_need_no_discount():
    """0 to 99: the middle 90 % are 5 to 94, and 94 - 5 * 89 = -351 is what they stay over."""
    drift = [1000.0 + i for i in range(100)]
    assert reach_of(drift).low == 649
    assert inflation_of([True] * 100, drift, limit=650).bold > 10
    assert inflation_of([True] * 100, drift, limit=649) == (1.0, 1.0)


def test_one_that_is_late_does_not_bring_a_limit_into_reach():
    waves = [400.0] * 2 + [157.0, 158.0] * 19
    assert inflation_of([True] * 40, waves, limit=100) == (1.0, 1.0)


def test_failures_and_equal_values_reach_where_they_are():
    assert reach_of([5.0] * 10) == (5, 5)
    assert reach_of([5.0, math.inf]) == (-math.inf, math.inf)
    assert reach_of([1.0, 3.0]) == (-7, 23)
