"""The latency check: under, at and over the limit; failures; dependence; words."""

from __future__ import annotations

import math
import random
from dataclasses import fields

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.result import GeneratorHealth


def judge(check: Latency, *runs):
    return check.judge(Evidence(runs=runs))


def only(check: Latency, *runs):
    (verdict,) = judge(check, *runs)
    return verdict


@pytest.fixture
def thousand(make):
    """1, 2, ... 1000 ms in an order without dependence."""
    return make.spread_out([float(i) for i in range(1, 1001)])


@pytest.fixture
def hundreds(make):
    """1000, 1001, ... 1199 ms: 200 requests, too few to decide p99."""
    return make.spread_out([1000.0 + i for i in range(200)])


@pytest.mark.parametrize(
    ("limit_ms", "verdict", "holds"),
    [(980, "fail", False), (989, "undecided", False), (990, "undecided", True), (999, "pass", True)],
)
def test_p99_is_judged_under_at_and_over_the_limit(limit_ms, verdict, holds, thousand, make):
    """p99 of the sample is 990 ms; chance moves it, so the verdict turns only some way off."""
    found = only(Latency(p99_ms=limit_ms), make.run_of(thousand))
    assert (found.verdict, found.holds, found.estimate, found.n) == (verdict, holds, 990.0, 1000)


def test_a_request_that_takes_exactly_the_limit_is_within_it(make):
    assert only(Latency(p99_ms=500), make.run_of([500.0] * 299)).verdict == "pass"


@pytest.mark.parametrize(("n", "verdict"), [(298, "undecided"), (299, "pass")])
def test_p99_needs_299_requests_with_none_over_the_limit(n, verdict, make):
    assert only(Latency(p99_ms=2200), make.run_of([100.0] * n)).verdict == verdict


@pytest.mark.parametrize(
    ("keyword", "what", "estimate"),
    [
        ("p50_ms", "p50 e2e latency", 500.0),
        ("p90_ms", "p90 e2e latency", 900.0),
        ("p95_ms", "p95 e2e latency", 950.0),
        ("p99_ms", "p99 e2e latency", 990.0),
        ("p999_ms", "p99.9 e2e latency", 999.0),
        ("mean_ms", "mean e2e latency", 500.5),
        ("max_ms", "max e2e latency", 1000.0),
        ("e2e_p99_ms", "p99 e2e latency", 990.0),
    ],
)
def test_each_statistic_is_the_one_it_is_named_for(keyword, what, estimate, thousand, make):
    run = make.run_of(thousand)
    found = only(Latency(**{keyword: 5000.0}), run)
    assert (found.what, found.limit, found.estimate) == (what, 5000.0, estimate)
    if what.startswith("p"):
        assert run.e2e_ms.quantile(float(what.split()[0][1:]) / 100) == estimate


def test_passing_says_found_promised_interval_and_n(thousand, make):
    assert only(Latency(p99_ms=2200), make.run_of(thousand)).sentence == (
        "p99 e2e latency 990 ms <= 2200 ms (95% interval 983-997 ms, n=1000)"
    )


def test_failing_says_found_promised_interval_and_n(thousand, make):
    assert only(Latency(p99_ms=900), make.run_of(thousand)).sentence == (
        "p99 e2e latency 990 ms > 900 ms (95% interval 983-997 ms, n=1000)"
    )


@pytest.mark.parametrize(
    ("limit_ms", "sentence"),
    [
        (
            2200,
            (
                "p99 e2e latency 1197 ms <= 2200 ms, undecided (95% interval 1194 ms and above, n=200):"
                " p99 at 95% needs 299 requests with none over the limit"
            ),
        ),
        (
            1198,
            (
                "p99 e2e latency 1197 ms <= 1198 ms, undecided (95% interval 1194 ms and above, n=200):"
                " p99 at 95% needs 473 requests with 1 over the limit, about 1400 if 0.5% stay over the limit"
            ),
        ),
        (
            1196,
            (
                "p99 e2e latency 1197 ms > 1196 ms, undecided (95% interval 1194 ms and above, n=200):"
                " 3 of 200 requests over the limit can be chance where 2 may be:"
                " about 1600 requests would tell if 1.5% stay over the limit"
            ),
        ),
    ],
    ids=["far under", "under", "over"],
)
def test_undecided_says_what_would_decide(limit_ms, sentence, hundreds, make):
    found = only(Latency(p99_ms=limit_ms), make.run_of(hundreds))
    assert (found.verdict, found.sentence) == ("undecided", sentence)


def test_a_pass_that_one_side_decides_shows_that_side(make):
    """300 requests bound p99 from above at 95 % one-sided; a two-sided interval would have no end."""
    found = only(Latency(p99_ms=2200), make.run_of(make.spread_out([1000.0 + i for i in range(300)])))
    assert found.sentence == "p99 e2e latency 1296 ms <= 2200 ms (95% interval up to 1299 ms, n=300)"
    assert found.interval == (-math.inf, 1299.0)
    assert found.as_json()["interval"] == [None, 1299.0]


def test_failed_requests_are_infinitely_slow(make):
    run = make.run_of(make.spread_out([100.0] * 28 + ["http_5xx"] * 10 + ["timed_out"] * 2))
    found = only(Latency(p99_ms=2200), run)
    assert (found.verdict, found.estimate, found.holds) == ("fail", math.inf, False)
    assert found.sentence == (
        "p99 e2e latency never (failed) > 2200 ms: 12 of 40 requests failed (http_5xx 10, timed_out 2)"
    )


def test_a_few_failures_in_a_small_run_leave_it_undecided_and_not_held(make):
    found = only(Latency(p99_ms=2200), make.run_of(make.spread_out([100.0] * 148 + ["http_5xx"] * 2)))
    assert (found.verdict, found.holds) == ("undecided", False)
    assert found.fails(strict=False)
    assert found.sentence == (
        "p99 e2e latency never (failed) > 2200 ms, undecided (95% interval 100 ms and above, n=150):"
        " 2 of 150 requests failed (http_5xx 2);"
        " 2 of 150 requests over the limit can be chance where 1.5 may be:"
        " about 3200 requests would tell if 1.3% stay over the limit"
    )


@pytest.mark.parametrize("prefix", ["", "e2e_", "ttft_", "itl_", "tpot_"])
@pytest.mark.parametrize("statistic", ["p50", "p99", "mean", "max"])
def test_all_failed_fails_whatever_is_asked(prefix, statistic, make):
    """Also where the answers that broke off had quick tokens before they did."""
    broken = [make.record(i, "cut_off", token_ns=(1, 2, 3, 4)) for i in range(3)]
    found = only(Latency(**{f"{prefix}{statistic}_ms": 1e9}), make.run(broken))
    assert (found.verdict, found.estimate) == ("fail", math.inf)
    assert found.sentence.endswith("never (failed) > 1000000000 ms: all 3 requests failed (cut_off 3)")


@pytest.mark.parametrize(("limit_ms", "verdict"), [(999, "fail"), (1000, "pass"), (1001, "pass")])
def test_the_maximum_is_a_statement_about_the_sample(limit_ms, verdict, thousand, make):
    found = only(Latency(max_ms=limit_ms), make.run_of(thousand))
    assert (found.verdict, found.confidence, found.interval) == (verdict, 1.0, None)


def test_the_maximum_says_so_in_words(thousand, make):
    found = only(Latency(max_ms=999), make.run_of(thousand))
    assert found.sentence == "max e2e latency 1000 ms > 999 ms (n=1000)"
    failed = only(Latency(max_ms=999), make.run_of([5.0, "reset"]))
    assert failed.sentence == ("max e2e latency never (failed) > 999 ms: 1 of 2 requests failed (reset 1)")


@pytest.mark.parametrize(
    ("limit_ms", "verdict"), [(480, "fail"), (500, "undecided"), (501, "undecided"), (520, "pass")]
)
def test_the_mean_is_judged_by_students_t(limit_ms, verdict, thousand, make):
    """Mean 500.5, standard error 9.1."""
    assert only(Latency(mean_ms=limit_ms), make.run_of(thousand)).verdict == verdict


def test_the_mean_says_so_in_words(thousand, make):
    found = [only(Latency(mean_ms=limit), make.run_of(thousand)).sentence for limit in (480, 500.2)]
    assert found == [
        "mean e2e latency 500 ms > 480 ms (95% interval 483-518 ms, n=1000)",
        (
            "mean e2e latency 500.5 ms > 500.2 ms, undecided (95% interval 483-518 ms, n=1000):"
            " about 2,600,000 requests would tell if mean and spread stay"
        ),
    ]


def test_one_failed_request_makes_the_mean_infinite(thousand, make):
    found = only(Latency(mean_ms=5000), make.run_of([*thousand, "reset"]))
    assert found.verdict == "fail"
    assert found.sentence == (
        "mean e2e latency never (failed) > 5000 ms: 1 of 1001 requests failed (reset 1)"
    )


def test_ttft_itl_and_tpot_are_judged_by_their_own_values(make):
    run = make.run([make.streamed(i, 40, [10, 12, 14]) for i in range(120)])
    check = Latency(ttft_p95_ms=50, itl_p99_ms=30, tpot_p90_ms=11.5)
    assert [v.sentence for v in judge(check, run)] == [
        "p95 TTFT 40.0 ms <= 50 ms (95% interval 40.0-40.0 ms, n=120)",
        "p99 ITL 14.0 ms <= 30 ms (95% interval up to 14.0 ms, n=360)",
        "p90 TPOT 12.0 ms > 11.5 ms (95% interval 12.0-12.0 ms, n=120)",
    ]


def test_a_failed_request_adds_one_endless_gap_to_those_it_had(make):
    records = [make.streamed(i, 40, [10, 12]) for i in range(200)]
    records += [make.record(200, "cut_off", token_ns=(0, 10_000_000, 30_000_000))]
    found = only(Latency(itl_p99_ms=30), make.run(records))
    assert found.n == 2 * 200 + 2 + 1
    assert found.verdict == "undecided"
    assert found.sentence == (
        "p99 ITL 12.0 ms <= 30 ms, undecided (95% interval 12.0 ms and above, n=403):"
        " 1 of 201 requests failed (cut_off 1); p99 at 95% needs 473 gaps with 1 over the limit,"
        " about 650 if 0.25% stay over the limit"
    )


def test_an_answer_of_a_single_token_has_no_tpot(make):
    records = [make.streamed(i, 40, [10, 10]) for i in range(60)]
    records += [make.record(60 + i, 5.0) for i in range(20)]
    assert only(Latency(tpot_p95_ms=30), make.run(records)).n == 60


@pytest.mark.parametrize(
    ("records", "keyword", "reason"),
    [
        (
            [],
            "p99_ms",
            "p99 e2e latency: no evidence, no request was sent: give more requests=, or a longer duration=",
        ),
        (
            [{"token_ns": ()}],
            "ttft_p99_ms",
            "p99 TTFT: no evidence, no answer carried a token: are they empty?",
        ),
        (
            [{}],
            "itl_p99_ms",
            "p99 ITL: no evidence, no answer came in more than one piece: is streaming on?",
        ),
        (
            [{"token_ns": (9, 9, 9), "output_tokens": 3}],
            "itl_p99_ms",
            "p99 ITL: no evidence, no answer came in more than one piece: is streaming on?",
        ),
        (
            [{"output_tokens": 50}, {}],
            "tpot_p99_ms",
            "p99 TPOT: no evidence, no answer of more than one token came in more than one piece:"
            " is streaming on?",
        ),
        (
            [{"token_ns": (9, 9, 9), "output_tokens": 3}],
            "tpot_p99_ms",
            "p99 TPOT: no evidence, no answer of more than one token came in more than one piece:"
            " is streaming on?",
        ),
        ([{}], "tpot_p99_ms", "p99 TPOT: no evidence, no answer had more than one token"),
        (
            [{}, {"output_tokens": None}],
            "tpot_p99_ms",
            "p99 TPOT: no evidence, 1 of 2 answers came without a token count:"
            " stream them, or have the server send its usage",
        ),
    ],
    ids=[
        "nothing sent",
        "no token",
        "one chunk",
        "chunks held back",
        "not streamed",
        "stream held back",
        "one token",
        "no count",
    ],
)
def test_a_figure_that_was_not_measured_is_no_evidence(records, keyword, reason, make):
    run = make.run([make.record(i, 100.0, **changes) for i, changes in enumerate(records)])
    found = only(Latency(**{keyword: 100.0}), run)
    assert (found.verdict, found.estimate, found.holds, found.sentence) == ("undecided", None, None, reason)


def test_without_a_run_each_limit_says_how_to_get_one():
    assert [v.sentence for v in judge(Latency(p99_ms=2200, ttft_p95_ms=300))] == [
        "p99 e2e latency: no evidence, no load ran in this test: call llm_load()",
        "p95 TTFT: no evidence, no load ran in this test: call llm_load()",
    ]


def test_each_run_is_judged_on_its_own(thousand, make):
    quick, slow = make.run_of([100.0] * 500), make.run_of(thousand)
    found = judge(Latency(p95_ms=500), quick, slow)
    assert [v.verdict for v in found] == ["pass", "fail"]
    assert [v.what for v in found] == ["p95 e2e latency (run 1 of 2)", "p95 e2e latency (run 2 of 2)"]
    assert found[1].sentence == (
        "p95 e2e latency (run 2 of 2) 950 ms > 500 ms (95% interval 936-964 ms, n=1000)"
    )


@pytest.mark.parametrize(
    ("health", "reason", "far_over"),
    [
        (GeneratorHealth(saturated="sent late"), "(sent late); add --llm-load-workers", "undecided"),
        (
            GeneratorHealth(send_lag_ms={"p99": 7.25}),
            "(send lag p99 7.2 ms); add --llm-load-workers, or run on a quieter machine",
            "fail",
        ),
        (
            GeneratorHealth(cpu_percent=95.0),
            "(busiest load worker at 95% CPU); add --llm-load-workers",
            "undecided",
        ),
    ],
)
def test_a_saturated_generator_gives_no_verdict(health, reason, far_over, thousand, make):
    """Unless it was only late, and by less than the server is over its limit."""
    found = judge(Latency(p99_ms=2200, max_ms=5), make.run_of(thousand, healthy=health))
    assert [(v.verdict, v.holds) for v in found] == [("undecided", True), (far_over, False)]
    assert found[0].sentence == (
        "p99 e2e latency 990 ms <= 2200 ms, undecided (95% interval 983-997 ms, n=1000):"
        f" the load generator was the bottleneck {reason}"
    )


def test_a_lag_is_held_against_each_limit_of_its_own(thousand, make):
    """2 ms late is nothing to a limit of 2200 ms and too much for one of 50 ms."""
    quick = [latency_ms / 25 for latency_ms in thousand]
    run = make.run_of(quick, healthy=GeneratorHealth(send_lag_ms={"p99": 2.0}))
    assert [v.verdict for v in judge(Latency(p99_ms=2200, p50_ms=50), run)] == ["undecided", "pass"]


def test_a_queue_is_not_taken_for_a_thousand_witnesses(make):
    """Latency that rises and falls over 400 requests: none over the limit shows little of p99."""
    slow_wave = [500 + 400 * math.sin(i / 64) for i in range(1000)]
    found = only(Latency(p99_ms=950), make.run_of(slow_wave))
    assert (found.verdict, found.holds) == ("undecided", True)
    assert found.sentence.endswith("over the limit, as neighbours are alike")
    assert "independent)" in found.sentence
    assert only(Latency(p99_ms=950), make.run_of(make.spread_out(slow_wave))).verdict == "pass"


def test_a_sick_server_is_found_and_a_healthy_one_not_accused(make):
    """300 exponential latencies with p95 at 300 ms, limits at 60 % and 150 % of it, 100 runs each."""
    source = random.Random(5)

    def words(limit_ms: float) -> list[str]:
        rate = math.log(20) / 300
        runs = (make.run_of([source.expovariate(rate) for _ in range(300)]) for _ in range(100))
        return [only(Latency(p95_ms=limit_ms), run).verdict for run in runs]

    sick, healthy = words(180), words(450)
    assert sick.count("fail") >= 95
    assert sick.count("pass") == 0
    assert healthy.count("fail") == 0
    assert healthy.count("pass") >= 80


@pytest.mark.parametrize(
    ("keywords", "fault"),
    [
        ({}, "latency: needs at least one limit, such as p99_ms=2200"),
        (
            {"p99_ms": 5, "e2e_p99_ms": 6},
            "latency: p99_ms and e2e_p99_ms are the same limit: give one",
        ),
        ({"p98_ms": 5}, "latency: no keyword 'p98_ms', did you mean p99_ms?"),
        ({"p99_ms": 0}, "latency: p99_ms: 0 is not over 0"),
        (
            {"p99_ms": "2s", "max_ms": True},
            "latency: p99_ms: '2s' is not a number; max_ms: True is not a number",
        ),
    ],
)
def test_a_faulty_marker_is_refused_with_all_its_faults(keywords, fault):
    with pytest.raises(MarkerError) as caught:
        build(Latency, "latency", (), keywords)
    assert str(caught.value) == fault


def test_there_are_seven_statistics_of_each_figure():
    names = [f.name for f in fields(Latency)]
    statistics = ["p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms", "mean_ms", "max_ms"]
    assert names == [p + s for p in ("", "e2e_", "ttft_", "itl_", "tpot_") for s in statistics]
