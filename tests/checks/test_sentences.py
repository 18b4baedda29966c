"""Every sentence that a limit can end in, word for word: what was promised, what was found, what to do.

Rows are what happened, one table a kind of limit; the runs are the same for all of them.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pytest_llmserve.checks.error_rate import ErrorRate
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.generator import SLOWER_OR_WIDER
from pytest_llmserve.checks.goodput import Goodput
from pytest_llmserve.checks.judging import judged
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.checks.throughput import Throughput
from pytest_llmserve.domain.result import GeneratorHealth

LATE = "dropped 12 of 1012 arrivals: they could not be sent when they were due"
CROWDED = "dropped 40 of 60 arrivals: too many requests were unanswered at once"
GONE = "from 12 s on, no connection for 5 s (Connection refused)"
DIED = "the server's process ended during the test: killed by signal 9 (SIGKILL)"

UNHEALTHY = {
    "late sends": (
        GeneratorHealth(send_lag_ms={"p99": 7.2}),
        "the load generator was the bottleneck (send lag p99 7.2 ms);"
        " add --llm-load-workers, or run on a quieter machine",
    ),
    "busy": (
        GeneratorHealth(cpu_percent=95.0),
        "the load generator was the bottleneck (busiest load worker at 95% CPU); add --llm-load-workers",
    ),
    "dropped": (
        GeneratorHealth(dropped=12, saturated=LATE, remedy="lower the rate, or add --llm-load-workers"),
        f"the load generator was the bottleneck ({LATE}); lower the rate, or add --llm-load-workers",
    ),
    "crowded": (
        GeneratorHealth(dropped=40, crowded=40, saturated=CROWDED, remedy=SLOWER_OR_WIDER),
        f"the load was not sent as planned ({CROWDED});"
        " the server is slower than the rate: lower the rate, or raise max_concurrency=",
    ),
    "garbage collection": (
        GeneratorHealth(gc_longest_ms=8.5),
        "the load generator was the bottleneck (garbage collection stopped a load worker for 8.5 ms);"
        " add --llm-load-workers, so that each keeps less",
    ),
    "late reads": (
        GeneratorHealth(clock="user", receive_lag_ms={"p99": 6.5}),
        "the load generator was the bottleneck"
        " (answers were read 6.5 ms late (p99), and not all were stamped by the kernel);"
        " run on a quieter machine, or add --llm-load-workers",
    ),
    "reads together": (
        GeneratorHealth(clock="kernel", receive_lag_ms={"p99": 31.0}, merged_share=0.12),
        "the load generator was the bottleneck"
        " (answers were read 31.0 ms late (p99), 12% of events together with others);"
        " add --llm-load-workers, or run on a quieter machine",
    ),
}
"""What is wrong with the load generator -> what is said of it."""


def ramp(make, count=200, **more):
    """1000, 1001, ... ms, shuffled, sent every 10 ms; the steady window is from 1.2 s to 3 s."""
    latencies = make.spread_out([1000.0 + i for i in range(count)])
    return make.run_of(latencies, window_ns=(1_200_000_000, 3_000_000_000), **more)


def failing(make, failed, count=200, **more):
    return make.run_of(make.spread_out(["http_5xx"] * failed + [5.0] * (count - failed)), steady_s=2, **more)


KINDS = {
    "p90": Latency(p90_ms=2000),
    "mean": Latency(mean_ms=2000),
    "max": Latency(max_ms=2000),
    "throughput": Throughput(min_rps=20),
    "tokens": Throughput(min_tokens_per_s=20),
    "goodput": Goodput(min=0.9, e2e_ms=2000),
    "error rate": ErrorRate(max=0.05),
}
"""Limits that the run `ramp` keeps."""

NAMES = {
    "p90": "p90 e2e latency",
    "mean": "mean e2e latency",
    "max": "max e2e latency",
    "throughput": "throughput",
    "tokens": "token throughput",
    "goodput": "goodput",
    "error rate": "error rate",
}

FOUND = {
    "p90": ("p90 e2e latency 1179 ms <= 2000 ms", "95% interval 1170-1188 ms, n=200"),
    "mean": ("mean e2e latency 1100 ms <= 2000 ms", "95% interval 1091-1108 ms, n=200"),
    "max": ("max e2e latency 1199 ms <= 2000 ms", "n=200"),
    "throughput": (
        "throughput 101 requests/s >= 20 requests/s",
        "95% interval 89.3-113 requests/s, n=182",
    ),
    "tokens": ("token throughput 101 tokens/s >= 20 tokens/s", "95% interval 89.3-113 tokens/s, n=182"),
    "goodput": ("goodput 100% >= 90%", "95% interval 98.2-100%, n=200"),
    "error rate": ("error rate 0% <= 5%", "95% interval 0-1.8%, n=200"),
}
"""Of the run `ramp`: head and basis."""


def only(check, *runs):
    (verdict,) = check.judge(Evidence(runs=runs))
    return verdict


def told(check, *runs):
    verdict = only(check, *runs)
    return verdict.verdict, verdict.sentence


@pytest.mark.parametrize("kind", KINDS)
def test_pass(kind, make):
    head, basis = FOUND[kind]
    assert told(KINDS[kind], ramp(make)) == ("pass", f"{head} ({basis})")


@pytest.mark.parametrize("cause", UNHEALTHY)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "error rate"])
def test_unhealthy_generator(kind, cause, make):
    """What it was that was too slow, and what to change; figures stand before it all the same."""
    health, said = UNHEALTHY[cause]
    head, basis = FOUND[kind]
    assert told(KINDS[kind], ramp(make, healthy=health)) == (
        "undecided",
        f"{head}, undecided ({basis}): {said}",
    )


@pytest.mark.parametrize("cause", UNHEALTHY)
def test_unhealthy_generator_and_an_error_rate(cause, make):
    """It counts what was answered, whenever it was sent."""
    head, basis = FOUND["error rate"]
    health, _ = UNHEALTHY[cause]
    assert told(KINDS["error rate"], ramp(make, healthy=health)) == ("pass", f"{head} ({basis})")


@pytest.mark.parametrize("kind", KINDS)
def test_server_gone(kind, make):
    """Since when, and by what it was seen."""
    head, basis = FOUND[kind]
    assert told(KINDS[kind], ramp(make, healthy=GeneratorHealth(server_gone=GONE))) == (
        "fail",
        f"{head} ({basis}): the server was gone: {GONE}",
    )


def test_server_that_takes_requests_and_answers_none(make):
    """It is not gone: it takes connections."""
    silent = "from 12 s on, not a byte in 10 s of waiting, 4 requests ran out of time"
    _, sentence = told(KINDS["p90"], ramp(make, healthy=GeneratorHealth(server_gone=silent)))
    assert sentence.endswith(f": the server stopped answering: {silent}")


@pytest.mark.parametrize("kind", KINDS)
def test_server_died(kind, make):
    head, basis = FOUND[kind]
    (verdict,) = judged([KINDS[kind]], Evidence(runs=(ramp(make),), death=DIED))
    assert (verdict.verdict, verdict.sentence) == ("fail", f"{head} ({basis}); {DIED}")
    assert (verdict.found, verdict.fate) == (f"{head} ({basis})", DIED)


@pytest.mark.parametrize("kind", KINDS)
def test_no_run(kind):
    assert told(KINDS[kind]) == (
        "undecided",
        f"{NAMES[kind]}: no evidence, no load ran in this test: call llm_load()",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_sent(kind, make):
    assert told(KINDS[kind], make.run([], steady_s=1)) == (
        "undecided",
        f"{NAMES[kind]}: no evidence, no request was sent: give more requests=, or a longer duration=",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_dropped_arrivals(kind, make):
    """Why, and what to change."""
    never = replace(make.record(0, 5.0), outcome="dropped", sent_ns=None, end_ns=None, token_ns=())
    run = make.run([never] * 3, steady_s=1, healthy=UNHEALTHY["dropped"][0])
    assert told(KINDS[kind], run) == (
        "undecided",
        f"{NAMES[kind]}: no evidence, no request was sent ({LATE});"
        " lower the rate, or add --llm-load-workers",
    )


ALL_FAILED = {
    "p90": "p90 e2e latency never (failed) > 2000 ms: all 40 requests failed (refused 40)",
    "mean": "mean e2e latency never (failed) > 2000 ms: all 40 requests failed (refused 40)",
    "max": "max e2e latency never (failed) > 2000 ms: all 40 requests failed (refused 40)",
    "throughput": "throughput 0 requests/s < 20 requests/s (n=0): all 40 requests failed (refused 40)",
    "tokens": "token throughput 0 tokens/s < 20 tokens/s (n=0): all 40 requests failed (refused 40)",
    "goodput": ("goodput 0% < 90% (95% interval 0-8.8%, n=40): 40 of 40 requests over a limit (failed: 40)"),
    "error rate": (
        "error rate 100% > 5% (95% interval 91.2-100%, n=40): all 40 requests failed (refused 40)"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_failed(kind, make):
    assert told(KINDS[kind], make.run_of(["refused"] * 40, steady_s=1)) == ("fail", ALL_FAILED[kind])


def test_a_single_request_that_failed(make):
    assert told(Latency(p90_ms=5), make.run_of(["reset"])) == (
        "fail",
        "p90 e2e latency never (failed) > 5 ms: the only request failed (reset 1)",
    )


FAIL = {
    "p90": (
        Latency(p90_ms=1150),
        "p90 e2e latency 1179 ms > 1150 ms (95% interval 1170-1188 ms, n=200)",
    ),
    "mean": (
        Latency(mean_ms=1080),
        "mean e2e latency 1100 ms > 1080 ms (95% interval 1091-1108 ms, n=200)",
    ),
    "max": (Latency(max_ms=1198), "max e2e latency 1199 ms > 1198 ms (n=200)"),
    "throughput": (
        Throughput(min_rps=130),
        "throughput 101 requests/s < 130 requests/s (95% interval 89.3-113 requests/s, n=182)",
    ),
    "tokens": (
        Throughput(min_tokens_per_s=130),
        "token throughput 101 tokens/s < 130 tokens/s (95% interval 89.3-113 tokens/s, n=182)",
    ),
    "goodput": (
        Goodput(min=0.9, ttft_ms=1150, e2e_ms=1180),
        "goodput 76% < 90% (95% interval 69-81%, n=200):"
        " 49 of 200 requests over a limit (ttft_ms > 1150: 49, e2e_ms > 1180: 19)",
    ),
}


@pytest.mark.parametrize("kind", FAIL)
def test_fail(kind, make):
    check, sentence = FAIL[kind]
    assert told(check, ramp(make)) == ("fail", sentence)


def test_fail_of_an_error_rate(make):
    assert told(KINDS["error rate"], failing(make, 24)) == (
        "fail",
        "error rate 12% > 5% (95% interval 7.8-17%, n=200): 24 of 200 requests failed (http_5xx 24)",
    )


UNDECIDED = {
    "p90 within": (
        Latency(p90_ms=1182),
        "p90 e2e latency 1179 ms <= 1182 ms, undecided (95% interval 1170-1188 ms, n=200):"
        " p90 at 95% needs 251 requests with 17 over the limit, about 1200 if 8.5% stay over the limit",
    ),
    "p90 over": (
        Latency(p90_ms=1176),
        "p90 e2e latency 1179 ms > 1176 ms, undecided (95% interval 1170-1188 ms, n=200):"
        " 23 of 200 requests over the limit can be chance where 20 may be:"
        " about 1300 requests would tell if 12% stay over the limit",
    ),
    "mean within": (
        Latency(mean_ms=1105),
        "mean e2e latency 1100 ms <= 1105 ms, undecided (95% interval 1091-1108 ms, n=200):"
        " about 310 requests would tell if mean and spread stay",
    ),
    "mean over": (
        Latency(mean_ms=1095),
        "mean e2e latency 1100 ms > 1095 ms, undecided (95% interval 1091-1108 ms, n=200):"
        " about 450 requests would tell if mean and spread stay",
    ),
    "throughput within": (
        Throughput(min_rps=95),
        "throughput 101 requests/s >= 95 requests/s, undecided"
        " (95% interval 89.3-113 requests/s, n=182):"
        " a steady window 2.6 times as long, 4.68 s, would tell if rate and spread stay",
    ),
    "throughput over": (
        Throughput(min_rps=107),
        "throughput 101 requests/s < 107 requests/s, undecided"
        " (95% interval 89.3-113 requests/s, n=182):"
        " a steady window 2.8 times as long, 5.04 s, would tell if rate and spread stay",
    ),
    "goodput within": (
        Goodput(min=0.9, e2e_ms=1182),
        "goodput 91.5% >= 90%, undecided (95% interval 87-95%, n=200):"
        " 17 of 200 requests over a limit (e2e_ms > 1182: 17);"
        " 90% at 95% needs 251 requests with 17 over a limit, about 1200 if 8.5% stay over a limit",
    ),
    "goodput over": (
        Goodput(min=0.9, e2e_ms=1176),
        "goodput 88% < 90%, undecided (95% interval 83-92.6%, n=200):"
        " 23 of 200 requests over a limit (e2e_ms > 1176: 23);"
        " that can be chance where 20 may be: about 1300 requests would tell if 12% stay over a limit",
    ),
}


@pytest.mark.parametrize("kind", UNDECIDED)
def test_undecided(kind, make):
    """Within the limit or over it: a number that would tell."""
    check, sentence = UNDECIDED[kind]
    found = only(check, ramp(make))
    assert (found.verdict, found.sentence) == ("undecided", sentence)
    assert found.holds is kind.endswith("within")


@pytest.mark.parametrize(
    ("failed", "sentence"),
    [
        (
            8,
            "error rate 4% <= 5%, undecided (95% interval 1.7-7.7%, n=200): 8 of 200 requests failed"
            " (http_5xx 8); 5% at 95% needs 286 requests with 8 failing, about 1500 if 4% stay failing",
        ),
        (
            12,
            "error rate 6% > 5%, undecided (95% interval 3.1-10%, n=200): 12 of 200 requests failed"
            " (http_5xx 12); that can be chance where 10 may be:"
            " about 1600 requests would tell if 6% stay failing",
        ),
    ],
    ids=["within", "over"],
)
def test_undecided_error_rate(failed, sentence, make):
    assert told(KINDS["error rate"], failing(make, failed)) == ("undecided", sentence)


NOT_MEASURED = {
    "TTFT without tokens": (
        Latency(ttft_p90_ms=5),
        {"token_ns": (), "output_tokens": 0},
        "p90 TTFT: no evidence, no answer carried a token: are they empty?",
    ),
    "ITL in one piece": (
        Latency(itl_p90_ms=5),
        {"output_tokens": 9},
        "p90 ITL: no evidence, no answer came in more than one piece: is streaming on?",
    ),
    "TPOT in one piece": (
        Latency(tpot_p90_ms=5),
        {"output_tokens": 9},
        "p90 TPOT: no evidence, no answer of more than one token came in more than one piece:"
        " is streaming on?",
    ),
    "TPOT of one token": (
        Latency(tpot_p90_ms=5),
        {},
        "p90 TPOT: no evidence, no answer had more than one token",
    ),
    "TPOT without a count": (
        Latency(tpot_p90_ms=5),
        {"output_tokens": None, "tokens_from": None},
        "p90 TPOT: no evidence, 4 of 4 answers came without a token count:"
        " stream them, or have the server send its usage",
    ),
    "goodput without a count": (
        Goodput(min=0.9, tpot_ms=5),
        {"output_tokens": None, "tokens_from": None},
        "goodput: no evidence, 4 of 4 answers came without a token count:"
        " stream them, or have the server send its usage",
    ),
    "tokens without a count": (
        Throughput(min_tokens_per_s=5),
        {"output_tokens": None, "tokens_from": None},
        "token throughput: no evidence, 4 of 4 answers came without a token count:"
        " stream them, or have the server send its usage",
    ),
}


@pytest.mark.parametrize("kind", NOT_MEASURED)
def test_not_measured(kind, make):
    check, changes, sentence = NOT_MEASURED[kind]
    run = make.run([make.record(i, 5.0, **changes) for i in range(4)], steady_s=1)
    assert told(check, run) == ("undecided", sentence)
