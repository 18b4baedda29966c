"""Each marker, kept and broken, through a whole pytest session."""

from __future__ import annotations

import re

import pytest

KEPT = {
    "latency": "p50_ms=5000, ttft_p50_ms=5000, tpot_p50_ms=1000, max_ms=20000",
    "throughput": "min_rps=0.5, min_tokens_per_s=1",
    "goodput": "min=0.5, ttft_ms=5000, e2e_ms=10000",
    "error_rate": "max=0",
    "no_leak": "mb=200, settle='100ms'",
    "resources": "rss_mb=4000, threads=1000",
}
BROKEN = {
    "latency": "p50_ms=100",
    "throughput": "min_rps=1000000",
    "goodput": "min=0.9, e2e_ms=100",
    "error_rate": "max=0.01",
    "no_leak": "mb=1, settle='100ms'",
    "resources": "rss_mb=1",
}
FIRST_LINE = {
    "latency": r"p50 e2e latency \S+ ms > 100 ms \(95% interval .+, n=40\b.*\)",
    "throughput": r"throughput \S+ requests/s < 1000000 requests/s(, undecided)? \(95% interval .+, n=\d+\)",
    "goodput": (
        r"goodput 0% < 90% \(95% interval .+, n=40\): 40 of 40 requests over a limit \(e2e_ms > 100: 40\)"
    ),
    "error_rate": r"error rate 50% > 1% \(95% interval .+, n=40\): 20 of 40 requests failed \(http_5xx 20\)",
    "no_leak": r"memory retained \S+ MB > 1 MB \(.+ interval .+, n=\d+ readings\)",
    "resources": r"peak RSS \S+ MB > 1 MB, \d+\.\d s into the test \(n=\d+ samples\)",
}
BUSY_MACHINE = r", undecided(?= \()|(: |; )the load generator was the bottleneck \(.+\); [^;]+$"
SICK = {"error_rate": ["--fail-every", 2], "no_leak": ["--leak-kb", 1000]}


def body(marker: str, keywords: str) -> str:
    return f"""
@pytest.mark.load(users=10, requests=40)
@pytest.mark.{marker}({keywords})
def test_it(llm_load):
    llm_load("Say hi.")
"""


@pytest.mark.parametrize("marker", KEPT)
def test_a_kept_promise_passes(marker, suite, quick):
    """Within the limit: exit 0, and the verdict is told in summary and report."""
    run = suite(body(marker, KEPT[marker]), "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    assert run.judged("pass"), run.text
    assert {v["check"] for v in run.verdicts} == {marker}
    assert f"  {run.verdicts[0]['verdict']}: {run.verdicts[0]['sentence']}" in run.result.outlines


@pytest.mark.parametrize("marker", BROKEN)
def test_a_broken_promise_fails(marker, suite, mock_server):
    """Beyond the limit: exit 1; first line promised, found, interval, n; last line the way to repeat it."""
    server = mock_server(
        "--ttft-ms", 150, "--itl-ms", 1, "--tokens", 5, "--healthy-first", 1, *SICK.get(marker, [])
    )
    run = suite(body(marker, BROKEN[marker]), "--llm-endpoint", server.url)
    assert run.exit == 1, run.text
    lines = run.failure("test_it")
    assert re.fullmatch(FIRST_LINE[marker], re.sub(BUSY_MACHINE, "", lines[0])), lines[0]
    assert lines[-1] == f"repeat: pytest test_suite.py::test_it --llm-endpoint={server.url}"
    assert "Traceback" not in run.text
    assert run.judged("fail")
    assert run.tests[0]["outcome"] == "failed"


@pytest.mark.parametrize("marker", BROKEN)
def test_a_bare_marker_only_selects(marker, suite):
    """Without keywords it checks nothing, needs no server, and works with -m."""
    run = suite(
        f"@pytest.mark.{marker}\ndef test_it():\n    pass\ndef test_other():\n    pass",
        "-m",
        marker,
        "--strict-markers",
    )
    assert run.exit == 0, run.text
    run.assert_outcomes(passed=1, deselected=1)
    assert run.tests == []
