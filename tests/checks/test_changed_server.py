"""A load until decided whose server changes: what an early look showed does not outlive what came after."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.error_rate import ErrorRate
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.goodput import Goodput
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.domain.plan import DECIDED, LoadPlan

CHANGED = "the server changed during the run: the limit was shown to be "
LOST = f"{CHANGED}kept at first, and is not any more"
MENDED = f"{CHANGED}broken at first, and is kept since"


@pytest.fixture
def until(make):
    """A run until decided of these latencies, a word where the request failed."""
    plan = LoadPlan(users=4, until=DECIDED, duration_ns=600_000_000_000)
    return lambda outcomes: make.run([make.record(i, o) for i, o in enumerate(outcomes)], plan=plan)


def jittered(level_ms, n):
    return [level_ms + i * 7 % 10 / 10 for i in range(n)]


def judged(check, run):
    (verdict,) = check.judge(Evidence(runs=(run,)))
    if verdict.interval is not None:
        assert verdict.interval[0] <= verdict.interval[1]
    return verdict


@pytest.mark.parametrize(
    ("check", "later"),
    [
        (Latency(p99_ms=400), 550.0),
        (Latency(p95_ms=400), 550.0),
        (Latency(mean_ms=400), 550.0),
        (Goodput(min=0.9, e2e_ms=400), 550.0),
        (ErrorRate(max=0.05), "http_5xx"),
    ],
    ids=["p99", "p95", "mean", "goodput", "error rate"],
)
def test_a_server_that_broke_after_its_limit_was_shown_to_be_kept_does_not_pass(check, later, until):
    healthy = jittered(55, 900)
    assert judged(check, until(healthy)).verdict == "pass"
    broke = [later] * 3000 if isinstance(later, str) else jittered(later, 3000)
    found = judged(check, until(healthy + broke))
    assert (found.verdict, found.holds) == ("undecided", False)
    assert found.fails(strict=False)
    assert LOST in found.sentence


@pytest.mark.parametrize(
    "check",
    [Latency(p95_ms=400), Latency(mean_ms=400), Goodput(min=0.9, e2e_ms=400)],
    ids=["p95", "mean", "goodput"],
)
def test_a_server_that_was_slow_at_first_is_not_accused_for_ever(check, until):
    cold = jittered(5000, 150)
    assert judged(check, until(cold)).verdict == "fail"
    found = judged(check, until(cold + jittered(55, 5000)))
    assert (found.verdict, found.holds) == ("undecided", True)
    assert not found.fails(strict=False)
    assert MENDED in found.sentence


def test_it_says_so_in_words(until):
    found = judged(Latency(p95_ms=400), until(jittered(55, 900) + jittered(550, 3000)))
    assert found.sentence == (f"p95 e2e latency 551 ms > 400 ms, undecided (n=3900): {LOST}")
