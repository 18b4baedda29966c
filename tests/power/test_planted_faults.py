"""One acceptance suite against servers with one fault each: the check for it fails, no other one does."""

from __future__ import annotations

import json

import pytest

SUITE = """
import pytest

@pytest.mark.load(users=4, requests=400, timeout="3s")
@pytest.mark.latency(p90_ms=150)
@pytest.mark.goodput(min=0.85, ttft_ms=120, e2e_ms=150)
@pytest.mark.error_rate(max=0.05)
@pytest.mark.no_leak(mb=12, settle="1s")
@pytest.mark.resources(rss_mb=2000)
def test_acceptance(llm_load, llm_server):
    llm_load()
"""

HEALTHY = ["--ttft-ms", "4", "--itl-ms", "1", "--tokens", "5"]
SLOW = ["--slow-every", "4", "--slow-ms", "200"]


def run_suite(pytester: pytest.Pytester, url: str, *options: str) -> tuple[int, dict[str, str]]:
    """Exit status, and the verdict of each check; a fault of ours would be neither."""
    pytester.makepyfile(SUITE)
    report = pytester.path / "report.json"
    result = pytester.runpytest_subprocess(f"--llm-endpoint={url}", f"--llm-report={report}", *options)
    (test,) = json.loads(report.read_text())["tests"]
    return int(result.ret), {verdict["check"]: verdict["verdict"] for verdict in test["verdicts"]}


def test_a_healthy_server_is_left_alone(pytester, mock_server):
    status, verdicts = run_suite(pytester, mock_server(*HEALTHY).url)
    assert status == 0
    assert "fail" not in verdicts.values()
    assert set(verdicts) == {"latency", "goodput", "error_rate", "no_leak", "resources"}


def test_a_server_that_closes_idle_connections_is_left_alone(pytester, mock_server):
    status, verdicts = run_suite(pytester, mock_server(*HEALTHY, "--close-after-answer").url)
    assert status == 0
    assert verdicts["error_rate"] == "pass"


@pytest.mark.parametrize(
    ("fault", "found_by"),
    [
        (SLOW, {"latency", "goodput"}),
        (["--fail-every", "4", "--healthy-first", "2"], {"latency", "goodput", "error_rate"}),
        (["--truncate-after", "2", "--healthy-first", "2"], {"latency", "goodput", "error_rate"}),
        (["--error-in-stream", "2", "--healthy-first", "2"], {"latency", "goodput", "error_rate"}),
        (["--empty-answer", "--healthy-first", "2"], {"latency", "goodput", "error_rate"}),
        (["--leak-kb", "100"], {"no_leak"}),
    ],
    ids=["slow tail", "failures", "truncated", "error in stream", "empty answers", "leak"],
)
def test_a_planted_fault_is_found_by_its_check_alone(pytester, mock_server, fault, found_by):
    status, verdicts = run_suite(pytester, mock_server(*HEALTHY, *fault).url)
    assert status == 1
    failed = {check for check, verdict in verdicts.items() if verdict == "fail"}
    # A server that answers nothing right gives no evidence on its memory: that is not a pass either.
    assert found_by <= failed <= found_by | {"no_leak"}
