"""What a series is worth where neighbours are alike."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_llmserve.stats.stationary import Worth, neighbours_alike, resampled_inflation, worth_of


def autoregressive(n: int, r: float, seed: int) -> np.ndarray:
    """Standard normal values, neighbours correlated by r."""
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal()]
    for step in rng.standard_normal(n - 1):
        values.append(r * values[-1] + np.sqrt(1 - r * r) * step)
    return np.array(values)


def drawn_inflation(series: np.ndarray, length: float, draws: int) -> float:
    """The same by drawing: the bootstrap as Politis and Romano describe it."""
    rng = np.random.default_rng(7)
    n = len(series)
    at = rng.integers(n, size=draws)
    total = series[at].copy()
    for _ in range(n - 1):
        anew = rng.random(draws) < 1 / length
        at = np.where(anew, rng.integers(n, size=draws), (at + 1) % n)
        total += series[at]
    return float((total / n).var() / (series.var() / n))


@pytest.mark.parametrize("length", [1.0, 5.0, 20.0])
def test_the_closed_form_is_what_drawing_comes_to(length):
    """20,000 resamples have a variance within a few percent of that of endless many."""
    series = autoregressive(200, 0.6, seed=3)
    drawn = drawn_inflation(series, length, 20_000)
    assert resampled_inflation(series, length) == pytest.approx(drawn, rel=0.05)


@pytest.mark.parametrize(("r", "truth"), [(0.0, 1.0), (0.5, 3.0), (0.9, 19.0)])
def test_the_inflation_of_an_autoregression_is_found(r, truth):
    """(1+r)/(1-r), as the variance of its mean is known."""
    found = np.mean([worth_of(autoregressive(3000, r, seed)).inflation for seed in range(5)])
    assert found == pytest.approx(truth, rel=0.25)


def test_a_short_series_of_strong_dependence_is_not_taken_for_independent():
    """100 values with neighbours correlated by 0.95 are worth 2.6: found are under 12."""
    worths = [100 / worth_of(autoregressive(100, 0.95, seed)).inflation for seed in range(20)]
    assert np.median(worths) < 12


def test_the_correlation_of_a_short_series_is_raised():
    """As found, it makes the inflation of 60 values 8.9 at the middle of these; the truth is 39."""
    assert np.median([worth_of(autoregressive(60, 0.95, seed)).inflation for seed in range(40)]) > 9.8


def test_independent_values_have_nearly_all_degrees_of_freedom_and_slow_ones_few():
    assert worth_of(autoregressive(1000, 0.0, 1)).freedom > 300
    assert worth_of(autoregressive(1000, 0.97, 1)).freedom < 30


def test_any_series_is_worth_one_value():
    """Ten values that rise all the way are one movement; the formula alone says a fortieth of a value."""
    assert worth_of(np.arange(10.0)).inflation == 10.0


def test_a_constant_series_shows_no_dependence():
    assert worth_of(np.full(50, 20.0)) == Worth(1.0, 49.0)
    assert worth_of(np.zeros(50, bool)) == Worth(1.0, 49.0)


def test_a_series_too_short_to_tell_has_one_degree_of_freedom():
    assert worth_of(np.array([1.0, 2.0])) == Worth(1.0, 1.0)


def test_the_worth_of_two_is_never_better_than_their_average():
    lucky, unlucky = Worth(2.0, 90.0), Worth(10.0, 20.0)
    assert lucky.together(unlucky) == Worth(6.0, 20.0)
    assert unlucky.together(lucky) == Worth(10.0, 20.0)


def test_a_correlation_that_is_given_makes_the_blocks():
    marks = autoregressive(500, 0.9, 2) > 1
    assert worth_of(marks, 0.95).freedom < worth_of(marks, 0.5).freedom


def test_neighbours_are_compared_by_rank_so_that_no_outlier_rules():
    """One value of a million would hide the correlation of all others."""
    series = autoregressive(500, 0.9, 2)
    series[250] = 1e6
    assert neighbours_alike(series) > 0.8
    assert neighbours_alike(np.array([1.0, np.inf] * 50)) < -0.9
    assert neighbours_alike(np.full(10, 3.0)) == 0.0
    assert neighbours_alike(np.array([1.0, 2.0])) == 0.0
