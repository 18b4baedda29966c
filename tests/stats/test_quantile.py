"""Order statistics around a quantile."""

from __future__ import annotations

import math
import random

import pytest

from pytest_llmserve.stats.quantile import quantile_interval


def test_ranks_are_the_textbook_ones():
    """Median of 20 at 95 %: the 6th and the 15th smallest (Conover, table A3)."""
    assert quantile_interval([float(i) for i in range(1, 21)], 0.5, 0.95) == (6.0, 15.0)


@pytest.mark.parametrize(("n", "upper"), [(367, math.inf), (368, 368.0)])
def test_the_upper_end_of_p99_is_infinite_until_n_is_large_enough(n, upper):
    """The largest value bounds p99 from above at 97.5 % from 368 values on: 0.99^368 = 0.0248."""
    assert quantile_interval([float(i) for i in range(1, n + 1)], 0.99, 0.95)[1] == upper


def test_both_ends_are_infinite_for_a_handful():
    assert quantile_interval([1.0, 2.0], 0.5, 0.95) == (-math.inf, math.inf)
    assert quantile_interval([], 0.5, 0.95) == (-math.inf, math.inf)


def test_a_failed_request_makes_the_end_it_reaches_infinite():
    values = [1.0] * 990 + [math.inf] * 10
    low, high = quantile_interval(values, 0.99, 0.95)
    assert (low, high) == (1.0, math.inf)


def test_dependence_widens_the_interval():
    ordered = [float(i) for i in range(1000)]
    low, high = quantile_interval(ordered, 0.5, 0.95)
    wide_low, wide_high = quantile_interval(ordered, 0.5, 0.95, inflation=4.0)
    assert (wide_high - wide_low) / (high - low) == pytest.approx(2.0, rel=0.05)


def test_the_interval_holds_the_true_quantile_as_often_as_stated():
    source = random.Random(7)
    held = 0
    for _ in range(400):
        low, high = quantile_interval(sorted(source.expovariate(1.0) for _ in range(300)), 0.9, 0.95)
        held += low <= math.log(10) <= high
    assert held / 400 >= 0.93
