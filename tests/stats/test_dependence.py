"""Variance inflation: near 1 for strangers, the known figure for a known process."""

from __future__ import annotations

import random
from statistics import mean

import pytest

from pytest_llmserve.stats.dependence import beyond_chance, effective_n, upper_inflation, variance_inflation


def first_order(n: int, rho: float, source: random.Random) -> list[float]:
    """An autoregressive series: its variance inflation is (1 + rho) / (1 - rho)."""
    value, values = source.gauss(0, 1), []
    for _ in range(n):
        values.append(value)
        value = rho * value + (1 - rho**2) ** 0.5 * source.gauss(0, 1)
    return values


@pytest.mark.parametrize(("rho", "inflation"), [(0.5, 3.0), (0.8, 9.0)])
def test_inflation_of_an_autoregressive_series_is_the_textbook_one(rho, inflation):
    source = random.Random(1)
    found = mean(variance_inflation(first_order(4000, rho, source)) for _ in range(40))
    assert found == pytest.approx(inflation, rel=0.2)


def test_independent_values_are_hardly_discounted():
    source = random.Random(2)
    found = mean(variance_inflation([source.random() for _ in range(400)]) for _ in range(100))
    assert 1.0 <= found < 1.25


@pytest.mark.parametrize("series", [[], [1.0], [0.0, 1.0] * 19, [3.0] * 1000])
def test_short_and_constant_series_are_taken_as_they_are(series):
    assert variance_inflation(series) == 1.0


def test_a_series_that_swings_back_never_counts_for_more_than_it_is():
    assert variance_inflation([0.0, 1.0] * 500) == 1.0


def test_one_long_burst_counts_nearly_once():
    """50 slow requests in a row among 1000 are one observation more than fifty."""
    burst = [400 <= i < 450 for i in range(1000)]
    assert variance_inflation(burst) == pytest.approx(50, rel=0.06)
    assert effective_n(burst) == pytest.approx(20, rel=0.06)


@pytest.mark.parametrize(("inflation", "kept"), [(1.0, 1.0), (1.59, 1.0), (1.6, 1.6), (9.0, 9.0)])
def test_inflation_counts_from_where_chance_ends(inflation, kept):
    assert beyond_chance(inflation) == kept


def test_scattered_values_of_the_upper_tenth_are_chance():
    source = random.Random(3)
    found = [upper_inflation([source.random() for _ in range(300)], 0.9) for _ in range(100)]
    assert found.count(1.0) >= 88


def test_a_queue_shows_in_the_upper_tenth():
    values = first_order(2000, 0.9, random.Random(4))
    assert upper_inflation(values, 0.9) > 3


@pytest.mark.parametrize("n", [0, 39])
def test_the_upper_tenth_of_a_short_series_tells_nothing(n):
    assert upper_inflation([float(i) for i in range(n)], 0.9) == 1.0
