"""A share of requests against an allowed share."""

from __future__ import annotations

import random

import pytest

from pytest_llmserve.checks.shares import Share, share_of


def indicator(bad: int, n: int, make) -> list[bool]:
    return make.spread_out([i < bad for i in range(n)])


@pytest.mark.parametrize(
    ("bad", "n", "shown"), [(0, 298, False), (0, 299, True), (1, 472, False), (1, 473, True), (5, 1049, True)]
)
def test_a_share_of_1_percent_is_shown_kept_from_the_tabled_numbers_on(bad, n, shown, make):
    share = share_of(indicator(bad, n, make), 0.01)
    assert (share.p_within <= 0.05) is shown
    assert (share.interval[1] <= 0.01) is shown


@pytest.mark.parametrize(("bad", "shown"), [(5, False), (6, True)])
def test_a_share_is_shown_exceeded_when_chance_would_not_do_it(bad, shown, make):
    """P(Binomial(200, 0.01) >= 5) = 0.052, >= 6 0.016."""
    share = share_of(indicator(bad, 200, make), 0.01)
    assert (share.p_beyond <= 0.05) is shown
    assert (share.interval[0] > 0.01) is shown


def test_what_would_decide_is_said(make):
    few = share_of(indicator(1, 300, make), 0.01)
    assert few.doubt("p99", "requests", "over") == (
        "p99 at 95% needs 473 requests with 1 over, about 800 if 0.33% stay over"
    )
    none = share_of(indicator(0, 200, make), 0.01)
    assert none.doubt("p99", "requests", "over") == "p99 at 95% needs 299 requests with none over"


def test_what_can_be_chance_is_said(make):
    many = share_of(indicator(3, 200, make), 0.01)
    assert many.doubt("p99", "requests", "over") == (
        "that can be chance where 2 may be: about 1600 requests would tell if 1.5% stay over"
    )
    assert many.doubt("p99", "requests", "over", told=False) == (
        "3 of 200 requests over can be chance where 2 may be:"
        " about 1600 requests would tell if 1.5% stay over"
    )


def test_exactly_the_allowed_share_is_not_over_it(make):
    """1 - 0.9 is a little less than 0.1 in binary."""
    share = share_of(indicator(10, 100, make), 1 - 0.9)
    assert share.doubt("p90", "requests", "over").startswith("p90 at 95% needs ")


def test_a_burst_is_not_taken_for_many_witnesses():
    """6 slow requests in a row are one event: not shown to be over 1 %, as 6 scattered ones are."""
    burst = share_of([100 <= i < 106 for i in range(200)], 0.01)
    assert burst.p_beyond > 0.05
    assert burst.needed > 1000
    assert burst.doubt("p99", "requests", "over").startswith("that can be chance")


def test_more_are_needed_where_neighbours_are_alike():
    share = Share(0, 300, 0.01, inflation=1.0, caution=4.0)
    assert share.p_within > 0.05
    assert share.doubt("p99", "requests", "over") == (
        "p99 at 95% needs 1196 requests with none over, as neighbours are alike"
    )


def test_caution_never_makes_a_server_look_worse():
    assert Share(20, 400, 0.01, 1.0, caution=4.0).p_beyond == Share(20, 400, 0.01, 1.0, caution=1.0).p_beyond


def test_caution_makes_a_good_server_harder_to_show():
    assert Share(0, 400, 0.01, 1.0, caution=2.0).p_within > Share(0, 400, 0.01, 1.0, caution=1.0).p_within


def test_inflation_that_chance_explains_does_not_raise_the_number_of_requests_needed(make):
    """5 among 1049, where two happen to be near each other: still the 1049 announced."""
    share = share_of(indicator(5, 1049, make), 0.01)
    assert (share.inflation, share.caution, share.needed) == (1.0, 1.0, 1049)


@pytest.mark.parametrize("allowed", [0.0, 1.0])
def test_a_statement_about_the_sample_leaves_no_doubt(allowed, make):
    assert share_of(indicator(1, 10, make), allowed).doubt("p", "requests", "over") == ""


def test_wrong_verdicts_are_as_rare_as_stated():
    """At the very limit, independent requests: each side wrong in at most 5 % of runs (seen: 2 to 4 %)."""
    source = random.Random(11)
    shares = [share_of([source.random() < 0.05 for _ in range(400)], 0.05) for _ in range(400)]
    assert sum(s.p_within <= 0.05 for s in shares) / 400 <= 0.075
    assert sum(s.p_beyond <= 0.05 for s in shares) / 400 <= 0.075
