"""When to look into a server: while it goes wrong, and never while it goes as it may."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.measure import alarms
from pytest_llmserve.measure.alarms import Mark, due, hang_ns, marks_of, surely_over

S = 1_000_000_000
PLAN = LoadPlan(timeout_ns=60 * S)
P95 = Mark("e2e", 0.05, 1000.0, "p95")
HEALTHY = LoadProgress(elapsed_ns=S, active=4, oldest_ns=S, by_outcome={"ok": 900, "http_5xx": 3})


def alarm(now, plan, marks, over, seen=None):
    """The reason's text, or None."""
    reason = alarms.alarm(now, plan, marks, over, seen or {})
    return None if reason is None else reason.text


def over(slow, n):
    return lambda figure, limit_ms: (slow, n)


def test_the_limits_that_tell_when_to_look():
    """Quantiles and maxima of e2e and TTFT; the others say nothing before a request is over."""
    limits = Latency(p95_ms=1000, ttft_p50_ms=300, e2e_max_ms=5000, itl_p99_ms=9, mean_ms=4).limits()
    assert sorted(marks_of(limits)) == [
        ("e2e", 0.0, 5000, "max"),
        ("e2e", pytest.approx(0.05), 1000, "p95"),
        ("ttft", 0.5, 300, "p50"),
    ]


@pytest.mark.parametrize("slow", [0, 45, 60])
def test_a_load_that_goes_as_it_may_is_left_alone(slow):
    """So many over a limit as it allows, or as chance brings; a failed answer; a request on its way."""
    assert alarm(HEALTHY, PLAN, (P95,), over(slow, 900)) is None


def test_a_limit_that_is_surely_broken():
    """With how many requests."""
    assert alarm(HEALTHY, PLAN, (P95,), over(90, 900)) == (
        "90 of 900 requests were over the limit of 1000 ms on p95 of end-to-end latency"
    )
    ttft = Mark("ttft", 0.0, 300.0, "max")
    assert alarm(HEALTHY, PLAN, (ttft,), over(1, 900)) == (
        "1 of 900 requests were over the limit of 300 ms on the maximum of time to first token"
    )


@pytest.mark.parametrize(
    ("timeout_s", "marks", "hangs_s"),
    [
        (60, (), 54),  # near its time limit: then it can still be seen
        (60, (P95,), 5),
        (60, (Mark("e2e", 0.01, 100.0, "p99"),), 2),
        (60, (Mark("ttft", 0.01, 100.0, "p99"),), 54),  # a long answer may follow a quick token
        (2, (P95,), 1.8),
    ],
)
def test_a_request_hangs_that_is_well_past_its_limit(timeout_s, marks, hangs_s):
    """At the limit, not before."""
    plan = LoadPlan(timeout_ns=timeout_s * S)
    assert hang_ns(plan, marks) == hangs_s * S
    for oldest_ns, rings in ((round(hangs_s * S) - 1, False), (round(hangs_s * S), True)):
        now = LoadProgress(elapsed_ns=S, oldest_ns=oldest_ns)
        assert (alarm(now, plan, marks, over(0, 0)) is not None) is rings
    now = LoadProgress(elapsed_ns=S, oldest_ns=55_240_000_000)
    assert alarm(now, plan, marks, over(0, 0)) == "a request had gone without its full answer for 55.2 s"


@pytest.mark.parametrize(
    ("by_outcome", "why"),
    [
        ({"timed_out": 1, "refused": 2}, "1 request ran out of time"),
        ({"ok": 5, "refused": 2}, "2 requests got no connection"),
    ],
)
def test_requests_that_went_unanswered(by_outcome, why):
    """Where they were too quick to be seen while they hung."""
    assert alarm(LoadProgress(elapsed_ns=S, by_outcome=by_outcome), PLAN, (), over(0, 0)) == why


@pytest.mark.parametrize(
    ("slow", "n", "share", "sure"),
    [
        (0, 0, 0.05, False),
        (1, 1, 0.0, True),
        (3, 3, 0.05, True),  # one in 8000 by chance
        (2, 2, 0.05, False),  # one in 400
        (20, 20, 0.5, True),
        (9, 9, 0.5, False),
        (70, 900, 0.05, False),
        (90, 900, 0.05, True),
    ],
)
def test_chance_is_no_broken_limit(slow, n, share, sure):
    """Chernoff's bound at one in a thousand."""
    assert surely_over(slow, n, share) is sure


def test_few_dumps_and_not_close_together():
    """Each holds the server up a little."""
    for hang in (True, False):
        assert due([], 5, hang)
        assert not due([5], 5 + 10 * S - 1, hang)
        assert due([5], 5 + 10 * S, hang)
        assert due([1, 2], 100 * S, hang) is hang, "the last one is for a hang"
        assert not due([1, 2, 3], 100 * S, hang)


def test_what_was_looked_into_is_no_reason_again_unless_it_grows():
    """A load goes on for hours after two requests were lost; another reason still counts."""
    now = LoadProgress(elapsed_ns=S, by_outcome={"timed_out": 2})
    seen = {"timed_out": (2, 900)}
    assert alarm(now, PLAN, (P95,), over(0, 900), seen) is None
    assert alarm(now, PLAN, (P95,), over(90, 900), seen).startswith("90 of 900 requests were over ")
    later = LoadProgress(elapsed_ns=S, by_outcome={"timed_out": 3})
    assert alarm(later, PLAN, (P95,), over(0, 900), seen) == "3 requests ran out of time"
    assert alarm(later, PLAN, (P95,), None, {}) is None, "nothing but a hang counts"


@pytest.mark.parametrize(("slow", "n", "rings"), [(95, 1000, False), (91, 5000, False), (120, 1000, True)])
def test_a_limit_that_was_broken_counts_again_only_by_what_came_since(slow, n, rings):
    """A slow start makes a limit broken for good: 90 of 900 were over it then."""
    seen = {"p95 of end-to-end latency": (90, 900)}
    assert surely_over(95, 1000, 0.05)
    assert (alarm(HEALTHY, PLAN, (P95,), over(slow, n), seen) is not None) is rings
