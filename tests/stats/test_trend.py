"""Slopes and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_llmserve.stats.filling import filling_of
from pytest_llmserve.stats.trend import Slope, residuals, serial_correlation, slope_of, worth

N = 60
X = np.arange(N) / N


def alike(rho: float, rng: np.random.Generator) -> np.ndarray:
    steps = rng.normal(0, np.sqrt(1 - rho * rho), N)
    values = np.empty(N)
    values[0] = rng.normal()
    for i in range(1, N):
        values[i] = rho * values[i - 1] + steps[i]
    return values


def test_the_slope_is_that_of_least_squares():
    y = 3 * X + np.random.default_rng(2).normal(0, 1, N)
    assert slope_of(X, y).per_x == pytest.approx(stats.linregress(X, y).slope)


def test_with_independent_noise_its_error_is_nearly_the_textbooks():
    """Wider only by what chance makes neighbours look alike."""
    rng = np.random.default_rng(3)
    ratios = [slope_of(X, y).error / stats.linregress(X, y).stderr for y in rng.normal(0, 1, (100, N))]
    assert 0.98 < float(np.median(ratios)) < 1.15


@pytest.mark.parametrize(("rho", "most"), [(0.0, 0.08), (0.5, 0.08), (0.8, 0.09)])
def test_a_slope_of_nothing_is_seldom_called_one(rho, most):
    """At 5 %; neighbours that are alike are paid for. Fixed seed, 400 series."""
    rng = np.random.default_rng(4)
    called = sum(slope_of(X, alike(rho, rng)).p_at_least(0) <= 0.05 for _ in range(400))
    assert called / 400 <= most


def test_two_sides_and_both_tails_agree():
    slope = Slope(2.0, 0.5, 20)
    low, high = slope.interval(0.9)
    assert slope.p_at_least(low) == pytest.approx(0.05)
    assert slope.p_at_most(high) == pytest.approx(0.05)


@pytest.mark.parametrize(("limit", "below", "above"), [(1.0, 1.0, 0.0), (2.0, 0.0, 1.0), (3.0, 0.0, 1.0)])
def test_without_any_noise_the_slope_is_certain(limit, below, above):
    """A slope of exactly the limit is within it."""
    slope = Slope(2.0, 0.0, 5)
    assert (slope.p_at_most(limit), slope.p_at_least(limit)) == (below, above)


def test_serial_correlation_is_that_of_neighbours_and_never_below_nothing():
    rng = np.random.default_rng(5)
    seen = [serial_correlation(alike(0.6, rng)) for _ in range(200)]
    assert float(np.median(seen)) == pytest.approx(0.6, abs=0.08)
    assert serial_correlation(np.array([1.0, -1] * 30)) == 0
    assert serial_correlation(np.zeros(10)) == 0


@pytest.mark.parametrize("rho", [0.3, 0.5, 0.7])
def test_a_line_that_was_fitted_hides_little_of_the_correlation(rho):
    """Without its correction, 0.06 to 0.1 less is seen; with that of a mean alone, 0.03 to 0.04."""
    rng = np.random.default_rng(7)
    seen = [serial_correlation(residuals(X, alike(rho, rng))) for _ in range(1500)]
    assert float(np.mean(seen)) == pytest.approx(rho, abs=0.026)


def test_readings_that_are_alike_are_worth_fewer():
    rng = np.random.default_rng(6)
    assert worth(np.array([1.0, -1] * 30)) == 60
    assert worth(alike(0.8, rng)) < 20


def test_a_filling_level_and_the_line_beside_it_are_told_apart():
    y = 50 * (1 - np.exp(-X / 0.1)) + 7 * X + np.random.default_rng(8).normal(0, 0.1, N)
    found = filling_of(X, y)
    low, high = found.beside.interval(0.99)
    assert found.tau == pytest.approx(0.1, rel=0.05)
    assert low < 7 < high
    assert high - low < 3


def test_what_fills_downward_is_no_filling():
    assert filling_of(X, -50 * (1 - np.exp(-X / 0.1))) is None
