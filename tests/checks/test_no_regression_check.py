"""A run against an earlier one."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from pytest_llmserve.checks.difference import METRICS
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.checks.no_regression import NoRegression
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import GeneratorHealth
from pytest_llmserve.domain.verdict import FAIL, PASS, UNDECIDED


def latencies(n: int, *, seed: int, sigma: float = 0.1, middle: float = 100.0) -> list:
    return [float(v) for v in middle * np.exp(sigma * np.random.default_rng(seed).standard_normal(n))]


@pytest.fixture
def judge(make):
    """Judge latencies in ms against others; `there` changes the measurement they are kept as."""

    def judge_latencies(before, after, metrics=None, percent=10.0, there=None, **more):
        old = measurement_of(make.run_of(before, steady_s=len(before) / 100), name="main")
        old = msgspec.structs.replace(old, **(there or {}))
        new = make.run_of(after, steady_s=len(after) / 100, **more)
        check = NoRegression(percent=percent, metrics=metrics)
        return check.judge(Evidence(runs=(new,), baselines=(old,)))

    return judge_latencies


def words(verdicts) -> list[str]:
    return [v.verdict for v in verdicts]


def test_a_server_as_quick_as_it_was_passes(judge):
    verdicts = judge(latencies(800, seed=1), latencies(800, seed=2))
    assert words(verdicts) == [PASS] * 4
    assert [v.what for v in verdicts] == [
        'p50 e2e latency against "main"',
        'p95 e2e latency against "main"',
        'error rate against "main"',
        'throughput against "main"',
    ]


def test_a_slower_server_fails_with_both_figures(judge):
    p50, p95 = judge(latencies(800, seed=1), latencies(700, seed=2, middle=120.0), ("e2e_p50", "e2e_p95"))
    assert (p50.verdict, p95.verdict, p50.limit) == (FAIL, FAIL, 10.0)
    assert p50.sentence == (
        'p50 e2e latency against "main" +20% > 10% (99.6 -> 119 ms, 95% interval +18 to +21%, n=800 and 700)'
    )
    assert p50.estimate == pytest.approx(20, abs=1.5)
    assert p50.interval == pytest.approx((18.6, 21.4), abs=1.0)


def test_a_difference_within_noise_holds_undecided(judge):
    (p95,) = judge(latencies(100, seed=3, sigma=0.4), latencies(100, seed=16, sigma=0.4), ("e2e_p95",))
    assert p95.estimate > 10
    assert (p95.verdict, p95.holds) == (UNDECIDED, True)
    assert "no difference seen, smallest detectable was " in p95.sentence
    assert p95.sentence.endswith(" requests in each run")


@pytest.mark.parametrize(
    ("metric", "what"),
    [
        ("ttft_p95", 'p95 TTFT against "main"'),
        ("tpot_p50", 'p50 TPOT against "main"'),
        ("e2e_p999", 'p99.9 e2e latency against "main"'),
        ("output_tokens_per_s", 'token throughput against "main"'),
    ],
)
def test_a_metric_is_told_in_words(make, metric, what):
    runs = [make.run([make.streamed(i, 20.0, [5.0, 5.0]) for i in range(3000)], steady_s=30.0)] * 2
    old = measurement_of(runs[0], name="main")
    (verdict,) = NoRegression(percent=10, metrics=(metric,)).judge(
        Evidence(runs=(runs[1],), baselines=(old,))
    )
    assert (verdict.what, verdict.verdict) == (what, PASS)


def test_the_time_to_first_token_is_compared_where_answers_are_streamed(make):
    before = make.run([make.streamed(i, 20.0, [40.0, 40.0]) for i in range(300)], steady_s=3.0)
    after = make.run([make.streamed(i, 25.0, [40.0, 35.0]) for i in range(300)], steady_s=3.0)
    evidence = Evidence(runs=(after,), baselines=(measurement_of(before, name="main"),))
    verdicts = {v.what.partition(" against")[0]: v.verdict for v in NoRegression(percent=10).judge(evidence)}
    assert verdicts["p95 TTFT"] == FAIL
    assert verdicts["p95 e2e latency"] == PASS


def test_a_throughput_that_fell_fails(make):
    """The same latencies; every second request is left out, so half as many are answered."""
    before = make.run([make.record(i, 20.0) for i in range(800)], steady_s=8.0)
    after = make.run([make.record(i, 20.0) for i in range(0, 800, 2)], steady_s=8.0)
    check = NoRegression(percent=10, metrics=("throughput",))
    (verdict,) = check.judge(Evidence(runs=(after,), baselines=(measurement_of(before, name="main"),)))
    assert (verdict.verdict, verdict.limit) == (FAIL, -10.0)
    assert verdict.sentence == (
        'throughput against "main" -50% < -10%'
        " (99.8 -> 49.9 requests/s, 95% interval -50 to -50%, n=20 and 20 slices)"
    )
    (verdict,) = check.judge(Evidence(runs=(before,), baselines=(measurement_of(after, name="main"),)))
    assert verdict.verdict == PASS


def test_too_few_answers_for_a_throughput_are_no_evidence(judge):
    (verdict,) = judge([20.0] * 20, [20.0] * 800, ("throughput",))
    assert verdict.sentence == (
        'throughput against "main": no evidence, too few answers in the steady window there: run longer'
    )


def test_an_error_rate_may_rise_by_a_point_for_ten_percent(judge):
    clean = [20.0] * 1000
    few = ["refused" if i % 500 == 7 else 20.0 for i in range(1000)]
    many = ["refused" if i % 25 == 7 else 20.0 for i in range(1000)]
    (within,) = judge(clean, few, ("error_rate",))
    assert (within.verdict, within.limit) == (PASS, 1.0)
    (over,) = judge(clean, many, ("error_rate",))
    assert over.verdict == FAIL
    assert over.sentence == (
        'error rate against "main" +4.0 > 1 percentage points (0% -> 4%, 95% interval +2.8 to +5.4,'
        " n=1000 and 1000): 40 of 1000 requests failed (refused 40)"
    )
    (allowed,) = judge(clean, many, ("error_rate",), percent=60.0)
    assert (allowed.verdict, allowed.limit) == (PASS, 6.0)


def test_an_error_rate_of_few_requests_says_how_many_it_needs(judge):
    (verdict,) = judge([20.0] * 200, [20.0] * 200, ("error_rate",))
    assert verdict.sentence == (
        'error rate against "main" +0.0 <= 1 percentage points, undecided (0% -> 0%,'
        " 95% interval -1.8 to +1.8, n=200 and 200):"
        " no rise seen: at least 299 requests in each run are needed"
    )
    assert verdict.holds


def test_a_server_that_answers_nothing_any_more_fails(judge):
    verdicts = judge([20.0] * 300, ["refused"] * 300)
    assert words(verdicts) == [FAIL] * 4
    assert verdicts[0].sentence == (
        'p50 e2e latency against "main" 20.0 ms -> never (failed): all 300 requests failed (refused 300)'
    )


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ({"gone": "from 3 s on"}, "its server was gone: from 3 s on"),
        ({"ended": "interrupted"}, "its run ended early (interrupted)"),
        ({"series": {"e2e_ms": [float("inf")] * 9}}, "every request failed there"),
        ({"series": {}}, "no request was sent there"),
        ({"prompts": "other"}, "the prompts are others"),
    ],
)
def test_a_run_that_is_no_measure_is_refused(make, there, reason):
    run = make.run_of([20.0] * 400, steady_s=4.0)
    run.prompts = "these"
    old = msgspec.structs.replace(measurement_of(run, name="main"), **there)
    (verdict,) = NoRegression(percent=10).judge(Evidence(runs=(run,), baselines=(old,)))
    assert verdict.sentence == f'regression: no evidence, cannot be compared with "main": {reason}'
    assert verdict.fails(strict=False)


def test_two_requests_that_fail_are_all_of_them(judge):
    """No statistics: what a server that answers nothing promises, it has not kept."""
    verdicts = judge([20.0] * 2, ["refused"] * 2, ("e2e_p50", "error_rate"))
    assert [(v.verdict, v.holds) for v in verdicts] == [(FAIL, False)] * 2


def test_a_rise_of_errors_that_can_be_chance_holds(judge):
    after = ["refused" if i in (10, 60) else 20.0 for i in range(100)]
    (verdict,) = judge([20.0] * 100, after, ("error_rate",))
    assert (verdict.estimate, verdict.verdict, verdict.holds) == (2.0, UNDECIDED, True)
    assert verdict.sentence.endswith("no rise seen: at least 299 requests in each run are needed")


def test_a_rise_of_errors_that_is_seen_but_not_sized_does_not_hold(judge):
    after = ["refused" if i % 50 == 7 else 20.0 for i in range(500)]
    (verdict,) = judge([20.0] * 500, after, ("error_rate",))
    assert (verdict.verdict, verdict.holds) == (UNDECIDED, False)
    assert verdict.sentence.endswith(
        "a rise is seen, but not whether it is over the limit: send more requests"
    )


def test_of_several_figures_each_may_differ_more_by_chance(judge):
    """So that the marker as a whole accuses a server that is as it was in at most 5 % of sessions."""
    before = latencies(100, seed=3, sigma=0.4)
    after = latencies(100, seed=26, sigma=0.4, middle=113.0)
    alone = judge(before, after, ("e2e_p50",))[0]
    among = judge(before, after, ("e2e_p50", "e2e_p90", "e2e_p95", "e2e_p99"))[0]
    assert (alone.verdict, among.verdict) == (UNDECIDED, UNDECIDED)
    assert (alone.holds, among.holds) == (False, True)


def test_a_run_that_ended_as_it_was_decided_is_a_measure(judge):
    (verdict,) = judge([20.0] * 400, [20.0] * 400, ("e2e_p50",), there={"ended": "decided"})
    assert verdict.verdict == PASS


def test_an_unlike_plan_is_refused_with_each_difference(judge):
    (verdict,) = judge([20.0] * 400, [20.0] * 400, plan=LoadPlan(users=40, stream=False))
    assert verdict.sentence == (
        'regression: no evidence, cannot be compared with "main":'
        " users 4 there, 40 here; stream True there, False here"
    )


def test_without_a_kept_run_there_is_no_evidence(make):
    run = make.run_of([20.0] * 400)
    (verdict,) = NoRegression(percent=10).judge(Evidence(runs=(run,)))
    assert verdict.sentence == (
        "regression: no evidence, nothing was named to compare with:"
        " keep a run with --llm-save NAME, then give --llm-compare NAME"
    )
    missing = 'no kept run "main" of this test: run once with --llm-save main'
    (verdict,) = NoRegression(percent=10).judge(Evidence(runs=(run,), baselines=(missing,)))
    assert verdict.sentence == f"regression: no evidence, {missing}"
    (verdict,) = NoRegression(percent=10).judge(Evidence())
    assert verdict.sentence == "regression: no evidence, no load ran in this test: call llm_load()"


def test_a_run_more_than_was_kept_has_nothing_to_be_compared_with(make):
    run = make.run_of([20.0] * 400, steady_s=4.0)
    old = measurement_of(run, name="main")
    *first, second = NoRegression(percent=10).judge(Evidence(runs=(run, run), baselines=(old,)))
    assert words(first) == [PASS] * 4
    assert first[0].what == 'p50 e2e latency against "main" (run 1 of 2)'
    assert second.sentence == (
        "regression (run 2 of 2): no evidence, what it is compared with has 1 of the 2 runs"
    )


def test_no_request_is_no_evidence(make):
    old = measurement_of(make.run_of([20.0] * 400), name="main")
    (verdict,) = NoRegression(percent=10).judge(Evidence(runs=(make.run_of([]),), baselines=(old,)))
    assert (
        verdict.sentence
        == "regression: no evidence, no request was sent: give more requests=, or a longer duration="
    )


def test_another_machine_is_told_beside_the_figures(make):
    run = make.run_of([20.0] * 400, steady_s=4.0)
    old = measurement_of(run, name="main", environment={"cpus": 4})
    evidence = Evidence(runs=(run,), baselines=(old,), environment={"cpus": 2})
    verdict = NoRegression(percent=10, metrics=("e2e_p50",)).judge(evidence)[0]
    assert verdict.verdict == PASS
    assert verdict.sentence.endswith("n=400 and 400): not the same surroundings: cpus 4 there, 2 here")


def test_a_generator_that_was_the_bottleneck_on_either_side_leaves_no_verdict(judge):
    busy = "the load generator was the bottleneck (busiest load worker at 99% CPU); add --llm-load-workers"
    (here,) = judge([20.0] * 400, [20.0] * 400, ("e2e_p50",), healthy=GeneratorHealth(cpu_percent=99.0))
    assert (here.verdict, here.sentence.endswith(f": {busy}")) == (UNDECIDED, True)
    (there,) = judge([20.0] * 400, [20.0] * 400, ("e2e_p50",), there={"spoiled": busy})
    assert (there.verdict, there.sentence.endswith(f': of "main", {busy}')) == (UNDECIDED, True)


def test_a_figure_that_one_run_lacks_is_no_evidence(judge):
    (verdict,) = judge([20.0] * 400, [20.0] * 400, ("tpot_p50",))
    assert verdict.sentence == 'p50 TPOT against "main": no evidence, no request has a TPOT there and here'


def test_a_wrong_metric_is_told_with_all_that_are_known():
    with pytest.raises(MarkerError) as error:
        build(NoRegression, "no_regression", (), {"percent": 10, "metrics": ["e2e_p50", "e2e_p96", "rps"]})
    assert f"metrics: no metric 'e2e_p96', 'rps'; known: {', '.join(METRICS)}" in str(error.value)
    for wrong in ([], 5):
        with pytest.raises(MarkerError) as error:
            build(NoRegression, "no_regression", (), {"percent": 10, "metrics": wrong})
        assert f'metrics: {wrong!r} is not a list of metrics, such as ["e2e_p95", "error_rate"]' in str(
            error.value
        )


def test_one_metric_needs_no_list_and_none_is_judged_twice():
    assert build(NoRegression, "no_regression", (), {"percent": 10, "metrics": "e2e_p95"}).metrics == (
        "e2e_p95",
    )
    twice = {"percent": 10, "metrics": ["e2e_p95", "e2e_p95"]}
    assert build(NoRegression, "no_regression", (), twice).metrics == ("e2e_p95",)


def test_a_server_whose_first_tries_all_fail_is_not_what_it_was(make):
    """With retries every request is answered in the end: as `latency` does, it judges each try."""
    plan = LoadPlan(users=4, retries=1)
    healthy = [make.record(i, 50.0) for i in range(400)]
    second = [make.record(i, 50.0, attempt=2, sent_ns=i * 10_000_000 + 6_000_000) for i in range(400)]
    sick = make.run([*(make.record(i, "reset") for i in range(400)), *second], plan=plan, steady_s=4.0)
    old = measurement_of(make.run(healthy, plan=plan, steady_s=4.0), name="main")
    errors, p95 = NoRegression(percent=10, metrics=("error_rate", "e2e_p95")).judge(
        Evidence(runs=(sick,), baselines=(old,))
    )
    assert (errors.verdict, p95.verdict) == (FAIL, FAIL)
    assert errors.estimate == pytest.approx(50.0)
    assert "400" in errors.sentence
