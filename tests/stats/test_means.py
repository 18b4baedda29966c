"""Student's t for a mean."""

from __future__ import annotations

import math
import random

import pytest

from pytest_llmserve.stats.means import mean_of


def test_interval_is_the_textbook_one():
    """Five values, t(4, 0.975) = 2.776, standard error sqrt(2.5 / 5)."""
    found = mean_of([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.7764 * math.sqrt(0.5)
    assert found.mean == 3.0
    assert found.interval(0.95) == pytest.approx((3 - half, 3 + half), abs=1e-3)


def test_p_values_meet_the_ends_of_the_interval():
    found = mean_of([3.0, 5.0, 4.0, 8.0, 6.0, 5.5])
    low, high = found.interval(0.90)
    assert found.p_at_most(high) == pytest.approx(0.05)
    assert found.p_at_least(low) == pytest.approx(0.05)


def test_one_value_bounds_nothing():
    found = mean_of([7.0])
    assert found.mean == 7.0
    assert found.interval(0.95) == (-math.inf, math.inf)
    assert (found.p_at_most(8.0), found.p_at_least(6.0)) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("limit", "at_most", "at_least"), [(6.0, 1.0, 0.0), (7.0, 1.0, 1.0), (8.0, 0.0, 1.0)]
)
def test_values_all_alike_are_certain_on_either_side_of_them(limit, at_most, at_least):
    found = mean_of([7.0] * 30)
    assert found.interval(0.95) == (7.0, 7.0)
    assert (found.p_at_most(limit), found.p_at_least(limit)) == (at_most, at_least)


def test_dependence_widens_the_interval():
    source = random.Random(5)
    scattered = [source.gauss(0, 1) for _ in range(400)]
    ordered = sorted(scattered)
    assert mean_of(ordered).error > 3 * mean_of(scattered).error
    assert mean_of(ordered).freedom < mean_of(scattered).freedom


def test_the_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="the mean of no values is not defined"):
        mean_of([])
