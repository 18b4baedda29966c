"""Verdicts fall in the call phase, so pytest's own tools see them."""

from __future__ import annotations

BROKEN = """
@pytest.mark.xfail(strict=True, reason="known slow")
@pytest.mark.load(requests=8)
@pytest.mark.latency(max_ms={limit})
def test_it(llm_load):
    llm_load("Say hi.")
"""


def test_xfail_expects_a_broken_promise(suite, quick):
    """strict xfail: broken as expected is exit 0."""
    run = suite(BROKEN.format(limit=0.001), "--llm-endpoint", quick.url)
    run.assert_outcomes(xfailed=1)
    assert run.exit == 0
    assert run.tests[0]["outcome"] == "xfailed"
    assert run.verdicts[0]["verdict"] != "pass"


def test_strict_xfail_fails_when_the_promise_is_kept(suite, quick):
    """The reason to keep the xfail is gone."""
    run = suite(BROKEN.format(limit=60000), "--llm-endpoint", quick.url)
    run.assert_outcomes(failed=1)
    assert run.exit == 1
    assert "[XPASS(strict)] known slow" in run.text
    assert run.judged("pass")


def test_reruns_show_every_attempt(suite, mock_server):
    """pytest-rerunfailures: attempt 1 outcome rerun, attempt 2 passed, each with its own figures."""
    server = mock_server("--healthy-first", 1, "--fail-first", 5)
    body = """
@pytest.mark.load(requests=4)
@pytest.mark.error_rate(max=0)
def test_it(llm_load):
    llm_load("Say hi.")
"""
    run = suite(body, "--llm-endpoint", server.url, "--reruns", "1")
    run.assert_outcomes(passed=1, rerun=1)
    assert [(t["attempt"], t["outcome"]) for t in run.tests] == [(1, "rerun"), (2, "passed")]
    assert [t["verdicts"][0]["verdict"] for t in run.tests] == ["fail", "pass"]
    assert [len(t["runs"]) for t in run.tests] == [1, 1]
    assert "test_suite.py::test_it: rerun" in run.result.outlines
    assert "test_suite.py::test_it: passed (attempt 2)" in run.result.outlines


TWO = """
@pytest.mark.load(requests=4)
@pytest.mark.latency(max_ms=0.001)
def test_slow(llm_load):
    llm_load("Say hi.")

def test_next():
    pass
"""


def test_exitfirst_stops_at_a_broken_promise(suite, quick):
    """-x: the next test does not run."""
    run = suite(TWO, "--llm-endpoint", quick.url, "-x")
    run.assert_outcomes(failed=1)


def test_selection_by_name_and_marker_works(suite, quick):
    """-k and -m choose tests of ours like any other's."""
    run = suite(TWO, "--llm-endpoint", quick.url, "-m", "not latency")
    run.assert_outcomes(passed=1, deselected=1)


def test_a_failing_body_wins_over_the_verdicts(suite, quick):
    """Its own assertion is what fails; its runs and verdicts are in the report all the same."""
    run = suite(
        """
@pytest.mark.load(requests=4)
@pytest.mark.latency(max_ms=0.001)
def test_it(llm_load):
    llm_load("Say hi.")
    assert 1 == 2, "the test's own"
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 1
    assert any("the test's own" in line for line in run.failure("test_it"))
    assert "repeat: pytest" not in "\n".join(run.failure("test_it"))
    assert len(run.tests[0]["runs"]) == 1
    assert run.verdicts[0]["verdict"] != "pass"


def test_a_skip_inside_the_body_stays_a_skip(suite, quick):
    """No verdict is given for a test that chose not to measure."""
    run = suite(
        "@pytest.mark.latency(max_ms=1)\ndef test_it(llm_load):\n    pytest.skip('not today')",
        "--llm-endpoint",
        quick.url,
    )
    run.assert_outcomes(skipped=1)
    assert run.exit == 0
