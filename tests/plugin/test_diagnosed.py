"""What ran short is told with the failure and in the report; nothing of tests that pass."""

from __future__ import annotations

import pytest

BODY = """
STAGES = [(1, "1s"), (8, "1s")]

@pytest.mark.load(stages=STAGES)
@pytest.mark.latency(ttft_p95_ms=1)
def test_marked(llm_load):
    llm_load("Say hi.")

def test_by_hand(llm_load):
    assert llm_load("Say hi.", stages=STAGES).ttft_ms.p95 < 1

@pytest.mark.load(users=8, duration="500ms")
@pytest.mark.latency(max_ms=60000)
def test_that_passes(llm_load):
    llm_load("Say hi.")
"""


def test_a_queue_is_told_wherever_a_failure_is(suite, mock_server):
    """One answer of 30 ms at a time: TTFT rises from one user to eight, ITL does not.

    And the course of memory is in the report, so that it can be drawn.
    """
    server = mock_server("--slots", 1, "--ttft-ms", 10, "--itl-ms", 10, "--tokens", 3)
    run = suite(BODY, "--llm-endpoint", server.url)
    run.assert_outcomes(failed=2, passed=1)
    if any(load["generator"]["saturated"] for test in run.tests for load in test["runs"]):
        pytest.skip("this machine is too busy for runs that speak of the server alone")
    lines = run.failure("test_marked")
    order = ("server, peaks: ", "diagnosis:", "  queueing: ", "repeat: ")
    places = [next(i for i, line in enumerate(lines) if line.startswith(begin)) for begin in order]
    assert places == sorted(places)
    marked, by_hand, passed = run.tests
    for test in (marked, by_hand):
        found = {short["what"]: short for short in test["diagnosis"]}
        assert set(found["queueing"]) == {"what", "sentence", "figures"}
        assert found["queueing"]["figures"]["ttft_p50_ms"] > 100
        assert " ms at 1 user to " in found["queueing"]["sentence"]
        failures = run.text.partition("= FAILURES =")[2].partition("= llmserve =")[0]
        assert f"\n  queueing: {found['queueing']['sentence']}\n" in failures
    assert passed["diagnosis"] == []
    for test in run.tests:
        resources = test["resources"]
        assert 2 <= len(resources["series"]["at_s"]) == len(resources["series"]["rss_mb"]) <= 200
        assert 0 <= resources["series"]["at_s"][0] <= 1.5
        assert resources["series"]["at_s"] == sorted(resources["series"]["at_s"])
        assert max(resources["series"]["rss_mb"]) == resources["rss_mb_peak"] > 5
        assert resources["cores"] >= 1


SAYING = """
from pathlib import Path

def say_it():
    with Path(__file__).with_name("server.log").open("a") as log:
        log.write("torch.OutOfMemoryError: CUDA out of memory\\n")

def test_own(llm_endpoint):
    say_it()
    assert False

def test_skipped(llm_endpoint):
    say_it()
    pytest.skip("enough")

@pytest.mark.xfail
def test_expected(llm_endpoint):
    say_it()
    assert False

def test_passed(llm_endpoint):
    say_it()
"""


def test_what_the_log_says_is_diagnosed_of_tests_that_failed(suite, mock_server):
    """Of one that was expected to fail too; one that was skipped lacks nothing."""
    run = suite(SAYING, "--llm-endpoint", mock_server().url, "--llm-server-log=server.log")
    run.assert_outcomes(failed=1, skipped=1, xfailed=1, passed=1)
    said = {test["nodeid"].rpartition("::")[2]: [d["what"] for d in test["diagnosis"]] for test in run.tests}
    told = ["out of memory"]
    assert said == {"test_own": told, "test_skipped": [], "test_expected": told, "test_passed": []}
