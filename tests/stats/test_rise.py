"""How much higher one share is than another."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from pytest_llmserve.stats.rise import Rise, rise_of


def test_no_failure_on_either_side_needs_299_requests_for_one_point():
    """As for the error rate itself: 0.99^299 is just under 5 %."""
    assert Rise(0, 300, 0, 300).p_at_most(0.01) == pytest.approx(0.99**300, rel=1e-6)
    assert Rise(0, 299, 0, 299).p_at_most(0.01) <= 0.05
    assert Rise(0, 298, 0, 298).p_at_most(0.01) > 0.05


def test_the_interval_is_that_of_newcombe():
    """Worked by hand from the exact intervals of 5 of 100 and 15 of 100: 1.64-11.28 and 8.65-23.53 %."""
    low, high = Rise(5, 100, 15, 100).interval(0.95)
    assert low == pytest.approx(0.10 - (0.0635**2 + 0.0628**2) ** 0.5, abs=2e-4)
    assert high == pytest.approx(0.10 + (0.0853**2 + 0.0336**2) ** 0.5, abs=2e-4)


def test_the_bounds_are_where_the_p_values_are():
    rise = Rise(5, 1000, 25, 1000)
    low, high = rise.bounds(0.95)
    assert rise.p_at_least(low) == pytest.approx(0.05, abs=1e-6)
    assert rise.p_at_most(high) == pytest.approx(0.05, abs=1e-6)
    assert rise.p_at_most(0.0) == 1.0
    assert rise.points == pytest.approx(0.02)


def test_a_true_rise_at_the_limit_is_seldom_called_over_it_or_within_it():
    """All outcomes of 300 and 300 requests failing at 2 and 3 %, each with its probability."""
    over = within = 0.0
    for k1 in range(20):
        for k2 in range(30):
            weight = binom.pmf(k1, 300, 0.02) * binom.pmf(k2, 300, 0.03)
            if weight > 1e-6:
                low, high = Rise(k1, 300, k2, 300).bounds(0.95)
                over += weight * (low > 0.01)
                within += weight * (high < 0.01)
    assert 0.001 < over < 0.05
    assert 0.001 < within < 0.05


def test_failures_in_a_row_are_worth_less():
    row = [600 <= i < 640 for i in range(1000)]
    apart = [i % 25 == 0 for i in range(1000)]
    clean = [False] * 1000
    assert rise_of(clean, apart).p_at_least(0.01) < 0.001
    assert rise_of(clean, row).p_at_least(0.01) > 0.05
    assert rise_of(clean, row).points == pytest.approx(0.04)


def test_a_side_without_failures_is_discounted_for_how_those_of_the_other_cluster():
    row = [600 <= i < 640 for i in range(1000)]
    rise = rise_of([False] * 1000, row)
    assert rise.n1 == pytest.approx(1000 / ((1 + 1000 / rise.n2) / 2))
    assert rise.n1 < 200


def test_both_sides_need_requests():
    with pytest.raises(ValueError, match="a rise needs marks on both sides"):
        rise_of([], [True])
