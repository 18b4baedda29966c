"""Each formula against numbers worked out apart from it: by hand in the comment, or from a printed table."""

from __future__ import annotations

import math

import pytest

from pytest_llmserve.stats.binomial import (
    interval,
    lower_bound,
    p_at_least,
    p_at_most,
    requests_at_share,
    requests_needed,
    upper_bound,
)
from pytest_llmserve.stats.dependence import batches_of, effective_n, inflation_of, variance_inflation
from pytest_llmserve.stats.means import Mean, mean_of
from pytest_llmserve.stats.quantile import quantile_interval
from pytest_llmserve.stats.sums import total, variance


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),  # 1 - 0.025^(1/10) = 1 - 0.6915
        (10, 10, 0.6915, 1.0),
        (1, 1, 0.025, 1.0),
        (5, 20, 0.0866, 0.4910),
        (4, 20, 0.0573, 0.4366),
        (1, 30, 0.0008, 0.1722),
        (50, 100, 0.3983, 0.6017),
    ],
)
def test_clopper_pearson_intervals_at_95_percent(k, n, low, high):
    """As in printed tables of exact binomial limits (Clopper and Pearson, Biometrika 26, 1934)."""
    assert interval(k, n, 0.95) == pytest.approx((low, high), abs=5e-5)


def test_clopper_pearson_as_nist_has_it():
    """4 defective of 20 at 90 %: 0.071354 to 0.401029 (NIST/SEMATECH e-Handbook, 7.2.4.1)."""
    assert interval(4, 20, 0.90) == pytest.approx((0.071354, 0.401029), abs=1e-6)


def test_a_bound_without_bad_ones_is_a_root():
    """(1 - p)^n = 0.05: 1 - 0.05^(1/299) = 1 - exp(-0.0100192) = 0.0100192 - 0.0000502 + 0.0000002."""
    assert upper_bound(0, 299, 0.95) == pytest.approx(0.0099692, abs=1e-7)
    assert lower_bound(299, 299, 0.95) == pytest.approx(1 - 0.0099692, abs=1e-7)


def test_tails_of_ten_throws_of_a_coin():
    """1, 10, 45, 120, 210, 252, ... of 1024."""
    assert p_at_most(1, 10, 0.5) == pytest.approx(11 / 1024)
    assert p_at_most(4, 10, 0.5) == pytest.approx(386 / 1024)
    assert p_at_least(8, 10, 0.5) == pytest.approx(56 / 1024)
    assert p_at_least(10, 10, 0.5) == pytest.approx(1 / 1024)


def test_a_tail_with_three_terms():
    """n = 5, p = 0.2: 0.32768, 0.4096, 0.2048 for 0, 1, 2; at least 3: 1 - 0.94208."""
    assert p_at_most(2, 5, 0.2) == pytest.approx(0.94208)
    assert p_at_least(3, 5, 0.2) == pytest.approx(0.05792)


@pytest.mark.parametrize(
    ("q", "confidence", "n"),
    [
        (0.90, 0.95, 29),  # ln 0.05 / ln 0.9 = 28.4
        (0.95, 0.95, 59),  # 58.4
        (0.99, 0.95, 299),  # 298.1
        (0.999, 0.95, 2995),  # 2994.2
        (0.998, 0.95, 1497),  # 1496.4: an error rate of 0.2 %
        (0.99, 0.99, 459),  # ln 0.01 / ln 0.99 = 458.2
    ],
)
def test_requests_needed_without_bad_ones_is_a_quotient_of_logarithms(q, confidence, n):
    assert requests_needed(q, confidence, 0) == n


@pytest.mark.parametrize(("over", "n"), [(0, 459), (1, 662), (2, 838), (5, 1307), (10, 2010)])
def test_requests_needed_as_early_stopping_has_it(over, n):
    """MLPerf's LoadGen, early stopping at the 99th percentile with confidence 0.99."""
    assert requests_needed(0.99, 0.99, over) == n


def test_requests_needed_with_one_bad_one_by_its_two_terms():
    """0.9^46 + 46 * 0.1 * 0.9^45 = 0.00786 + 0.04014 = 0.0480; with 45: 0.00873 + 0.04363 = 0.0524."""
    assert p_at_most(1, 46, 0.1) == pytest.approx(0.0480, abs=5e-5)
    assert p_at_most(1, 45, 0.1) == pytest.approx(0.0524, abs=5e-5)
    assert requests_needed(0.9, 0.95, 1) == 46


@pytest.mark.parametrize(
    ("share", "allowed", "normal"), [(0.02, 0.01, 268), (0.005, 0.01, 1071), (0.4, 0.5, 68)]
)
def test_requests_at_a_share_are_near_those_of_the_normal_curve(share, allowed, normal):
    """(1.645 / (share - allowed))^2 * allowed * (1 - allowed); more, for half an observation and the skew."""
    found = requests_at_share(share, allowed, 0.05)
    assert normal < found < 2 * normal


@pytest.mark.parametrize("share", [0.01, 0.01 + 1e-9])
def test_a_share_that_is_what_is_allowed_is_told_from_it_by_no_number(share):
    assert requests_at_share(share, 0.01, 0.05) is None


@pytest.mark.parametrize(
    ("n", "low", "high"),
    [
        (10, 2, 9),  # 1 - 2 * 11 / 1024 = 97.9 %; 3 and 8 only 89.1 %
        (5, -math.inf, math.inf),  # the ends: 1 - 2 / 32 = 93.75 %
        (6, 1, 6),  # 1 - 2 / 64 = 96.9 %
        (8, 1, 8),  # 1 - 2 / 256; 2 and 7: 1 - 2 * 9 / 256 = 93.0 %
        (9, 2, 8),  # 1 - 2 * 10 / 512 = 96.1 %
        (20, 6, 15),  # 95.9 %
        (25, 8, 18),  # 95.7 %
    ],
)
def test_ranks_around_the_median(n, low, high):
    """Of the sign test's interval, at 95 % or a little more; ranks as in tables of it."""
    assert quantile_interval([float(i) for i in range(1, n + 1)], 0.5, 0.95) == (low, high)


def test_ranks_around_a_p90():
    """n = 30, P(B <= 23) = 0.0258, P(B <= 22) = 0.0078; P(B = 30) = 0.9^30 = 0.0424: no upper end."""
    assert p_at_most(22, 30, 0.9) == pytest.approx(0.0078, abs=5e-5)
    assert p_at_most(23, 30, 0.9) == pytest.approx(0.0258, abs=5e-5)
    assert quantile_interval([float(i) for i in range(1, 31)], 0.9, 0.95) == (23.0, math.inf)


@pytest.mark.parametrize(
    ("n", "t"),
    [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262), (20, 2.093), (31, 2.042)],
)
def test_student_s_t_is_that_of_the_printed_table(n, t):
    """Two-sided 95 %, freedom n - 1: half the interval of a mean whose standard error is 1."""
    low, high = Mean(mean=0.0, error=1.0, freedom=n - 1, inflation=1.0).interval(0.95)
    assert (-low, high) == pytest.approx((t, t), abs=5e-4)


def test_the_standard_error_of_five_values():
    """1 2 3 4 5: variance 10 / 4, so sqrt(2.5 / 5)."""
    found = mean_of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.mean, found.freedom) == (3.0, 4)
    assert found.error == pytest.approx(math.sqrt(0.5))


def test_a_mean_as_nist_has_it():
    """195 values, mean 9.261460, spread 0.022789: 9.258242 to 9.264679 (e-Handbook, 1.3.5.2)."""
    found = Mean(mean=9.261460, error=0.022789 / math.sqrt(195), freedom=194, inflation=1.0)
    assert found.interval(0.95) == pytest.approx((9.258242, 9.264679), abs=1e-6)


def test_one_sided_t_values():
    """t(9) passes 1.833 in 5 % of cases, 2.821 in 1 %."""
    found = Mean(mean=100.0, error=10.0, freedom=9, inflation=1.0)
    assert found.p_at_most(118.33) == pytest.approx(0.05, abs=5e-5)
    assert found.p_at_least(100 - 28.21) == pytest.approx(0.01, abs=5e-5)


def test_so_many_times_as_many_values_bring_the_t_interval_to_the_limit():
    """Error 10, 30 away from the limit at 10 values, t(9) = 1.833: enough. 5 away with many values:
    1.645 * 10 / sqrt(times) = 5 at 10.8 times; t of 107 degrees of freedom is 1.659, so 11.0."""
    near = Mean(mean=100.0, error=10.0, freedom=9, inflation=1.0)
    assert near.times_needed(130.0, 0.05) == 1.0
    assert near.times_needed(105.0, 0.05) == pytest.approx(11.0, rel=0.005)
    # With 9 degrees of freedom at any length: (1.833 * 10 / 5)^2.
    assert near.times_needed(95.0, 0.05, most_freedom=9) == pytest.approx(13.44, rel=0.005)
    assert near.times_needed(100.0, 0.05) is None
    assert mean_of([5.0]).times_needed(9.0, 0.05) is None


def test_batch_means_of_forty_values():
    """Twenty zeros, then twenty ones: 20 batches of two, ten of mean 0 and ten of mean 1.

    Values: mean 1/2, variance 40 * 1/4 / 39 = 10/39. Batch means: variance 20 * 1/4 / 19 = 5/19.
    Spread 2 * (5/19) / (10/39) = 39/19. Of the 19 pairs of batches 18 are alike: r = 17/20, without
    its bias 0.85 + 3.55 / 20 = 1.03, of which 0.95 are believed: 39/19 * 1.95 / 0.05.
    """
    found = batches_of([0.0] * 20 + [1.0] * 20)
    assert (found.spread, found.alike) == (pytest.approx(39 / 19), 0.95)
    assert found.inflation == pytest.approx(39 / 19 * 39)
    assert effective_n([0.0] * 20 + [1.0] * 20) == pytest.approx(40 * 19 / 39 / 39)


def test_batch_means_of_values_in_fours():
    """0 0 0 0 4 4 4 4 0 0 0 0 ... 80 values, batches of four: ten of mean 0, ten of mean 4.

    Values: mean 2, variance 80 * 4 / 79. Batch means: 20 * 4 / 19. Spread 4 * 79 / (4 * 19); each
    batch is unlike the next, r = -19/20, and no less than 0 is believed.
    """
    found = batches_of(([0.0] * 4 + [4.0] * 4) * 10)
    assert (found.spread, found.alike) == (pytest.approx(79 / 19), 0.0)
    assert found.inflation == pytest.approx(79 / 19)


def test_batch_means_of_which_some_are_alike():
    """Twenty batches of two: 0 0 0 1 1 0 0 0 1 1 ... four times over, in pairs of equal values.

    Means: eight 1 of twenty, mean 0.4, squares 12 * 0.16 + 8 * 0.36 = 4.8. Neighbours: within each five
    0.16 + 0.16 - 0.24 + 0.36 = 0.44, and three times -0.24 between: 1.76 - 0.72 = 1.04. r = 1.04 / 4.8
    = 0.2167, without its bias 0.2167 + 1.65 / 20 = 0.2992. Spread 2 * (4.8 / 19) / (9.6 / 39) = 39/19.
    """
    found = batches_of([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0] * 4)
    assert found.spread == pytest.approx(39 / 19)
    assert found.alike == pytest.approx(0.2992, abs=1e-4)
    assert found.inflation == pytest.approx(39 / 19 * 1.2992 / 0.7008, rel=1e-3)


def test_batch_means_where_pairs_balance():
    """0 1 0 1 ...: each batch of two has mean 1/2, so the spread of means is nil; it counts as 1."""
    assert variance_inflation([0.0, 1.0] * 20) == 1.0


def test_what_does_not_fill_a_batch_is_left_out():
    """45 values: 20 batches of two, and five over."""
    assert batches_of([0.0] * 20 + [1.0] * 20 + [99.0] * 5) == batches_of([0.0] * 20 + [1.0] * 20)


def test_the_upper_part_of_forty_values():
    """1 ... 40 rising, none over the limit: the upper half is 20 zeros and 20 ones, as above."""
    rising = [float(i) for i in range(1, 41)]
    assert inflation_of([False] * 40, rising, 0.5).bold == pytest.approx(39 / 19 * 39)


def test_a_mean_of_eighty_values_that_come_in_fours():
    """The same 0s and 4s: error sqrt(320/79 * 79/19 / 80) = sqrt(4/19), freedom 80 * 19/79 - 1."""
    found = mean_of(([0.0] * 4 + [4.0] * 4) * 10)
    assert found.error == pytest.approx(math.sqrt(4 / 19))
    assert found.freedom == pytest.approx(80 * 19 / 79 - 1)


def test_a_sum_and_a_variance():
    """2 4 4 4 5 5 7 9: sum 40, squares about the mean 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32, over 7."""
    values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]
    assert (total(values), total(values, 1, 4)) == (40.0, 12.0)
    assert variance(values) == pytest.approx(32 / 7)
    assert variance(values, 2) == pytest.approx(2.0)
