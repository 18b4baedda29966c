"""A marker of several limits is as certain as one of a single limit; each marker of a test on its own.

1,000 simulated runs, each limit exactly at the true quantile: what is just kept or just broken, a
coin could not tell. Bounds are such that a right judgement goes beyond them once in a million times.
"""

from __future__ import annotations

import math
import random

import pytest
from scipy.stats import binom

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.goodput import Goodput
from pytest_llmserve.checks.judging import judged
from pytest_llmserve.checks.latency import Latency

MARKERS = 1000
REQUESTS = 150
MOST_WRONG = int(binom.isf(1e-6, MARKERS, 0.05))
"""Of 1,000, where 5 % are wrong in truth."""

ERLANG_P90 = 3.889720
"""Of the sum of two exponential times of mean 1: exp(-x) (1 + x) = 0.1."""

TRUTH = {
    "ttft_p50_ms": 100 * math.log(2),
    "ttft_p90_ms": 100 * math.log(10),
    "tpot_p50_ms": 100 * math.log(2),
    "tpot_p90_ms": 100 * math.log(10),
    "e2e_p90_ms": 100 * ERLANG_P90,
}
ALMOST = TRUTH["ttft_p90_ms"] * (1 - 1e-9)


def test_the_true_quantile_of_the_sum():
    assert math.exp(-ERLANG_P90) * (1 + ERLANG_P90) == pytest.approx(0.1, abs=1e-7)


@pytest.fixture(scope="module")
def runs(make):
    """Of independent answers of two tokens: TTFT and the time of the second exponential, of mean 100 ms."""
    source = random.Random(20)

    def answer(number: int):
        return make.streamed(number, 100 * source.expovariate(1), [100 * source.expovariate(1)])

    return [make.run([answer(i) for i in range(REQUESTS)]) for _ in range(MARKERS)]


def words(check, run):
    return [verdict.verdict for verdict in check.judge(Evidence(runs=(run,)))]


def test_five_limits_just_kept_fail_as_seldom_as_one(runs):
    """Failing is corrected for their number (Holm); without it one in eight such markers would fail."""
    kept = Latency(**{name: limit_ms * (1 + 1e-9) for name, limit_ms in TRUTH.items()})
    failed = sum("fail" in words(kept, run) for run in runs)
    assert failed <= MOST_WRONG
    singly = sum(
        any(
            "fail" in words(Latency(**{name: limit_ms * (1 + 1e-9)}), run) for name, limit_ms in TRUTH.items()
        )
        for run in runs[:200]
    )
    assert singly > 2 * 0.05 * 200


def test_one_limit_just_broken_among_five_passes_as_seldom_as_alone(runs):
    """A marker passes when all its limits do (intersection-union), so the others need no correction."""
    broken = Latency(**{name: 5 * limit_ms for name, limit_ms in TRUTH.items()} | {"ttft_p90_ms": ALMOST})
    found = [words(broken, run) for run in runs]
    place = [figure + statistic for figure, statistic, _ in broken.limits()].index("ttftp90")
    alone = sum(each[place] == "pass" for each in found)
    passed = sum(set(each) == {"pass"} for each in found)
    assert 0 < passed <= alone <= MOST_WRONG


def test_markers_of_a_test_are_judged_each_on_its_own(runs):
    """A further marker neither excuses nor accuses what the first one says: 95 % are each marker's."""
    latency = Latency(ttft_p90_ms=0.8 * TRUTH["ttft_p90_ms"], ttft_p50_ms=TRUTH["ttft_p50_ms"])
    goodput = Goodput(min=0.9, e2e_ms=0.9 * TRUTH["e2e_p90_ms"])
    seen = set()
    for run in runs[:100]:
        evidence = Evidence(runs=(run,))
        together = judged([latency, goodput], evidence)
        assert together == [*latency.judge(evidence), *goodput.judge(evidence)]
        seen.update(verdict.verdict for verdict in together)
    assert seen == {"pass", "fail", "undecided"}
