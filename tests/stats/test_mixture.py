"""Evidence on a share that may be looked at after every request."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from pytest_llmserve.stats import mixture


def by_sum(k, n, share, side):
    """The mixture as a sum over a fine grid: each alternative's likelihood ratio, weighed by the prior."""
    steps = 200_000
    edges = (0.0, share) if side == "below" else (share, 1.0)
    grid = np.linspace(*edges, steps + 1)
    middle = (grid[1:] + grid[:-1]) / 2
    a, b = 0.5, 0.5 * (1 - share) / share
    prior = middle ** (a - 1) * (1 - middle) ** (b - 1)
    ratio = np.exp(k * np.log(middle / share) + (n - k) * np.log((1 - middle) / (1 - share)))
    return float((prior * ratio).sum() / prior.sum())


@pytest.mark.parametrize(("k", "n", "share"), [(3, 40, 0.2), (0, 100, 0.05), (9, 60, 0.1), (30, 50, 0.5)])
def test_evidence_is_the_mixture_of_likelihood_ratios(k, n, share):
    """Against a plain numerical integral of the definition."""
    below, above = mixture.log_evidence(k, n, share)
    assert math.exp(below) == pytest.approx(by_sum(k, n, share, "below"), rel=0.01)
    assert math.exp(above) == pytest.approx(by_sum(k, n, share, "above"), rel=0.01)


def test_evidence_of_one_observation_by_hand():
    """Share 1/2: prior Beta(1/2, 1/2) on (0, 1/2), the arcsine law, twice its density there.

    One good one: the mean of (1 - p) / (1/2) = 2 - 2 E[p]; E[p | p < 1/2] of the arcsine law is
    1/2 - 1/pi. So 2 - 1 + 2/pi = 1.63662; one bad one: 2 E[p] = 1 - 2/pi = 0.36338.
    """
    good, bad = (math.exp(mixture.log_evidence(k, 1, 0.5)[0]) for k in (0, 1))
    assert good == pytest.approx(1 + 2 / math.pi)
    assert bad == pytest.approx(1 - 2 / math.pi)


@pytest.mark.parametrize("share", [Fraction(1, 2), Fraction(1, 10)])
def test_evidence_is_a_martingale_at_the_share_itself(share):
    """What the next request adds is nothing on average: s E(k + 1, n + 1) + (1 - s) E(k, n + 1) = E(k, n)."""
    s = float(share)
    for k, n in ((0, 0), (2, 30), (11, 40)):
        for side in (0, 1):
            now, bad, good = (
                math.exp(mixture.log_evidence(*seen, s)[side])
                for seen in ((k, n), (k + 1, n + 1), (k, n + 1))
            )
            assert s * bad + (1 - s) * good == pytest.approx(now, rel=1e-9)


def test_nothing_seen_is_no_evidence():
    assert mixture.log_evidence(0, 0, 0.01) == (pytest.approx(0), pytest.approx(0))
    assert mixture.p_values(0, 0, 0.01) == (1.0, 1.0)


def test_never_over_the_limit_is_shown_after_some_370_requests():
    """p99 at 95 %; 299 requests would do for a run of that size, which is looked at once."""
    shown = [n for n in range(1, 500) if mixture.p_values(0.0, float(n), 0.01)[0] <= 0.05]
    assert shown[0] == 367


@pytest.mark.parametrize(("k", "n"), [(0, 200), (3, 200), (50, 400), (400, 400)])
def test_bounds_are_where_evidence_turns(k, n):
    low = float(mixture.lower_bounds(np.array([k]), np.array([n]), 0.95)[0])
    high = float(mixture.upper_bounds(np.array([k]), np.array([n]), 0.95)[0])
    assert low <= k / n <= high
    if low > 0:
        assert mixture.log_evidence(k, n, low)[1] == pytest.approx(math.log(20), rel=1e-6)
    if high < 1:
        assert mixture.log_evidence(k, n, high)[0] == pytest.approx(math.log(20), rel=1e-6)


def test_bounds_of_nothing_are_no_bounds():
    assert mixture.lower_bounds(np.zeros(1), np.zeros(1), 0.95)[0] == 0
    assert mixture.upper_bounds(np.zeros(1), np.zeros(1), 0.95)[0] == 1


@pytest.mark.parametrize("n", [50, 400, 5000])
def test_the_counts_that_decide_are_those_the_evidence_says(n):
    most = float(mixture.most_bad(np.array([n]), 0.01, 0.95)[0])
    least = float(mixture.least_bad(np.array([n]), 0.01, 0.95)[0])
    assert (
        mixture.p_values(math.ceil(least), n, 0.01)[1]
        <= 0.05
        < mixture.p_values(math.floor(least - 1e-6), n, 0.01)[1]
    )
    if most < 0:
        assert mixture.p_values(0, n, 0.01)[0] > 0.05
    else:
        assert mixture.p_values(math.floor(most), n, 0.01)[0] <= 0.05
        assert mixture.p_values(math.floor(most) + 1, n, 0.01)[0] > 0.05


def test_looking_after_every_request_is_wrong_no_more_often_than_stated():
    """400 runs of 2,000 requests with exactly the allowed share bad: either side is shown in at most 5 %."""
    source = random.Random(1)
    n = np.arange(1, 2001)
    kept = exceeded = 0
    for _ in range(400):
        bad = np.cumsum([source.random() < 0.1 for _ in n])
        within, beyond = mixture.p_values(bad, n, 0.1)
        kept += within.min() <= 0.05
        exceeded += beyond.min() <= 0.05
    assert kept <= 32  # 5 % of 400 is 20; 33 or more by chance once in 200
    assert exceeded <= 32
    assert kept + exceeded > 4  # it is no empty promise: something is shown now and then
