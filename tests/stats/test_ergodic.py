"""What a share shows however much neighbours are alike."""

from __future__ import annotations

import math
import random

import pytest

from pytest_llmserve.stats import ergodic


def test_p_by_hand():
    """A share of 1 % seen as 25 % is 25 times as much: seldom in more than 1 run of 25."""
    assert ergodic.p_at_least(0.25, 0.01) == pytest.approx(0.04)
    assert ergodic.p_at_least(0.005, 0.01) == 1.0
    assert ergodic.p_at_least(0.0, 0.01) == 1.0


def test_bound_by_hand():
    assert ergodic.lower_bound(0.4, 0.95) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("n", "share", "value"),
    [(100, 0.01, 81.0), (100, 0.05, 1.0), (100, 0.1, -math.inf), (0, 0.01, -math.inf)],
)
def test_a_quantile_is_over_the_value_that_20_times_as_many_are_beyond(n, share, value):
    """p99 of the values 1 to 100: 20 of them are 81 or more."""
    assert ergodic.lower_value([float(i) for i in range(1, n + 1)], share, 0.95) == value


def test_runs_of_one_kind_each_are_accused_no_more_often_than_stated():
    """The worst dependence there is: a whole run is bad, or none of it. One in 25 is."""
    source = random.Random(1)
    accused = sum(ergodic.p_at_least(float(source.random() < 0.04), 0.04) <= 0.05 for _ in range(10_000))
    assert 300 < accused < 500
