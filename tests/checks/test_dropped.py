"""Arrivals that the load generator dropped are no evidence about the server."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pytest_llmserve.checks.error_rate import ErrorRate
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.goodput import Goodput
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.checks.throughput import Throughput
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import GeneratorHealth

PLAN = LoadPlan(rate=100.0, requests=1000)
SATURATED = "dropped 12 of 1012 arrivals: they could not be sent when they were due"
BUSY = f"the load generator was the bottleneck ({SATURATED}); add --llm-load-workers"


@pytest.fixture
def run(make):
    """1000 answers in 100 ms each, and 12 arrivals never sent; `health` is what the generator says."""

    def made(**health):
        records = [make.record(i, 100.0) for i in range(1000)]
        never = {"outcome": "dropped", "sent_ns": None, "end_ns": None, "token_ns": ()}
        records += [replace(records[0], id=1000 + i, scheduled_ns=i, **never) for i in range(12)]
        return make.run(records, plan=PLAN, healthy=GeneratorHealth(dropped=12, **health), steady_s=10.0)

    return made


def only(check, found):
    (verdict,) = check.judge(Evidence(runs=(found,)))
    return verdict


def test_they_are_neither_failed_nor_judged(run):
    """The error rate is of what was sent, and passes."""
    found = run(saturated=SATURATED)
    assert (len(found.dropped), len(found.tried), len(found.failed), found.error_rate) == (12, 1000, 0, 0.0)
    assert found.counts["dropped"] == found.by_outcome["dropped"] == 12
    assert found.counts["sent"] == 1000
    verdict = only(ErrorRate(max=0.01), found)
    assert (verdict.verdict, verdict.n, verdict.estimate) == ("pass", 1000, 0.0)


@pytest.mark.parametrize(
    ("check", "estimate", "holds"),
    [
        (Latency(p99_ms=200), 100.0, True),
        (Latency(p99_ms=50), 100.0, False),
        (Goodput(min=0.9, e2e_ms=200), 1.0, True),
        (Throughput(min_rps=50), 99.0, True),
    ],
)
def test_too_many_leave_latency_goodput_and_throughput_undecided(run, check, estimate, holds):
    """Less was sent than planned, at the very times when it mattered."""
    verdict = only(check, run(saturated=SATURATED))
    assert (verdict.verdict, verdict.holds) == ("undecided", holds)
    assert verdict.estimate == pytest.approx(estimate)
    assert verdict.sentence.endswith(BUSY)


@pytest.mark.parametrize("check", [Latency(p99_ms=200), Goodput(min=0.9, e2e_ms=200)])
def test_a_few_are_forgiven(run, check):
    """The engine did not call itself saturated."""
    verdict = only(check, run())
    assert (verdict.verdict, verdict.n) == ("pass", 1000)


def test_a_run_of_dropped_arrivals_only_is_no_evidence(run, make):
    found = make.run(run().dropped, plan=PLAN, healthy=GeneratorHealth(dropped=12, saturated=SATURATED))
    for check in (ErrorRate(max=0.1), Latency(p99_ms=200), Goodput(min=0.9, e2e_ms=9), Throughput(min_rps=1)):
        verdict = only(check, found)
        assert (verdict.verdict, verdict.estimate) == ("undecided", None)
        assert verdict.sentence.endswith(
            f"no evidence, no request was sent ({SATURATED}); add --llm-load-workers"
        )


def test_checks_use_the_latency_from_the_schedule(make):
    """A request that had to wait 300 ms for its send is not told as fast."""
    late = [make.record(i, 100.0, scheduled_ns=i * 10_000_000 - 300_000_000) for i in range(400)]
    for from_schedule, expected in ((False, 100.0), (True, 400.0)):
        records = [replace(r, from_schedule=from_schedule) for r in late]
        assert only(Latency(p99_ms=200), make.run(records, plan=PLAN)).estimate == expected
