"""Workers' beats to one picture of a run that goes on."""

from __future__ import annotations

import math
import sys
import threading
from array import array

import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.load.job import Beat
from pytest_llmserve.load.progress import LatenciesSoFar, ProgressTally, planned_ns
from pytest_llmserve.load.pulse import Pulse

S = 1_000_000_000


def floats(*values):
    return array("f", values).tobytes()


def record(outcome="ok", e2e_ms=8, ttft_ms=2, tokens=5, **given):
    rest = dict.fromkeys(RequestRecord.__struct_fields__)
    del rest["texts"]
    rest |= {"id": 0, "scheduled_ns": 0, "sent_ns": 1000, "end_ns": 1000 + e2e_ms * 1_000_000}
    rest |= {"token_ns": () if ttft_ms is None else (1000 + ttft_ms * 1_000_000,), "warm_up": False}
    rest |= {"outcome": outcome, "output_tokens": tokens, "input_chars": 0, "output_chars": 0, "attempt": 1}
    return RequestRecord(**{**rest, **given})


def test_a_pulse_tells_each_request_once():
    """Counts by outcome, tokens and latencies since the last look; then it starts anew."""
    pulse = Pulse()
    for each in (record(), record("timed_out"), record(e2e_ms=16, tokens=None)):
        pulse.add(each)
    beat = pulse.take(sent=4, active=1)
    assert beat == Beat(
        sent=4,
        active=1,
        by_outcome={"ok": 2, "timed_out": 1},
        tokens=5,
        e2e_ms=floats(8, math.inf, 16),
        ttft_ms=floats(2, math.inf, 2),
    )
    assert pulse.take(sent=4, active=0) == Beat(sent=4)


def test_a_pulse_loses_nothing_between_two_threads():
    """One adds, the other takes, whenever it likes."""
    pulse, each, beats = Pulse(), record(), []
    adding = threading.Thread(target=lambda: [pulse.add(each) for _ in range(30_000)])
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        adding.start()
        while adding.is_alive():
            beats.append(pulse.take(sent=0, active=0))
        adding.join()
    finally:
        sys.setswitchinterval(switch)
    beats.append(pulse.take(sent=0, active=0))
    assert sum(beat.by_outcome.get("ok", 0) for beat in beats) == 30_000
    assert sum(beat.tokens for beat in beats) == 150_000
    assert sum(len(beat.e2e_ms) for beat in beats) == 4 * 30_000
    assert len(beats) > 2


def test_a_pulse_keeps_warm_up_apart():
    pulse = Pulse()
    pulse.add(record(warm_up=True))
    pulse.add(record("reset", warm_up=True))
    assert pulse.take(sent=2, active=0) == Beat(sent=2, warm_up=2, warm_up_ok=1, warm_up_tokens=5)


def test_an_answer_without_a_token_has_no_time_to_it():
    """It is neither quick nor failed."""
    pulse = Pulse()
    pulse.add(record(ttft_ms=None))
    beat = pulse.take(sent=1, active=0)
    assert (beat.e2e_ms, beat.ttft_ms) == (floats(8), b"")


def test_the_beats_of_all_workers_are_one_picture():
    tally = ProgressTally(LoadPlan(users=4, requests=50, duration_ns=20 * S, warm_up_ns=5 * S), 100 * S)
    tally.add(0, Beat(sent=7, active=2, by_outcome={"ok": 4}, tokens=40, e2e_ms=floats(1, 2, 3, 4)), 101 * S)
    tally.add(1, Beat(sent=5, active=1, by_outcome={"ok": 1}, tokens=10, e2e_ms=floats(8)), 101 * S)
    beat = Beat(sent=9, active=0, by_outcome={"reset": 1, "dropped": 2}, e2e_ms=floats(*[math.inf] * 3))
    tally.add(1, beat, 102 * S)
    now = tally.progress(102 * S)
    assert (now.elapsed_ns, now.total_ns, now.total_requests) == (2 * S, 25 * S, 50)
    assert (now.sent, now.active, now.tokens) == (16, 2, 50)
    assert (now.ended, now.ok, now.failed, now.dropped) == (8, 5, 1, 2)
    assert (now.e2e_ms.n, now.e2e_ms.p50, now.e2e_ms.p99) == (8, 4.0, math.inf)
    assert (now.requests_per_s, now.tokens_per_s) == (2.5, 25.0)
    assert math.isnan(now.ttft_ms.p99)


def test_before_anything_is_told_nothing_is_known():
    now = ProgressTally(LoadPlan(users=1, requests=9), 100 * S).progress(99 * S)
    assert (now.elapsed_ns, now.total_ns, now.ended, now.sent) == (0, None, 0, 0)
    assert math.isnan(now.requests_per_s)
    assert math.isnan(now.e2e_ms.p50)


def test_rates_are_of_the_last_seconds():
    """A server that has stopped answering is not shown with the rate of its good days."""
    tally = ProgressTally(LoadPlan(users=1, duration_ns=60 * S), 0)
    for second in range(1, 11):
        tally.add(0, Beat(by_outcome={"ok": 10}, tokens=30), second * S)
    assert tally.progress(10 * S).requests_per_s == 10.0
    for second in range(11, 14):
        tally.add(0, Beat(by_outcome={"timed_out": 1}), second * S)
    now = tally.progress(13 * S)
    assert (now.requests_per_s, now.tokens_per_s) == (4.0, 12.0)
    for second in range(14, 17):
        tally.add(0, Beat(), second * S)
    assert tally.progress(16 * S).requests_per_s == 0.0


def test_no_news_no_new_picture():
    """The same object until something was told and some time has passed; the end is told at once."""
    tally = ProgressTally(LoadPlan(users=1, requests=9), 0)
    first = tally.progress(0)
    assert tally.progress(5 * S) is first
    tally.add(0, Beat(by_outcome={"ok": 1}), 5 * S)
    second = tally.progress(5 * S)
    assert second.ok == 1
    tally.add(0, Beat(by_outcome={"ok": 1}), 5 * S)
    assert tally.progress(5 * S + 100_000_000) is second
    assert tally.progress(5 * S + 100_000_000, over=True).ok == 2


@pytest.mark.parametrize(
    ("plan", "planned"),
    [
        (LoadPlan(users=1, requests=5), None),
        (LoadPlan(users=1, requests=5, duration_ns=7), 7),
        (LoadPlan(users=1, duration_ns=7, warm_up_ns=2), 9),
    ],
)
def test_the_planned_length_counts_warm_up(plan, planned):
    assert planned_ns(plan) == planned


def test_latencies_are_exact_as_long_as_they_are_few():
    found = LatenciesSoFar(most=100)
    for value in (5, 1, 4, 2, 3):
        found.add(floats(value))
    quantiles = found.quantiles()
    assert (quantiles.p50, quantiles.p99, quantiles.n) == (3.0, 5.0, 5)
    found.add(floats(*range(6, 101)))
    quantiles = found.quantiles()
    assert (quantiles.p50, quantiles.p99, quantiles.n) == (50.0, 99.0, 100)


def test_many_latencies_are_sampled_evenly():
    """Early and late values alike, whatever their order; and no more are kept."""
    rising = LatenciesSoFar(most=2000)
    for start in range(0, 40_000, 1000):
        rising.add(floats(*range(start, start + 1000)))
        rising.quantiles()
    quantiles = rising.quantiles()
    assert quantiles.n == 40_000
    assert quantiles.p50 == pytest.approx(20_000, rel=0.1)
    assert quantiles.p99 == pytest.approx(39_600, rel=0.01)
    assert len(rising._values) == 2000


def test_how_many_answers_are_over_a_limit():
    """Failed ones are not among them, but among all; at the limit is within it."""
    latencies = LatenciesSoFar()
    latencies.add(array("f", [5.0, 30.0, math.inf, 20.0, 40.0]).tobytes())
    assert latencies.over(20.0) == (2, 5)
    assert latencies.over(50.0) == (0, 5)
    assert LatenciesSoFar().over(1.0) == (0, 0)


def test_the_oldest_request_is_that_of_any_worker():
    """None while nothing is under way."""
    tally = ProgressTally(LoadPlan(requests=9), 0)
    tally.add(0, Beat(sent=1, active=1, oldest_ns=S), S)
    tally.add(1, Beat(sent=1, active=1, oldest_ns=3 * S), S)
    tally.add(2, Beat(), S)
    assert tally.progress(S).oldest_ns == 3 * S
    for worker in (0, 1):
        tally.add(worker, Beat(sent=1), 2 * S)
    assert tally.progress(2 * S).oldest_ns is None
