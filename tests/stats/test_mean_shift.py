"""How much one mean is over another."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from pytest_llmserve.stats.mean_shift import mean_shift


def rates(n: int, seed: int, middle: float = 50.0) -> list[float]:
    return [float(v) for v in middle + 2 * np.random.default_rng(seed).standard_normal(n)]


def test_no_change_is_judged_by_welch_where_values_are_independent():
    """Alternating residues leave no dependence to discount."""
    before, after = [48.0, 52.0] * 10, [47.0, 55.0] * 10
    shift = mean_shift(before, after)
    exact = ttest_ind(after, before, equal_var=False, alternative="greater").pvalue
    assert shift.p_at_least(0.0) == pytest.approx(float(exact), rel=0.05)
    assert shift.ratio == pytest.approx(0.02)


def test_the_interval_holds_the_ratio_and_ends_where_the_p_values_do():
    shift = mean_shift(rates(20, 1), rates(20, 2, 40.0))
    assert shift.low < shift.ratio < shift.high < 0
    assert shift.p_at_least(shift.low) == pytest.approx(0.025, abs=1e-4)
    assert shift.p_at_most(shift.high) == pytest.approx(0.025, abs=1e-4)


def test_rates_that_wander_are_worth_less():
    wander = [50 + 5 * math.sin(i / 6) for i in range(20)]
    steady = mean_shift(rates(20, 1), rates(20, 2))
    assert mean_shift(rates(20, 1), wander).worth_after < steady.worth_after / 2


def test_equal_constants_are_sure():
    shift = mean_shift([5.0] * 5, [5.0] * 5)
    assert (shift.p_at_most(0.1), shift.p_at_least(0.1)) == (0.0, 1.0)
    assert shift.p_at_least(0.0) == 1.0


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ([1.0], [1.0, 2.0], "a shift of means needs two values or more on both sides"),
        ([1.0, 2.0], [1.0, math.inf], "a shift of means needs finite values of 0 or more"),
        ([1.0, -2.0], [1.0, 2.0], "a shift of means needs finite values of 0 or more"),
    ],
)
def test_what_cannot_be_compared_is_told(before, after, fault):
    with pytest.raises(ValueError, match=fault):
        mean_shift(before, after)
