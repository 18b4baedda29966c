"""Rates of a window and of stages, from records made by hand."""

from __future__ import annotations

import math

import pytest

from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult

S = 1_000_000_000
LATENCY_S, TOKENS = 10, 20


def answered(number: int, sent_s: float, **changes) -> RequestRecord:
    """An answer that takes 10 s, with a token each half of a second."""
    sent_ns = round(sent_s * S)
    stamps = tuple(sent_ns + (place + 1) * LATENCY_S * S // TOKENS for place in range(TOKENS))
    fields = {
        "id": number,
        "scheduled_ns": sent_ns,
        "sent_ns": sent_ns,
        "first_byte_ns": stamps[0],
        "end_ns": stamps[-1],
        "token_ns": stamps,
        "status": 200,
        "outcome": "ok",
        "error": None,
        "input_chars": 10,
        "output_chars": 40,
        "output_tokens": TOKENS,
        "tokens_from": "usage",
        "finish_reason": "stop",
    }
    return RequestRecord(**fields | changes)


def steady(users: int, plan: LoadPlan, start_s: float = 0.0, until_s: float = 70.0, apart_s: float = 0.5):
    """A server that answers each request in 10 s; its users begin one after the other."""
    records = []
    for user in range(users):
        at_s = start_s + user * apart_s
        while at_s < until_s:
            warm_up = at_s - start_s < plan.warm_up_ns / S
            stage = max(0, int(at_s - start_s - plan.warm_up_ns / S) // 30) if plan.steps else 0
            records.append(answered(len(records), at_s, warm_up=warm_up, stage=stage))
            at_s += LATENCY_S
    return records


def run(plan: LoadPlan, records, window_s, **changes) -> LoadResult:
    window_ns = (round(window_s[0] * S), round(window_s[1] * S))
    return LoadResult(plan, records, GeneratorHealth(), window_ns, **changes)


@pytest.mark.parametrize("apart_s", [0.5, 0.0], ids=["spread", "in waves"])
def test_throughput_of_a_steady_server_is_its_rate_whatever_the_warm_up(apart_s):
    """20 users, 10 s an answer: 2 requests/s, also of answers that the warm-up has begun."""
    plan = LoadPlan(users=20, warm_up_ns=10 * S, duration_ns=60 * S)
    found = run(plan, steady(20, plan, apart_s=apart_s), (10, 70))
    assert found.throughput.requests_per_s == pytest.approx(2.0)
    assert found.throughput.output_tokens_per_s == pytest.approx(2.0 * TOKENS)
    assert len(found.warm_up) == 20
    (_, row) = found.stages
    assert (row["requests_per_s"], row["n"]) == (found.throughput.requests_per_s, len(found.requests))


def test_each_stage_has_the_rate_of_its_own_time():
    """The first one's too, whose first answers the warm-up has begun."""
    plan = LoadPlan(stages=(Stage(20, 20, 30 * S), Stage(20, 20, 30 * S)), warm_up_ns=20 * S)
    warm_up, *rows = run(plan, steady(20, plan, until_s=80), (20, 80)).stages
    assert [row["requests_per_s"] for row in rows] == pytest.approx([2.0, 2.0])
    assert [row["output_tokens_per_s"] for row in rows] == pytest.approx([40.0, 40.0])
    assert [row["n"] for row in rows] == [60, 60]
    assert (warm_up["n"], warm_up["requests_per_s"]) == (40, pytest.approx(1.0)), "10 s without an answer"


def test_warm_up_answers_of_unknown_length_spoil_only_a_window_that_they_reach():
    plan = LoadPlan(users=1, warm_up_ns=20 * S, duration_ns=20 * S)
    uncounted = {"output_tokens": None, "tokens_from": None, "warm_up": True}
    early, late = answered(0, 0, **uncounted), answered(1, 15, **uncounted)
    measured = answered(2, 25)
    assert run(plan, [early, measured], (20, 40)).throughput.output_tokens_per_s == pytest.approx(1.0)
    spoiled = run(plan, [late, measured], (20, 40)).throughput
    assert math.isnan(spoiled.output_tokens_per_s)
    assert (spoiled.tokens_from, spoiled.requests_per_s) == (None, pytest.approx(0.1))


def test_a_window_without_answers_has_a_rate_of_none():
    """Not an unknown one: what was answered at other times was counted."""
    found = run(LoadPlan(users=1), [answered(0, 0)], (20, 40)).throughput
    assert (found.requests_per_s, found.output_tokens_per_s, found.tokens_from) == (0.0, 0.0, "usage")


@pytest.mark.parametrize(("ramp_up_s", "window_s"), [(0, (110, 140)), (4, (110, 140)), (25, (125, 140))])
def test_the_warm_up_row_is_the_warm_up_however_long_the_ramp_up(ramp_up_s, window_s):
    plan = LoadPlan(users=2, warm_up_ns=10 * S, ramp_up_ns=ramp_up_s * S, duration_ns=30 * S)
    rows = run(plan, [answered(0, 100, warm_up=True), answered(1, 110)], window_s, start_ns=100 * S).stages
    assert [(row["start_s"], row["end_s"]) for row in rows] == [(0, 10), (window_s[0] - 100, 40)]


def test_rows_count_from_the_start_of_the_run():
    """Also where the steady window begins elsewhere than after the warm-up: a short closed loop."""
    plan = LoadPlan(users=2, warm_up_ns=10 * S, requests=2)
    records = [answered(0, 101, warm_up=True), answered(1, 113)]
    rows = run(plan, records, (113, 123), start_ns=100 * S).stages
    assert [(row["start_s"], row["end_s"]) for row in rows] == [(0, 10), (13, 23)]
    without = run(LoadPlan(users=2, ramp_up_ns=5 * S), records, (113, 123)).stages
    assert [(row["start_s"], row["end_s"]) for row in without] == [(5, 15)]
