"""Loads that end when every limit of the test is decided, as a user writes and reads them."""

from __future__ import annotations

import re

import pytest

EARLY = re.compile(r"^  ended early: every limit decided after (\d+) requests, \d+\.\d s$", re.MULTILINE)
NEEDS = "until='decided' needs a check that can stop early: latency, throughput, goodput, error_rate"


def test_a_slow_server_is_told_soon(suite, quick):
    """After some dozens of requests, not after ten minutes; summary, failure and report agree."""
    run = suite(
        """
@pytest.mark.load(users=4, until="decided")
@pytest.mark.latency(p99_ms=0.5)
def test_it(llm_load):
    llm_load("Say hi.")
""",
        "--llm-endpoint",
        quick.url,
        "-v",
    )
    assert run.exit == 1
    assert run.judged("fail")
    (found,) = run.tests[0]["runs"]
    assert (found["plan"]["until"], found["generator"]["ended"]) == ("decided", "decided")
    assert found["plan"]["text"] == "4 users, until decided, at most 10 min"
    sent = str(found["counts"]["sent"])
    assert EARLY.findall("\n".join(run.failure("test_it"))) == [sent]
    assert set(EARLY.findall(run.text)) == {sent}
    assert any(
        line.startswith("run: 4 users, until decided, at most 10 min: ") for line in run.failure("test_it")
    )
    assert len(quick.log_rows(found["counts"]["sent"])) >= found["counts"]["sent"]
    assert found["duration_s"] < 60


@pytest.mark.parametrize(
    ("load", "more"),
    [
        ("users=4", ()),
        ("users=4", ("--llm-load-workers=2",)),
        ("rate=80", ()),
        ("users=4", ("--llm-transport=httpx",)),
    ],
    ids=["users", "two workers", "rate", "httpx"],
)
def test_a_quick_server_is_told_soon(load, more, suite, quick):
    """Every request the server saw in the load is in the report, and none besides."""
    before = len(quick.log_rows())
    run = suite(
        f"""
@pytest.mark.load({load}, until="decided")
@pytest.mark.error_rate(max=0.2)
def test_it(llm_load):
    result = llm_load("Say hi.")
    assert result.generator.ended == "decided"
    assert not result.failed
""",
        "--llm-endpoint",
        quick.url,
        *more,
    )
    assert run.exit == 0, run.text
    counts = run.tests[0]["runs"][0]["counts"]
    loaded = [row for row in quick.log_rows() if row["nonce"]]
    assert len(loaded) - before <= counts["sent"] <= len(loaded)


def test_a_load_ends_early_only_with_verdicts_that_stand(suite, quick):
    """Where this machine is too busy for one it goes on; what is seen too late is told."""
    run = suite(
        """
@pytest.mark.load(users=4, until="decided", max_duration="15s")
@pytest.mark.latency(p90_ms=20000)
def test_it(llm_load):
    llm_load("Say hi.")
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text
    (found,), (verdict,) = run.tests[0]["runs"], run.verdicts
    if found["generator"]["ended"] == "decided":
        assert run.judged("pass")
        assert found["duration_s"] < 15
    else:
        assert (found["generator"]["ended"], verdict["verdict"]) == ("complete", "undecided")


def test_what_stays_open_ends_at_its_longest(suite, quick):
    """And is undecided, with nothing said of an early end."""
    run = suite(
        """
@pytest.mark.load(users=2, until="decided", max_duration="10s")
@pytest.mark.latency(p999_ms=20000)
def test_it(llm_load):
    assert llm_load("Say hi.").generator.ended == "complete"
""",
        "--llm-endpoint",
        quick.url,
        "--llm-scale=0.1",
    )
    assert run.exit == 0, run.text
    (found,) = run.tests[0]["runs"]
    assert found["plan"]["text"] == "2 users, until decided, at most 1 s"
    assert 0.8 < found["duration_s"] < 10
    assert run.judged("undecided")
    assert not EARLY.search(run.text)


def test_one_limit_that_is_open_keeps_the_load_going(suite, quick):
    """Though another has been broken from the first look on."""
    run = suite(
        """
@pytest.mark.load(users=2, until="decided", max_duration="1s")
@pytest.mark.latency(p50_ms=0.1, p999_ms=20000)
def test_it(llm_load):
    assert llm_load("Say hi.").generator.ended == "complete"
""",
        "--llm-endpoint",
        quick.url,
    )
    assert "ended early" not in run.text
    assert {v["what"]: v["verdict"] for v in run.verdicts}["p99.9 e2e latency"] == "undecided"


def test_a_server_that_answers_nothing_is_told_when_its_requests_have_timed_out(
    suite, mock_server, asked_briefly
):
    """The load does not wait for its ten minutes."""
    server = mock_server("--hang", "--healthy-first", 5)
    run = suite(
        """
@pytest.mark.load(users=20, until="decided", timeout="400ms")
@pytest.mark.error_rate(max=0.02)
def test_it(llm_load):
    llm_load("Say hi.")
""",
        "--llm-endpoint",
        server.url,
    )
    assert run.exit == 1, run.text
    (found,) = run.tests[0]["runs"]
    assert found["generator"]["ended"] == "decided"
    counts = found["counts"]
    assert counts["by_outcome"]["timed_out"] == counts["failed"] >= counts["sent"] - 5
    assert 20 <= counts["sent"] <= 200


def test_each_run_of_a_test_ends_for_itself(suite, quick):
    """The second is not decided by the first."""
    run = suite(
        """
@pytest.mark.load(users=4, until="decided")
@pytest.mark.error_rate(max=0.2)
def test_it(llm_load):
    llm_load("Say hi.")
    llm_load("Say hi.", users=2)
    llm_load("Say hi.", requests=10)
""",
        "--llm-endpoint",
        quick.url,
    )
    runs = run.tests[0]["runs"]
    assert [r["generator"]["ended"] for r in runs] == ["decided", "decided", "complete"]
    assert [r["plan"]["users"] for r in runs] == [4, 2, 4]
    assert all(r["counts"]["sent"] >= 20 for r in runs[:2])
    assert runs[2]["counts"]["sent"] == 10


@pytest.mark.parametrize(
    "marks",
    ["", "@pytest.mark.no_leak(mb=100)\n", "@pytest.mark.latency\n"],
    ids=["no check", "one that cannot", "a bare one"],
)
def test_without_a_check_that_can_end_it_the_marker_is_wrong(marks, suite):
    run = suite(f'{marks}@pytest.mark.load(users=2, until="decided")\ndef test_it(llm_load):\n    llm_load()')
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    line = 3 + marks.count("\n")
    assert f"test_suite.py:{line}: load: {NEEDS}" in run.text.splitlines()


def test_a_check_that_is_wrong_itself_is_the_only_fault(suite):
    """What it would be without its fault is not known to be missing."""
    run = suite('@pytest.mark.latency(p99=3)\n@pytest.mark.load(until="decided")\ndef test_it():\n    pass')
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert "latency: no keyword 'p99'" in run.text
    assert NEEDS not in run.text


def test_a_call_without_a_check_that_can_end_it_is_wrong(suite, quick):
    """At its line; no load runs."""
    run = suite(
        '@pytest.mark.resources(rss_mb=4000)\ndef test_it(llm_load):\n    llm_load("hi", until="decided")',
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 1
    assert run.failure("test_it")[0] == f"test_suite.py:5: llm_load: {NEEDS}"
    assert run.tests[0]["runs"] == []


def test_a_call_may_give_another_end(suite, quick):
    """Whichever way round."""
    run = suite(
        """
@pytest.mark.load(users=2, duration="60s")
@pytest.mark.error_rate(max=0.3)
def test_one(llm_load):
    assert llm_load("Say hi.", until="decided").plan.describe() == "2 users, until decided, at most 10 min"

@pytest.mark.load(users=2, until="decided", max_duration="5m")
@pytest.mark.error_rate(max=0.3)
def test_two(llm_load):
    assert llm_load("Say hi.", requests=30).plan.describe() == "2 users, 30 requests"
""",
        "--llm-endpoint",
        quick.url,
    )
    run.assert_outcomes(passed=2)


def test_the_time_shown_is_the_longest_it_may_take(suite, quick):
    """In a log: how long it has run, of how long it may."""
    run = suite(
        """
@pytest.mark.load(users=2, until="decided", max_duration="2s")
@pytest.mark.latency(p999_ms=20000)
def test_it(llm_load):
    llm_load("Say hi.")
""",
        "--llm-endpoint",
        quick.url,
        "-o",
        "llm_progress=700ms",
    )
    assert re.search(r"^llmserve: 0:0\d/0:02, 2 users, \d+ done, ", run.text, re.MULTILINE), run.text


def test_ctrl_c_is_told_as_such(suite, quick, monkeypatch):
    """Not as decided."""
    run = suite(
        """
import os, signal

@pytest.mark.load(users=2, until="decided")
@pytest.mark.latency(p999_ms=20000)
def test_it(llm_load):
    llm_load("Say hi.", on_progress=lambda now: now.ended > 20 and os.kill(os.getpid(), signal.SIGINT))
""",
        "--llm-endpoint",
        quick.url,
        apart=True,
    )
    assert run.exit == pytest.ExitCode.INTERRUPTED
    assert run.tests[0]["runs"][0]["generator"]["ended"] == "interrupted"
    assert "  ended early: interrupted" in run.text
