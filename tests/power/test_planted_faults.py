"""One acceptance suite against a server that is odd and one that is silent; test_fault_matrix.py has more."""

from __future__ import annotations

import json

import pytest

SUITE = """
import pytest

@pytest.mark.load(users=4, requests=120, timeout="3s")
@pytest.mark.latency(p90_ms=150)
@pytest.mark.goodput(min=0.85, ttft_ms=120, e2e_ms=150)
@pytest.mark.error_rate(max=0.05)
@pytest.mark.no_leak(mb=12, settle="200ms")
@pytest.mark.resources(rss_mb=2000)
def test_acceptance(llm_load, llm_server):
    llm_load()
"""

HEALTHY = ["--ttft-ms", "4", "--itl-ms", "1", "--tokens", "5"]


def run_suite(pytester: pytest.Pytester, url: str, *options: str) -> tuple[int, dict[str, str]]:
    """Exit status, and the verdict of each check; a fault of ours would be neither."""
    pytester.makepyfile(SUITE)
    report = pytester.path / "report.json"
    result = pytester.runpytest_subprocess(f"--llm-endpoint={url}", f"--llm-report={report}", *options)
    (test,) = json.loads(report.read_text())["tests"]
    return int(result.ret), {verdict["check"]: verdict["verdict"] for verdict in test["verdicts"]}


def test_a_server_that_closes_idle_connections_is_left_alone(pytester, mock_server):
    status, verdicts = run_suite(pytester, mock_server(*HEALTHY, "--close-after-answer").url)
    assert status == 0
    assert verdicts["error_rate"] == "pass"


def test_empty_answers_are_failures(pytester, mock_server):
    """A 200 without a token breaks every promise on answers."""
    status, verdicts = run_suite(
        pytester, mock_server(*HEALTHY, "--empty-answer", "--healthy-first", "2").url
    )
    assert status == 1
    failed = {check for check, verdict in verdicts.items() if verdict == "fail"}
    # A server that answers nothing right gives no evidence on its memory: that is not a pass either.
    found_by = {"latency", "goodput", "error_rate"}
    assert found_by <= failed <= found_by | {"no_leak"}
