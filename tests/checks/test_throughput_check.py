"""The throughput check."""

from __future__ import annotations

import math

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.throughput import Throughput, slice_rates
from pytest_llmserve.domain.result import GeneratorHealth


def only(check: Throughput, *runs):
    (verdict,) = check.judge(Evidence(runs=runs))
    return verdict


@pytest.fixture
def steady(make):
    """An answer of 4 tokens every 10 ms: 100 requests/s, 400 tokens/s, but for what is under way at first."""
    return make.run([make.streamed(i, 40, [10, 12, 14]) for i in range(1000)], steady_s=10)


@pytest.mark.parametrize(
    ("min_rps", "verdict", "holds"),
    [
        (97.5, "pass", True),
        (99, "undecided", True),
        (99.3, "undecided", True),
        (99.4, "undecided", False),
        (101, "fail", False),
    ],
)
def test_throughput_is_judged_under_at_and_over_the_limit(min_rps, verdict, holds, steady):
    found = only(Throughput(min_rps=min_rps), steady)
    assert (found.verdict, found.holds, found.estimate, found.n) == (verdict, holds, 99.3, 993)


def test_the_estimate_is_the_figure_of_the_report(steady):
    assert only(Throughput(min_rps=1), steady).estimate == steady.throughput.requests_per_s
    found = only(Throughput(min_tokens_per_s=1), steady)
    assert found.estimate == steady.throughput.output_tokens_per_s


@pytest.mark.parametrize("kind", ["min_rps", "min_tokens_per_s"])
def test_the_slices_add_up_to_the_whole(kind, steady):
    rates = slice_rates(steady, kind, [steady.steady_ns[1]])[0]
    assert len(rates) == 20
    whole = steady.throughput.requests_per_s if kind == "min_rps" else steady.throughput.output_tokens_per_s
    assert math.fsum(rates) / 20 == pytest.approx(whole)


@pytest.mark.parametrize(("answers", "slices"), [(24, 0), (25, 5), (60, 12), (99, 19), (100, 20), (400, 20)])
def test_each_slice_holds_five_answers_on_average(answers, slices, make):
    run = make.run([make.record(i, 1.0) for i in range(answers)], steady_s=answers / 100)
    assert len(slice_rates(run, "min_rps", [run.steady_ns[1]])[0]) == slices


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (
            Throughput(min_rps=90),
            "throughput 99.3 requests/s >= 90 requests/s (95% interval 97.8-101 requests/s, n=993)",
        ),
        (
            Throughput(min_rps=200),
            "throughput 99.3 requests/s < 200 requests/s (95% interval 97.8-101 requests/s, n=993)",
        ),
        (
            Throughput(min_tokens_per_s=500),
            "token throughput 398 tokens/s < 500 tokens/s (95% interval 393-403 tokens/s, n=993)",
        ),
        (
            Throughput(min_tokens_per_s=400),
            (
                "token throughput 398 tokens/s < 400 tokens/s, undecided"
                " (95% interval 393-403 tokens/s, n=993):"
                " a steady window 3.4 times as long, 34 s, would tell if rate and spread stay"
            ),
        ),
    ],
)
def test_it_says_so_in_words(check, sentence, steady):
    assert only(check, steady).sentence == sentence


def test_too_few_answers_give_no_verdict(make):
    run = make.run([make.record(i, 1.0) for i in range(24)], steady_s=10)
    found = only(Throughput(min_rps=2), run)
    assert (found.verdict, found.holds, found.interval) == ("undecided", True, None)
    assert found.sentence == (
        "throughput 2.40 requests/s >= 2 requests/s, undecided (n=24):"
        " 25 answers in the steady window are needed"
    )


def test_estimated_tokens_are_said_to_be_so(make):
    records = [make.streamed(i, 40, [10, 12, 14], tokens_from="estimated") for i in range(1000)]
    found = only(Throughput(min_tokens_per_s=500), make.run(records, steady_s=10))
    assert found.sentence == (
        "token throughput 398 tokens/s < 500 tokens/s"
        " (95% interval 393-403 tokens/s, n=993, tokens estimated from the number of chunks)"
    )


@pytest.mark.parametrize(
    ("changes", "steady_s", "sentence"),
    [
        (
            {"output_tokens": None, "tokens_from": None},
            1,
            "40 of 40 answers came without a token count: stream them, or have the server send its usage",
        ),
        ({}, 0, "the steady window is empty: run longer, or with less warm_up and ramp_up"),
    ],
)
def test_what_was_not_measured_is_no_evidence(changes, steady_s, sentence, make):
    run = make.run([make.record(i, 1.0, **changes) for i in range(40)], steady_s=steady_s)
    found = only(Throughput(min_tokens_per_s=1), run)
    assert (found.verdict, found.estimate, found.holds) == ("undecided", None, None)
    assert found.sentence == f"token throughput: no evidence, {sentence}"


def test_nothing_sent_and_no_run_are_no_evidence(make):
    assert only(Throughput(min_rps=1), make.run([], steady_s=1)).sentence == (
        "throughput: no evidence, no request was sent: give more requests=, or a longer duration="
    )
    assert only(Throughput(min_rps=1)).sentence == (
        "throughput: no evidence, no load ran in this test: call llm_load()"
    )


@pytest.mark.parametrize("kind", ["min_rps", "min_tokens_per_s"])
def test_all_failed_is_a_throughput_of_nothing(kind, make):
    found = only(Throughput(**{kind: 20}), make.run_of(["refused"] * 40, steady_s=10))
    assert (found.verdict, found.estimate) == ("fail", 0.0)
    assert found.sentence.endswith("(n=0): all 40 requests failed (refused 40)")


def test_both_limits_of_two_runs_are_four_verdicts(steady):
    found = Throughput(min_rps=90, min_tokens_per_s=300).judge(Evidence(runs=(steady, steady)))
    assert [v.what for v in found] == [
        "throughput (run 1 of 2)",
        "token throughput (run 1 of 2)",
        "throughput (run 2 of 2)",
        "token throughput (run 2 of 2)",
    ]


def test_a_saturated_generator_gives_no_verdict(make):
    records = [make.record(i, 1.0) for i in range(1000)]
    run = make.run(records, steady_s=10, healthy=GeneratorHealth(cpu_percent=98.0))
    assert only(Throughput(min_rps=500), run).sentence == (
        "throughput 100 requests/s < 500 requests/s, undecided"
        " (95% interval 100-100 requests/s, n=1000): the load generator was the bottleneck"
        " (busiest load worker at 98% CPU); add --llm-load-workers"
    )


@pytest.fixture
def warmed(make):
    """20 users, 200 ms an answer of 4 tokens: 100 requests/s; the first 200 ms are warm-up."""
    records = [make.streamed(i, 50, [50, 50, 50], warm_up=i < 20) for i in range(220)]
    return make.run(records, window_ns=(200_000_000, 2_200_000_000))


@pytest.mark.parametrize(("kind", "rate"), [("min_rps", 100), ("min_tokens_per_s", 400)])
def test_answers_that_the_warm_up_began_count_where_they_end(kind, rate, warmed):
    """The first slice is no emptier than the others."""
    rates = slice_rates(warmed, kind, [warmed.steady_ns[1]])[0]
    assert rates == pytest.approx([rate] * 20, rel=0.05)
    found = only(Throughput(**{kind: 0.98 * rate}), warmed)
    assert (found.verdict, found.n) == ("pass", 200)
    assert found.estimate == pytest.approx(rate)


def test_the_last_answers_of_the_warm_up_do_not_excuse_a_server_that_died_then(make):
    records = [make.record(i, 200.0, warm_up=True) for i in range(40)]
    records += [make.record(40 + i, "refused") for i in range(40)]
    run = make.run(records, window_ns=(400_000_000, 800_000_000))
    found = only(Throughput(min_rps=1), run)
    assert (found.verdict, found.estimate, found.n) == ("fail", 0.0, 0)


def test_an_uncounted_answer_of_the_warm_up_is_missing_where_it_reaches_the_window(make):
    unknown = {"output_tokens": None, "tokens_from": None, "warm_up": True}
    early, late = make.record(0, 5.0, **unknown), make.record(1, 20.0, **unknown)
    measured = [make.record(i, 5.0) for i in range(2, 60)]
    window_ns = (20_000_000, 600_000_000)
    assert only(Throughput(min_tokens_per_s=9), make.run([early, *measured], window_ns=window_ns)).n == 58
    found = only(Throughput(min_tokens_per_s=9), make.run([late, *measured], window_ns=window_ns))
    assert found.sentence == (
        "token throughput: no evidence, 1 of 59 answers came without a token count:"
        " stream them, or have the server send its usage"
    )
