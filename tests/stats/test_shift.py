"""How much one quantile is over another."""

from __future__ import annotations

import math
import re
import time

import numpy as np
import pytest
from scipy.stats import hypergeom

from pytest_llmserve.stats.shift import Shift, quantile_shift

INF = math.inf


def lognormal(n: int, seed: int, middle: float = 100.0, sigma: float = 0.3) -> list[float]:
    return [float(v) for v in middle * np.exp(sigma * np.random.default_rng(seed).standard_normal(n))]


def test_the_ratio_is_that_of_the_nearest_rank_quantiles():
    shift = quantile_shift([10, 20, 30, 40, 50, 60], [12, 24, 36, 48, 60, 72], 0.5)
    assert (shift.before, shift.after, shift.n_before, shift.n_after) == (30.0, 36.0, 6, 6)
    assert shift.ratio == pytest.approx(0.2)


def test_the_p_value_of_independent_values_is_close_to_the_exact_one():
    """Of 400 values in one, 200 lie beyond the median; how many of them are after's is hypergeometric."""
    before, after = lognormal(200, 1), lognormal(200, 2, middle=106.0)
    shift = quantile_shift(before, after, 0.5)
    beyond = sum(v > sorted(before + after)[199] for v in after)
    exact = float(hypergeom.sf(beyond - 1, 400, 200, 200))
    assert 0.005 < exact < 0.2
    assert shift.p_at_least(0.0) == pytest.approx(exact, rel=0.35)


def test_the_interval_is_what_the_p_values_leave():
    shift = quantile_shift(lognormal(300, 1), lognormal(300, 2, 110), 0.5)
    assert shift.low < shift.ratio < shift.high
    step = 1e-6
    for end, p in ((shift.low, shift.p_at_least), (shift.high, shift.p_at_most)):
        outside, inside = sorted((p(end - step), p(end + step)))
        assert outside <= 0.025 < inside
    assert shift.low < shift.one_sided[0] < shift.one_sided[1] < shift.high


def test_the_way_back_is_the_way_there_inverted():
    before, after = lognormal(300, 1), lognormal(400, 2, 130)
    there, back = quantile_shift(before, after, 0.9), quantile_shift(after, before, 0.9)
    assert (1 + there.low) * (1 + back.high) == pytest.approx(1, rel=1e-6)
    assert (1 + there.high) * (1 + back.low) == pytest.approx(1, rel=1e-6)


def test_a_unit_changes_nothing():
    before, after = lognormal(300, 1), lognormal(300, 2)
    in_seconds = quantile_shift([v / 1000 for v in before], [v / 1000 for v in after], 0.5)
    assert in_seconds.bounds == pytest.approx(quantile_shift(before, after, 0.5).bounds)


@pytest.mark.parametrize("share_of_detectable", [0.99, 1.01])
def test_what_is_detectable_is_where_a_slow_down_is_first_seen(share_of_detectable):
    before, after = lognormal(300, 1), lognormal(300, 2)
    shift = quantile_shift(before, after, 0.5)
    factor = (1 + share_of_detectable * shift.detectable) / (1 + shift.ratio)
    slower = quantile_shift(before, [v * factor for v in after], 0.5)
    assert slower.ratio == pytest.approx(share_of_detectable * shift.detectable)
    assert (slower.p_at_least(0) <= 0.025) == (share_of_detectable > 1)
    assert (slower.low > 0) == (share_of_detectable > 1)


def test_what_is_detectable_as_a_fall_is_where_a_fall_is_first_seen():
    before, after = lognormal(300, 1), lognormal(300, 2)
    shift = quantile_shift(before, after, 0.5)
    for share in (0.99, 1.01):
        factor = (1 - share * shift.detectable_fall_at(0.05)) / (1 + shift.ratio)
        less = quantile_shift(before, [v * factor for v in after], 0.5)
        assert (less.p_at_most(0) <= 0.05) == (share > 1)


def test_equal_constants_differ_by_nothing_for_sure():
    shift = quantile_shift([20.0] * 100, [20.0] * 100, 0.95)
    assert shift.bounds == pytest.approx((0.0, 0.0), abs=1e-9)
    assert shift.p_at_most(0.1) < 1e-6
    assert shift.p_at_least(0.0) > 0.4


@pytest.mark.parametrize(("q", "needed"), [(0.5, 6), (0.95, 60), (0.99, 300)])
def test_three_values_beyond_a_quantile_are_needed_on_each_side(q, needed):
    def constants(n: int) -> Shift:
        return quantile_shift([20.0] * n, [20.0] * 1000, q)

    assert constants(needed).needed is None
    few = constants(needed - 1)
    assert few.needed == needed
    assert few.bounds == (-1.0, INF)
    assert (few.p_at_most(5), few.p_at_least(-0.9)) == (1.0, 1.0)


def test_a_slow_spell_counts_as_few_values():
    """100 slow requests in a row are one event, not 100."""
    scattered, spell = lognormal(1000, 1), lognormal(1000, 1)
    for i in range(100):
        scattered[i * 10] *= 10
        spell[600 + i] *= 10
    before = lognormal(1000, 2)
    assert quantile_shift(before, scattered, 0.95).p_at_least(0.1) < 0.001
    found = quantile_shift(before, spell, 0.95)
    assert found.worth_after < 50
    assert found.p_at_least(0.1) > 0.05


def test_the_ranks_of_all_values_have_a_say_in_their_worth():
    """The marks beyond a median of 1,000 values correlated by 0.9 alone say 94; they are worth 53."""
    steps = np.random.default_rng(1).standard_normal(1500)
    values = [steps[0]]
    for step in steps[1:]:
        values.append(0.9 * values[-1] + math.sqrt(0.19) * step)
    slow = [float(v) for v in np.exp(values[500:])]
    assert quantile_shift(slow, slow, 0.5).worth_before < 80


def test_no_series_is_worth_less_than_one_value():
    """Also beside a longer one that is slow in one spell."""
    shift = quantile_shift([20.0 + i for i in range(10)], [20.0] * 500 + [40.0] * 500, 0.5)
    assert shift.worth_before == 1.0
    assert shift.worth_after >= 1.0


def test_failures_that_reach_the_quantile_make_it_endless():
    before, after = lognormal(400, 1), lognormal(400, 2)
    for i in range(0, 400, 10):
        after[i] = INF
    shift = quantile_shift(before, after, 0.95)
    assert (shift.after, shift.ratio, shift.high, shift.detectable) == (INF, INF, INF, INF)
    assert shift.p_at_least(10.0) < 0.01
    assert shift.p_at_most(10.0) > 0.99
    assert shift.low > 1e6


def test_failures_that_are_gone_make_it_a_fall_by_all():
    before, after = lognormal(400, 1), lognormal(400, 2)
    for i in range(0, 400, 10):
        before[i] = INF
    shift = quantile_shift(before, after, 0.95)
    assert (shift.ratio, shift.low) == (-1.0, -1.0)
    assert shift.p_at_most(0.1) < 0.01
    assert shift.high < 0


def test_failures_on_both_sides_leave_no_ratio():
    shift = quantile_shift([INF] * 50, [INF] * 50, 0.5)
    assert math.isnan(shift.ratio)
    assert shift.bounds == (-1.0, INF)
    assert shift.p_at_least(0.1) > 0.4


def test_nothing_is_drawn_so_the_answer_is_the_same_each_time():
    before, after = lognormal(300, 1), lognormal(300, 2)
    assert quantile_shift(before, after, 0.5).bounds == quantile_shift(before, after, 0.5).bounds


def test_two_times_5000_values_take_little_time():
    """100 ms on a quiet core; ten times that on one that is not."""
    before, after = lognormal(5000, 1), lognormal(5000, 2)
    quantile_shift(before[:100], after[:100], 0.5)  # what is imported once
    begun = time.process_time()
    shift = quantile_shift(before, after, 0.95)
    assert shift.bounds[0] < shift.one_sided[0]
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize(
    ("before", "after", "q", "confidence", "fault"),
    [
        ([], [1.0], 0.5, 0.95, "a shift needs values on both sides"),
        ([1.0], [], 0.5, 0.95, "a shift needs values on both sides"),
        ([1.0], [1.0], 1.0, 0.95, "q=1.0, confidence=0.95: both lie between 0 and 1"),
        ([1.0], [1.0], 0.5, 0.0, "q=0.5, confidence=0.0: both lie between 0 and 1"),
    ],
)
def test_what_cannot_be_compared_is_told(before, after, q, confidence, fault):
    with pytest.raises(ValueError, match=re.escape(fault)):
        quantile_shift(before, after, q, confidence=confidence)
