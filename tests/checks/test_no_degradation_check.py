"""The end of a run against its beginning."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.no_degradation import NoDegradation
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.result import GeneratorHealth
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.domain.verdict import FAIL, PASS, UNDECIDED


def latencies(n: int, *, seed: int = 1, sigma: float = 0.1) -> list:
    return [float(v) for v in 100 * np.exp(sigma * np.random.default_rng(seed).standard_normal(n))]


def words(verdicts) -> list[str]:
    return [v.verdict for v in verdicts]


@pytest.fixture
def judge(make):
    def judge_latencies(values, percent=10.0, **more):
        return NoDegradation(percent=percent).judge(Evidence(runs=(make.run_of(values, **more),)))

    return judge_latencies


def test_a_server_that_stays_as_quick_passes(judge):
    p50, p95 = judge([80.0, 100.0, 120.0, 100.0] * 400)
    assert (p50.verdict, p95.verdict) == (PASS, PASS)
    assert (p50.check, p50.what, p50.limit, p50.estimate, p50.n) == (
        "no_degradation",
        "p50 e2e latency over the run",
        10.0,
        0.0,
        800,
    )
    assert p50.sentence == (
        "p50 e2e latency over the run +0.0% <= 10% (first to last quarter 100 -> 100 ms,"
        " 95% interval +0.0 to +0.0%, n=400 and 400)"
    )
    assert p95.what == "p95 e2e latency over the run"


def test_a_decay_of_20_percent_over_the_run_is_found(judge):
    values = [v * (1 + 0.2 * i / 4000) for i, v in enumerate(latencies(4000))]
    p50, p95 = judge(values)
    assert (p50.verdict, p95.verdict) == (FAIL, FAIL)
    assert p50.estimate == pytest.approx(14.6, abs=1.5)
    assert p50.sentence == (
        "p50 e2e latency over the run +15% > 10% (first to last quarter 102 -> 117 ms,"
        " 95% interval +13 to +16%, n=1000 and 1000)"
    )


def test_stalls_that_begin_late_are_found_by_the_tail(judge):
    """One request in ten is slow from the middle on: the median does not move."""
    values = latencies(4000)
    values[2000::10] = [v * 3 for v in values[2000::10]]
    p50, p95 = judge(values)
    assert (p50.verdict, p95.verdict) == (PASS, FAIL)


def test_a_server_that_gets_quicker_passes(judge):
    """A slow first second, as of a cold cache, is no degradation."""
    verdicts = judge([300.0] * 30 + [100.0] * 1970)
    assert FAIL not in words(verdicts)
    assert verdicts[0].verdict == PASS
    assert all(v.holds for v in verdicts)


def test_failures_late_in_the_run_are_a_slow_down(judge):
    values = [100.0] * 800
    values[600:] = ["refused" if i % 4 == 0 else 100.0 for i in range(200)]
    p50, p95 = judge(values)
    assert p50.verdict != FAIL
    assert p95.verdict == FAIL
    assert p95.sentence == (
        "p95 e2e latency over the run first to last quarter 100 ms -> never (failed):"
        " 50 of 800 requests failed (refused 50)"
    )


def test_failures_in_the_beginning_alone_are_none(judge):
    values = [100.0] * 800
    values[:200] = ["refused" if i % 4 == 0 else 100.0 for i in range(200)]
    assert words(judge(values)) == [PASS, PASS]


def test_a_server_that_answers_nothing_fails(judge):
    p50, p95 = judge(["refused"] * 40)
    assert (p50.verdict, p95.verdict) == (FAIL, FAIL)
    assert p50.sentence == (
        "p50 e2e latency over the run first to last quarter never (failed) -> never (failed):"
        " all 40 requests failed (refused 40)"
    )


def test_failures_throughout_leave_the_tail_undecided_and_fail_the_test(judge):
    _, p95 = judge(["refused" if i % 7 == 0 else 100.0 for i in range(800)])
    assert (p95.verdict, p95.holds) == (UNDECIDED, False)
    assert p95.sentence.endswith("failures reach this figure on both sides")


def test_what_chance_explains_holds_and_says_what_could_have_been_seen(judge):
    """Over the limit by its estimate, within noise by its interval: no healthy server fails for it."""
    p50, _ = judge(latencies(80, seed=11, sigma=0.5))
    assert p50.estimate > 10
    assert (p50.verdict, p50.holds, p50.fails(strict=False), p50.fails(strict=True)) == (
        UNDECIDED,
        True,
        False,
        True,
    )
    assert p50.sentence == (
        "p50 e2e latency over the run +22% > 10%, undecided (first to last quarter 97.2 -> 119 ms,"
        " 95% interval -32 to +46%, n=20 and 20): no difference seen, smallest detectable was 81%:"
        " 10% takes about 780 requests in each quarter"
    )


def test_too_few_requests_say_how_many_are_needed(judge):
    _, p95 = judge([100.0, 101.0, 99.0, 102.0] * 40)
    assert p95.verdict == UNDECIDED
    assert p95.sentence == (
        "p95 e2e latency over the run +0.0% <= 10%, undecided (first to last quarter 102 -> 102 ms,"
        " 95% interval unbounded, n=40 and 40): 62 requests in each quarter are needed"
    )


def test_too_few_requests_for_the_tail_do_not_hide_a_slow_median(judge):
    p50, p95 = judge([*latencies(80), *(3 * v for v in latencies(80, seed=2))])
    assert (p50.verdict, p95.verdict) == (FAIL, UNDECIDED)


def test_failures_that_reach_the_tail_do_not_hold_however_few_the_requests(judge):
    _, p95 = judge([100.0] * 76 + ["refused"] * 4)
    assert (p95.verdict, p95.holds, p95.fails(strict=False)) == (UNDECIDED, False, True)


def test_a_difference_that_is_seen_but_not_sized_does_not_hold(judge):
    values = latencies(800, seed=12, sigma=0.3)
    values[400:] = [v * 1.14 for v in values[400:]]
    p50, _ = judge(values)
    assert (p50.verdict, p50.holds) == (UNDECIDED, False)
    assert p50.sentence.endswith("a difference is seen, but not whether it is over 10%: send more requests")


def test_less_than_four_requests_cannot_be_quartered(judge):
    (verdict,) = judge([100.0] * 3)
    assert (
        verdict.sentence == "latency over the run: no evidence, 3 requests over the run cannot be quartered"
    )
    (verdict,) = judge([])
    assert verdict.sentence == (
        "latency over the run: no evidence, no request was sent: give more requests=, or a longer duration="
    )


def test_the_ramp_up_is_left_out(judge):
    """With one user of ten at work a server is quick: that is no beginning to compare with."""
    values = [20.0] * 200 + [100.0] * 800
    assert FAIL in words(judge(values))
    window = (200 * 10_000_000, 1000 * 10_000_000)
    assert words(judge(values, window_ns=window)) == [PASS, PASS]


def test_what_is_begun_after_the_steady_window_is_left_out(judge):
    """The last users have the server for themselves."""
    values = [100.0] * 600 + [200.0] * 200
    window = (0, 600 * 10_000_000)
    assert words(judge(values, window_ns=window)) == [PASS, PASS]


def test_the_time_to_first_token_is_compared_where_answers_are_streamed(make):
    """It doubles, and is a tenth of the whole."""
    records = [make.streamed(i, 10.0 if i < 400 else 20.0, [45.0, 45.0]) for i in range(800)]
    run = make.run(records)
    verdicts = {v.what: v.verdict for v in NoDegradation(percent=10).judge(Evidence(runs=(run,)))}
    assert verdicts == {
        "p50 e2e latency over the run": PASS,
        "p95 e2e latency over the run": PASS,
        "p50 TTFT over the run": FAIL,
    }


def test_a_quarter_without_a_token_is_no_evidence(make):
    records = [make.streamed(i, 10.0, [45.0]) for i in range(40)]
    records += [make.record(i, 55.0, token_ns=()) for i in range(40, 160)]
    *_, ttft = NoDegradation(percent=10).judge(Evidence(runs=(make.run(records),)))
    assert ttft.sentence == "p50 TTFT over the run: no evidence, no answer of a quarter carried a token"


def staged(make, stages, latencies_of, **plan):
    records, number = [], 0
    for stage, values in enumerate(latencies_of):
        for value in values:
            records.append(make.record(number, value, stage=stage))
            number += 1
    steps = tuple(Stage(begin, end, round(s * NS_PER_S)) for begin, end, s in stages)
    return make.run(records, plan=LoadPlan(stages=steps, **plan))


def test_with_stages_only_the_longest_of_one_level_is_compared(make):
    run = staged(make, [(2, 2, 1), (2, 20, 9), (20, 20, 4)], [[10.0] * 100, [50.0] * 400, [100.0] * 400])
    verdicts = NoDegradation(percent=10).judge(Evidence(runs=(run,)))
    assert words(verdicts) == [PASS, PASS]
    assert verdicts[0].sentence == (
        "p50 e2e latency over stage 3 of 3 +0.0% <= 10% (first to last quarter 100 -> 100 ms,"
        " 95% interval +0.0 to +0.0%, n=100 and 100)"
    )


def test_a_degradation_within_a_stage_is_found(make):
    run = staged(make, [(2, 2, 1), (20, 20, 4)], [[10.0] * 100, [100.0] * 400 + [150.0] * 400])
    assert words(NoDegradation(percent=10).judge(Evidence(runs=(run,)))) == [FAIL, FAIL]


def test_a_load_that_changes_all_the_time_is_no_evidence(make):
    run = staged(make, [(2, 20, 9)], [[100.0] * 400])
    (verdict,) = NoDegradation(percent=10).judge(Evidence(runs=(run,)))
    assert verdict.sentence == (
        "latency over the run: no evidence, the load changed all the time: it needs a stage of one level"
    )
    run = make.run_of([100.0] * 400, plan=LoadPlan(trace="calls.jsonl"))
    (verdict,) = NoDegradation(percent=10).judge(Evidence(runs=(run,)))
    assert verdict.sentence == (
        "latency over the run: no evidence,"
        " a trace sends more at one time than at another: its quarters are unlike"
    )


def test_a_generator_that_was_the_bottleneck_leaves_no_verdict(judge):
    busy = GeneratorHealth(cpu_percent=99.0)
    p50, _ = judge([100.0] * 800, healthy=busy)
    assert p50.verdict == UNDECIDED
    assert p50.sentence.endswith(
        "the load generator was the bottleneck (busiest load worker at 99% CPU); add --llm-load-workers"
    )


def test_late_sends_do_not_excuse_a_slow_down_greater_than_they_are_late(judge):
    late = GeneratorHealth(send_lag_ms={"p99": 8.0})
    assert words(judge([100.0] * 400 + [200.0] * 400, healthy=late)) == [FAIL, FAIL]
    assert words(judge([100.0] * 800, healthy=late)) == [UNDECIDED, UNDECIDED]


def test_each_run_is_judged_under_its_number(make):
    runs = (make.run_of([100.0] * 800), make.run_of([100.0] * 400 + [200.0] * 400))
    verdicts = NoDegradation(percent=10).judge(Evidence(runs=runs))
    assert words(verdicts) == [PASS, PASS, FAIL, FAIL]
    assert verdicts[2].what == "p50 e2e latency over the run (run 2 of 2)"


def test_the_percent_is_the_users(judge):
    values = [100.0] * 400 + [115.0] * 400
    assert words(judge(values, percent=20)) == [PASS, PASS]
    assert words(judge(values, percent=12)) == [FAIL, FAIL]


def test_a_percent_that_is_none_is_refused():
    with pytest.raises(MarkerError) as error:
        build(NoDegradation, "no_degradation", (), {"percent": 0, "metrics": []})
    assert "percent: 0 is not over 0" in str(error.value)
    assert "no keyword 'metrics', known: percent" in str(error.value)
