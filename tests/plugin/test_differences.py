"""no_degradation and no_regression through a whole pytest session."""

from __future__ import annotations

import re

from pytest_llmserve.checks.no_regression import NOT_NAMED

TIRING = """
@pytest.mark.load(users=8, requests=320)
@pytest.mark.no_degradation(percent=60)
def test_it(llm_load):
    llm_load("Say hi.")
"""
ALIKE = re.compile(
    r"95% interval unbounded, .*\): (\d+) requests in each quarter are needed, as neighbours are"
)
QUICK_ANSWERS = ["--ttft-ms", 20, "--itl-ms", 1, "--tokens", 5]


def test_a_server_that_does_not_tire_passes(suite, mock_server):
    """Each figure passes, and what it is said to have changed by is far from the limit.

    Latencies differ from request to request by more than this machine's moods make neighbours alike, and
    the limit is so far away that sends a few ms late are no matter. A stall of the machine may stand in one
    quarter alone, and only then may a p95 say that its 200 requests are too few, and how many are needed.
    """
    server = mock_server(*QUICK_ANSWERS, "--spread", 0.4)
    marked = TIRING.replace("requests=320", "requests=800").replace("percent=60", "percent=2000")
    run = suite(marked, "--llm-endpoint", server.url)
    assert run.exit == 0, run.text
    p50, p95, ttft = run.verdicts
    assert [v["what"] for v in run.verdicts] == [
        "p50 e2e latency over the run",
        "p95 e2e latency over the run",
        "p50 TTFT over the run",
    ]
    assert all(v["holds"] and -80 < v["estimate"] < 600 for v in run.verdicts), run.text
    needed = ALIKE.search(p95["sentence"])
    too_few = p95["verdict"] == "undecided" and needed is not None and int(needed[1]) > 200
    assert run.judged("pass", [p50, ttft] if too_few else [p50, p95, ttft]), run.text


def test_a_server_that_is_slower_from_the_middle_on_fails(suite, mock_server):
    """Three times as slow from the 160th request on: 24 ms, then 74 ms."""
    slow = ["--healthy-first", 160, "--slow-every", 1, "--slow-ms", 50]
    server = mock_server(*QUICK_ANSWERS, *slow)
    run = suite(TIRING, "--llm-endpoint", server.url)
    assert run.exit == 1, run.text
    first = run.failure("test_it")[0]
    found = (
        r"p50 e2e latency over the run \+\d+% > 60%.* \(first to last quarter \S+ -> \S+ ms, 95% interval .+"
    )
    assert re.match(found, first), first


def test_a_server_that_fails_at_the_end_fails(suite, mock_server):
    failing = ["--healthy-first", 240, "--fail-status", 503]
    server = mock_server("--ttft-ms", 10, "--itl-ms", 1, "--tokens", 3, *failing)
    run = suite(TIRING, "--llm-endpoint", server.url)
    assert run.exit == 1, run.text
    p50 = run.verdicts[0]
    assert p50["sentence"].startswith("p50 e2e latency over the run first to last quarter ")
    assert "never (failed)" in p50["sentence"]
    assert re.search(r"8\d of 320 requests failed \(http_5xx 8\d\)", p50["sentence"])
    assert (p50["estimate"], p50["holds"]) == (None, False)


def test_a_regression_is_no_pass_where_nothing_is_compared_with(suite, quick):
    marked = TIRING.replace("no_degradation(percent=60)", "no_regression(percent=10)")
    run = suite(marked.replace("320", "20"), "--llm-endpoint", quick.url)
    assert "pass" not in {v["verdict"] for v in run.verdicts}
    told = [v["sentence"] for v in run.verdicts]
    assert told in ([f"regression: no evidence, {NOT_NAMED}"], [])


def test_faults_of_both_markers_are_told_at_collection(suite):
    run = suite(
        "@pytest.mark.no_degradation(percentage=10)\n"
        '@pytest.mark.no_regression(percent=-1, metrics=["p95"])\n'
        "def test_it(llm_load):\n    llm_load()",
        "--llm-endpoint",
        "http://127.0.0.1:9",
    )
    assert run.exit == 4
    assert "no_degradation: no keyword 'percentage', did you mean percent?" in run.text
    assert "percent: -1 is not over 0" in run.text
    assert "metrics: no metric 'p95'; known: e2e_p50, e2e_p90, e2e_p95," in run.text
