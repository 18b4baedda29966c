"""Verdicts over simulated runs are wrong no more often than they say; `make proof` asks more of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pytest_llmserve.checks import latency, shares
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.stats import dependence, sequential

RUNS = 150
STATED, STATED_IN_QUEUES = 0.05, 0.07

CELLS = [
    ("exponential", 300, "p99", STATED),
    ("lognormal-1", 300, "p50", STATED),
    ("mm1-80", 1000, "p99", STATED_IN_QUEUES),
    ("mm1-80", 300, "goodput99", STATED_IN_QUEUES),
    ("mm4-80", 1000, "p99", STATED_IN_QUEUES),
    ("ar1-90", 300, "p99", STATED_IN_QUEUES),
    ("failures-1", 300, "errors", STATED),
]


@pytest.mark.parametrize(("process", "requests", "claim", "rate"), CELLS, ids=lambda value: str(value))
def test_verdicts_at_the_very_limit_are_rarely_wrong(proof, process, requests, claim, rate):
    """The limit a hair below and above the truth: passed, or failed, in at most so many of the runs."""
    harness = proof("harness")
    asked = harness.Question(process, requests, RUNS, (claim,), (harness.JUST_BROKEN, harness.JUST_KEPT))
    for cell in harness.answer(asked):
        assert cell.runs == RUNS
        assert cell.wrong <= harness.most_wrong(rate, RUNS), harness.told(cell)


def test_a_clear_case_is_decided(proof):
    """Never a wrong verdict, but always undecided, would be no use."""
    harness = proof("harness")
    for process, least in (("exponential", 40), ("mm1-50", 30)):
        asked = harness.Question(process, 1000, 40, ("p90",), (0.5, 2.0))
        broken, kept = harness.answer(asked)
        assert broken.failed >= least, harness.told(broken)
        assert kept.passed >= least, harness.told(kept)


def test_without_the_discount_a_queue_would_be_passed_wrongly(proof, monkeypatch):
    """The measure itself: neighbours taken as strangers break the promise, and this file would see it."""
    for module in (latency, shares, sequential):
        monkeypatch.setattr(module, "inflation_of", lambda *given, **named: dependence.Inflation(1.0, 1.0))
    harness = proof("harness")
    asked = harness.Question("mm1-80", 1000, RUNS, ("p99",), (harness.JUST_BROKEN,))
    (cell,) = harness.answer(asked)
    assert cell.wrong > harness.most_wrong(STATED_IN_QUEUES, RUNS)


def test_looking_again_and_again_does_not_make_verdicts_wrong(proof):
    """until="decided", the limit a hair from the truth: the chance of a wrong end is that of all looks."""
    harness = proof("harness")
    just = (harness.JUST_BROKEN, harness.JUST_KEPT)
    for cell in harness.answer(harness.Question("exponential", 500, RUNS, ("p90",), just, "decided")):
        assert cell.wrong <= harness.most_wrong(STATED, RUNS), harness.told(cell)


@pytest.mark.proof
def test_fixed_verdicts_looked_at_again_and_again_would_be_wrong(proof, monkeypatch):
    """The measure itself: this is why a run until decided has bounds of its own."""
    harness = proof("harness")
    monkeypatch.setattr(harness, "plan", lambda until: LoadPlan(users=8))
    monkeypatch.setattr(harness, "judge_until", harness.judge_each_look)
    asked = harness.Question("exponential", 1000, RUNS, ("p50",), (harness.JUST_KEPT,), "decided")
    (cell,) = harness.answer(asked)
    assert cell.wrong > harness.most_wrong(STATED, RUNS)


def test_the_first_decided_look_is_found_by_bisection(proof):
    """As by looking at each, in every run: what is decided once stays decided."""
    harness = proof("harness")
    drawn = proof("processes").PROCESSES["mm1-50"].draw(np.random.default_rng(8), 3, 400)
    checks = [latency.Latency(p90_ms=limit) for limit in (200.0, 460.5, 900.0)]
    for late, sent in zip(drawn.latency.tolist(), drawn.sent.tolist(), strict=True):
        made = harness.records(sent, late)
        assert harness.judge_until(made, checks) == harness.judge_each_look(made, checks)


def test_a_wrong_verdict_is_counted_on_the_side_where_it_is_wrong(proof):
    harness = proof("harness")
    broken = harness.Cell("exponential", 100, "p99", harness.JUST_BROKEN)
    kept = harness.Cell("exponential", 100, "p99", harness.JUST_KEPT)
    for cell in (broken, kept):
        for verdict, times in (("pass", 1), ("fail", 2), ("undecided", 3)):
            for _ in range(times):
                cell.count(harness.Judged(verdict, 100))
    assert (broken.wrong, kept.wrong) == (1, 2)
    assert broken.runs == kept.runs == 6
    assert broken.used == 600


def test_looks_come_as_the_engine_takes_them(proof):
    """A tenth more each time and twenty at least; the last sees the whole run."""
    seen = list(proof("harness").looks(1000))
    assert seen[:4] == [20, 40, 60, 80]
    assert seen[-1] == 1000
    assert all(b - a >= 20 and b >= 1.1 * a for a, b in pairwise(seen[:-1]))


def test_the_same_question_has_the_same_answer(proof):
    harness = proof("harness")
    asked = harness.Question("mm1-50", 100, 10, ("p90",))
    assert harness.answer(asked) == harness.answer(asked)
