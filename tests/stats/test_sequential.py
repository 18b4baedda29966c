"""A share judged again and again while its observations come in."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from pytest_llmserve.stats.dependence import inflation_of
from pytest_llmserve.stats.sequential import Course, course_of, decided_by, looks


def independent(n, bad_share, seed):
    source = random.Random(seed)
    return [source.random() < bad_share for _ in range(n)]


def test_looks_are_20_apart_and_then_a_tenth():
    assert list(looks(39)) == []
    assert list(looks(120)) == [40, 60, 80, 100, 120]
    assert list(looks(330))[-5:] == [220, 242, 266, 292, 321]


def test_a_course_of_all_good_ones_decides_at_the_first_look_that_can():
    """367 would do (test_mixture); the looks stand at 353 and 388."""
    assert course_of([False] * 353, 0.01).p_within > 0.05
    assert course_of([False] * 388, 0.01).p_within <= 0.05


def test_what_was_decided_stays_decided():
    """Evidence is the most there ever was: what comes later does not take it back."""
    marks = [False] * 388 + [True] * 40
    assert course_of(marks, 0.01).p_within == course_of(marks[:388], 0.01).p_within


def test_nothing_is_decided_before_100_observations():
    assert course_of([True] * 99, 0.01).p_beyond == 1.0
    assert course_of([True] * 99, 0.01).bounds(0.95) == (0.0, 1.0)
    assert course_of([True] * 100, 0.01).p_beyond < 1e-9


def test_a_course_too_short_for_a_look_has_no_evidence():
    course = course_of([True] * 10, 0.5)
    assert (course.p_within, course.p_beyond, course.last) == (1.0, 1.0, (1.0, 1.0))
    assert course.value_bounds([1.0] * 10, 0.95) == (-math.inf, math.inf)


def test_bounds_agree_with_the_evidence():
    marks = independent(2000, 0.004, 3)
    for allowed in (0.002, 0.004, 0.006, 0.01, 0.02):
        course = course_of(marks, allowed)
        low, high = course.bounds(0.95)
        assert (course.p_within <= 0.05) == (high <= allowed)
        assert (course.p_beyond <= 0.05) == (low > allowed)


def test_bounds_of_a_quantile_are_values_on_either_side_of_it():
    source = random.Random(4)
    values = [source.expovariate(1.0) for _ in range(3000)]
    low, high = course_of([v > 5 for v in values], 0.1, values).value_bounds(values, 0.95)
    assert low in values
    assert high in values
    assert low < math.log(10) < high


def test_value_bounds_agree_with_the_evidence():
    source = random.Random(5)
    values = [source.expovariate(1.0) for _ in range(3000)]
    for limit in (1.8, 2.2, 2.4, 2.8):
        course = course_of([v > limit for v in values], 0.1, values)
        low, high = course.value_bounds(values, 0.95)
        assert (course.p_within <= 0.05) == (high <= limit)
        assert (course.p_beyond <= 0.05) == (low > limit)


def test_the_largest_inflation_since_half_as_many_counts():
    """A burst at the beginning: diluted later on, and still remembered."""
    marks = [i < 30 for i in range(400)]
    course = course_of(marks, 0.01)
    alone = [inflation_of(marks[: int(n)]).bold for n in course.n]
    for place, n in enumerate(course.n):
        window = [found for found, at in zip(alone, course.n, strict=True) if n / 2 <= at <= n]
        assert course.inflation[place] == pytest.approx(max(window))
    assert course.inflation[-1] > alone[-1]


def test_a_burst_is_not_taken_for_many_witnesses():
    """12 bad ones among 200, scattered and in a row: the row is one event."""
    scattered = course_of([i % 16 == 5 and i < 192 for i in range(200)], 0.01)
    in_a_row = course_of([100 <= i < 112 for i in range(200)], 0.01)
    assert scattered.p_beyond <= 0.001
    assert in_a_row.p_beyond > 0.05


@pytest.mark.parametrize(
    ("share", "allowed", "inflation"), [(0.0, 0.01, 1.0), (0.0, 0.01, 4.0), (0.05, 0.01, 2.0)]
)
def test_the_number_said_to_decide_does(share, allowed, inflation):
    n = decided_by(share, allowed, inflation, 0.95)
    ones = np.ones(1)
    decided = Course(allowed, n * ones, share * n * ones, inflation * ones, inflation * ones)
    assert min(decided.p_within, decided.p_beyond) <= 0.05
    assert n == 100 or n / decided_by(share, allowed, 1.0, 0.95) == pytest.approx(inflation, rel=0.2)


def test_a_share_at_the_limit_is_decided_by_no_number():
    assert decided_by(0.01, 0.01, 1.0, 0.95) is None


def test_wrong_decisions_are_as_rare_as_stated():
    """Exactly the allowed share bad, looked at until 1,500 requests: each side within 5 %."""
    courses = [course_of(independent(1500, 0.05, seed), 0.05) for seed in range(300)]
    assert sum(c.p_within <= 0.05 for c in courses) <= 26  # 15 expected at most; more than 26 once in 300
    assert sum(c.p_beyond <= 0.05 for c in courses) <= 26
