"""Exact statements about a share, held against published tables and plain sums."""

from __future__ import annotations

from math import comb

import pytest

from pytest_llmserve.stats.binomial import (
    interval,
    lower_bound,
    p_at_least,
    p_at_most,
    requests_needed,
    upper_bound,
)

TABLE = {
    # (quantile, confidence): needed with 0, 1, 2, 3, 5, 10 over
    (0.5, 0.95): (5, 8, 11, 13, 18, 30),
    (0.9, 0.95): (29, 46, 61, 76, 103, 167),
    (0.9, 0.99): (44, 64, 81, 97, 127, 197),
    (0.95, 0.95): (59, 93, 124, 153, 208, 336),
    (0.95, 0.99): (90, 130, 165, 198, 259, 398),
    (0.99, 0.90): (230, 388, 531, 667, 926, 1538),
    (0.99, 0.95): (299, 473, 628, 773, 1049, 1693),
    (0.99, 0.99): (459, 662, 838, 1001, 1307, 2010),
    (0.999, 0.95): (2995, 4742, 6294, 7752, 10511, 16959),
    (0.999, 0.99): (4603, 6636, 8403, 10042, 13105, 20140),
}


@pytest.mark.parametrize(("claim", "needed"), TABLE.items())
def test_requests_needed_agrees_with_the_table_of_early_stopping(claim, needed):
    """MLPerf's documented floors 64, 130, 662, 6636 stand in the column of one over."""
    assert tuple(requests_needed(*claim, over) for over in (0, 1, 2, 3, 5, 10)) == needed


@pytest.mark.parametrize(("confidence", "over", "needed"), [(0.95, 0, 299), (0.95, 1, 473), (0.95, 5, 1049)])
def test_one_request_fewer_than_needed_does_not_decide(confidence, over, needed):
    assert upper_bound(over, needed, confidence) <= 0.01
    assert upper_bound(over, needed - 1, confidence) > 0.01


def test_requests_needed_grows_with_fractions_between_whole_numbers():
    assert 299 < requests_needed(0.99, 0.95, 0.5) < 473


@pytest.mark.parametrize("bad", [(0.0, 0.95, 0), (1.0, 0.95, 0), (0.99, 1.0, 0), (0.99, 0.95, -1)])
def test_requests_needed_refuses_what_no_number_of_requests_can_show(bad):
    with pytest.raises(ValueError, match="both lie between 0 and 1"):
        requests_needed(*bad)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (9, 10), (10, 10), (2, 50)])
def test_tails_are_the_plain_binomial_sums(k, n):
    p = 0.13
    terms = [comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1)]
    assert p_at_most(k, n, p) == pytest.approx(sum(terms[: k + 1]))
    assert p_at_least(k, n, p) == pytest.approx(sum(terms[k:]))


def test_interval_is_the_published_clopper_pearson_interval():
    """10 of 100 at 95 %: 0.0490 to 0.1762; 0 of 20 the rule of three's exact form, 0 to 0.1684."""
    assert interval(10, 100, 0.95) == pytest.approx((0.0490, 0.1762), abs=5e-5)
    assert interval(0, 20, 0.95) == pytest.approx((0.0, 0.1684), abs=5e-5)


def test_bounds_and_tails_are_two_sides_of_one_thing():
    assert p_at_most(7, 200, upper_bound(7, 200, 0.95)) == pytest.approx(0.05)
    assert p_at_least(7, 200, lower_bound(7, 200, 0.95)) == pytest.approx(0.05)


def test_discounted_observations_tell_less():
    low, high = interval(10, 100, 0.95)
    wider_low, wider_high = interval(10 / 2.5, 100 / 2.5, 0.95)
    assert wider_low < low
    assert wider_high > high


@pytest.mark.parametrize("n", [0, 1, 5])
def test_nothing_but_bad_ones_bounds_nothing_from_above(n):
    assert upper_bound(n, n, 0.95) == 1.0
    assert p_at_most(n, n, 0.5) == 1.0


def test_no_observation_bounds_nothing():
    assert interval(0, 0, 0.95) == (0.0, 1.0)


@pytest.mark.parametrize("function", [upper_bound, lower_bound, p_at_most, p_at_least])
@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2)])
def test_what_is_no_share_is_refused(function, k, n):
    with pytest.raises(ValueError, match=f"k={k} of n={n} is not a share"):
        function(k, n, 0.5)
