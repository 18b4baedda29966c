"""A comparison: how far apart two sides are, and what the reference is worth."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.comparison import Comparison, shift_text
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import GeneratorHealth

A, B = "http://a", "http://b"


@pytest.fixture
def side(make):
    """A run of 200 requests around a latency in ms."""
    return lambda around, **more: make.run_of(
        make.spread_out([around * (1 + i / 1000) for i in range(200)]), steady_s=2, **more
    )


@pytest.fixture
def compared():
    def make(a, b, **more):
        servers = ({"url": A}, {"url": B})
        return Comparison(a=a, b=b, names=(A, B), servers=servers, rounds=2, planned=2, **more)

    return make


def test_a_shift_says_how_much_more_a_has_than_b(side, compared):
    """120 ms against 100: 20 % more, whichever way it is asked first."""
    found = compared(side(120.0), side(100.0))
    shift = found.shift("e2e_p50")
    assert shift.ratio == pytest.approx(0.2)
    assert shift.low <= shift.ratio <= shift.high
    assert (shift.before, shift.after) == pytest.approx((109.9, 131.88))
    assert found.shift("e2e_p50") is shift


def test_the_throughput_has_a_shift_too(side, compared):
    """100 requests a second on both sides."""
    assert compared(side(20.0), side(10.0)).shift("throughput").ratio == pytest.approx(0, abs=0.1)


def test_a_metric_that_is_none_is_told(side, compared):
    """With those there are."""
    with pytest.raises(ValueError, match=r"^no metric 'e2e_p96': one of e2e_p50, e2e_p90, e2e_p95, "):
        compared(side(1.0), side(1.0)).shift("e2e_p96")


def test_a_metric_that_a_side_has_not_is_told(side, compared):
    """No answer had a second token; other metrics are shown all the same."""
    found = compared(side(120.0), side(100.0))
    told = r"^tpot_p50: no request has a TPOT there and here \(there = b, here = a\)$"
    with pytest.raises(ValueError, match=told):
        found.shift("tpot_p50")
    assert list(found.shifts) == ["e2e_p50", "e2e_p95", "ttft_p50", "ttft_p95", "throughput"]


def test_a_comparison_shows_itself_as_a_table(side, compared):
    """As a failing assert prints it."""
    found = compared(side(120.0), side(100.0))
    head, first, *_ = repr(found).splitlines()
    assert head == f"Comparison of a = {A} with b = {B}, 2 rounds"
    assert first == f"  e2e_p50: a 131.9 ms, b 109.9 ms, {shift_text(found.shift('e2e_p50'))}"
    assert shift_text(found.shift("e2e_p50")).startswith("+20.0 % (95% interval +")


def test_the_reference_has_the_plan_of_what_it_is_compared_with(side, compared):
    """How the sides differ is what the comparison is about, so it forbids none."""
    a = side(1.0, plan=LoadPlan(params={"max_tokens": 2}))
    b = side(1.0, plan=LoadPlan(params={"max_tokens": 5}))
    reference = compared(a, b).reference
    assert reference.plan["params"] == {"max_tokens": 2}
    assert (reference.name, reference.server, reference.environment) == (B, {}, {})


@pytest.mark.parametrize(
    ("latencies", "health", "why"),
    [
        (
            ["refused"] * 4,
            {"server_gone": "from 2 s on"},
            "the reference http://b was gone: from 2 s on",
        ),
        (["http_5xx"] * 4, {}, "the reference http://b answered none of its 4 requests"),
        ([], {}, "the reference http://b answered none of its 0 requests"),
    ],
)
def test_a_reference_that_is_none_says_why(latencies, health, why, make, side, compared):
    """Named, so that nobody looks for the fault in the server under test."""
    b = make.run_of(latencies, healthy=GeneratorHealth(**health))
    assert compared(side(1.0), b).reference == why
