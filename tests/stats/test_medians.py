"""The difference of two medians."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_llmserve.stats.medians import difference_confidence, difference_interval, one_side_sure


def test_few_values_give_the_whole_range():
    assert difference_interval([1, 2, 3], [10, 12, 11], 0.95) == (7, 11)


def test_many_values_give_the_differences_between_the_ranks():
    """20 of each, all apart: 400 differences, of which the 127th from either end counts (Mann-Whitney)."""
    before, after = [(7 * i) % 20 for i in range(20)], [100 + (7 * i) % 20 / 1000 for i in range(20)]
    apart = sorted(a - b for a in after for b in before)
    assert difference_interval(before, after, 0.95) == (apart[126], apart[400 - 127])


@pytest.mark.parametrize(("rho", "most"), [(0.0, 0.06), (0.6, 0.14)])
def test_the_interval_of_many_misses_seldom(rho, most):
    """5 %; neighbours that are alike widen it. Fixed seed, 400 pairs of 40."""
    rng = np.random.default_rng(1)

    def series() -> list[float]:
        steps = rng.normal(0, np.sqrt(1 - rho * rho), 60)
        values = [0.0]
        for step in steps:
            values.append(rho * values[-1] + step)
        return values[21:]

    missed = 0
    for _ in range(400):
        low, high = difference_interval(series(), series(), 0.95)
        missed += not low <= 0 <= high
    assert missed / 400 <= most


def test_forty_readings_with_noise_of_5_decide_a_change_of_10():
    """Against 5, in nearly all of 200."""
    rng = np.random.default_rng(2)
    over = [
        difference_interval(rng.normal(400, 5, 40), rng.normal(410, 5, 45), 0.95)[0] > 5 for _ in range(200)
    ]
    assert sum(over) >= 190


@pytest.mark.parametrize(
    ("before", "after", "confidence"), [(7, 7, 0.95), (6, 6, 0.93), (5, 5, 0.87), (1, 1, 0.0), (20, 30, 0.95)]
)
def test_confidence_falls_with_the_number_of_values(before, after, confidence):
    assert difference_confidence(before, after, 0.95) == confidence


@pytest.mark.parametrize(
    ("before", "after", "sure"), [(6, 6, True), (5, 6, True), (5, 5, False), (4, 40, False)]
)
def test_six_values_on_each_side_are_sure_of_one_end(before, after, sure):
    assert one_side_sure(before, after, 0.95) is sure


@pytest.mark.parametrize(("before", "after"), [([], [1.0]), ([1.0], [])])
def test_an_empty_side_is_refused(before, after):
    with pytest.raises(ValueError, match=r"one of each is needed$"):
        difference_interval(before, after, 0.95)
