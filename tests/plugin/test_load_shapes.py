"""Loads by a schedule, by stages and by a trace, as a user writes them."""

from __future__ import annotations

import json

import pytest


def test_a_rate_is_kept_and_judged_from_the_schedule(suite, quick):
    """Both latencies are in the report, and the counts add up."""
    run = suite(
        """
@pytest.mark.load(rate=40, requests=60, seed=7)
@pytest.mark.error_rate(max=0.2)
@pytest.mark.latency(p90_ms=3000)
def test_it(llm_load):
    result = llm_load()
    assert result.e2e_ms.p50 >= result.e2e_sent_ms.p50
""",
        "--llm-endpoint",
        quick.url,
        "-v",
    )
    assert run.exit == 0, run.text
    (found,) = run.tests[0]["runs"]
    assert (found["plan"]["rate"], found["plan"]["arrival"], found["plan"]["seed"]) == (40, "poisson", 7)
    counts = found["counts"]
    assert counts["ok"] + counts["failed"] + counts["dropped"] == 60
    assert {"ttft_ms", "ttft_sent_ms", "e2e_ms", "e2e_sent_ms"} <= set(found["metrics"])
    assert "40 requests/s, Poisson arrivals, 60 requests: " in run.text
    assert "e2e sent" in run.text


def test_stages_are_scaled_and_told_one_by_one(suite, quick):
    run = suite(
        """
from pytest_llmserve.shapes import stairs

@pytest.mark.load(stages=stairs([1, 3], "4s"), warm_up="2s")
def test_it(llm_load):
    warm_up, one, three = llm_load().stages
    assert three["requests_per_s"] > 1.5 * one["requests_per_s"]
""",
        "--llm-endpoint",
        quick.url,
        "--llm-scale=0.2",
        "-v",
    )
    assert run.exit == 0, run.text
    rows = run.tests[0]["runs"][0]["stages"]
    assert [row["label"] for row in rows] == ["warm-up", "1 user", "3 users"]
    assert [row["end_s"] for row in rows] == [0.4, 1.2, 2.0]
    assert any(line.split()[:2] == ["3", "users"] for line in run.text.splitlines())


def test_a_trace_lies_relative_to_the_root_folder(suite, quick, monkeypatch):
    """Wherever pytest is started; the call may give another speed."""
    root = suite.pytester.path
    (root / "traces").mkdir()
    rows = [{"timestamp_ms": n * 100, "input_tokens": 20, "output_tokens": 2} for n in range(8)]
    (root / "traces" / "calls.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / "below").mkdir()
    monkeypatch.chdir(root / "below")
    run = suite(
        """
@pytest.mark.load(trace="traces/calls.jsonl")
def test_it(llm_load):
    result = llm_load(speed=4)
    assert [r.output_tokens for r in result.ok] == [2] * len(result.ok)
    assert len(result.requests) == 8
""",
        root,
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text
    assert run.tests[0]["runs"][0]["plan"]["text"] == "trace calls.jsonl at speed 4"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, " cannot be read: No such file or directory"),
        ('{"timestamp": 1}', ", line 1: has no length: give one of prompt, input_chars, input_tokens"),
    ],
)
def test_a_wrong_trace_is_told_at_collection(text, fault, suite):
    """With the line of the marker and that of the file, as other faults of a marker; once."""
    path = suite.pytester.path / "calls.jsonl"
    if text is not None:
        path.write_text(text)
    run = suite(
        """
@pytest.mark.load(trace="calls.jsonl")
class TestThem:
    def test_it(self, llm_load):
        llm_load()

    def test_again(self, llm_load):
        llm_load()
"""
    )
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert run.text.count(f"test_suite.py:4: load: trace {path}{fault}") == 1


SHAPES = """
@pytest.mark.load(users=3, duration="400ms", ramp_up="100ms", think_time="10ms", seed=5)
class TestThem:
    @pytest.mark.load(rate=40)
    def test_marker(self, llm_load):
        llm_load()

    def test_call(self, llm_load):
        llm_load(rate=40)

    @pytest.mark.load(stages=[(1, "200ms"), (2, "200ms")])
    def test_stages(self, llm_load):
        llm_load()

    @pytest.mark.load(users=2)
    def test_more(self, llm_load):
        llm_load()
"""


def test_a_closer_kind_of_load_takes_the_place_of_the_farther(suite, quick):
    """With what belongs to that kind alone; what fits both is inherited."""
    run = suite(SHAPES, "--llm-endpoint", quick.url)
    run.assert_outcomes(passed=4)
    rated, called, staged, more = (test["runs"][0]["plan"] for test in run.tests)
    for plan in (rated, called):
        assert (plan["rate"], plan["duration_ns"], plan["seed"]) == (40, 400_000_000, 5)
        assert (plan["ramp_up_ns"], plan["think_time_ns"]) == (0, [0, 0])
    assert (staged["users"], staged["duration_ns"], staged["ramp_up_ns"]) == (2, None, 0)
    assert (staged["seed"], staged["think_time_ns"]) == (5, [10_000_000] * 2)
    assert (more["users"], more["ramp_up_ns"], more["think_time_ns"]) == (2, 100_000_000, [10_000_000] * 2)
