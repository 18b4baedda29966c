"""llm_load.sweep in a session: its rows in the summary and the report, no run for the markers."""

from __future__ import annotations


def test_a_sweep_is_told_and_not_judged(suite, quick):
    """A test of markers with a sweep alone has no evidence, and says why; wrong keywords are told."""
    run = suite(
        """
def test_swept(llm_load):
    found = llm_load.sweep([100, 200, 400, 800], requests=5)
    assert [row.failed for row in found.rows] == [0] * 4

@pytest.mark.asyncio
@pytest.mark.load(users=9, duration="60s", timeout="7s")
@pytest.mark.error_rate(max=0)
async def test_judged(llm_load):
    found = await llm_load.asweep([100], requests=2)
    assert found.run.plan.timeout_ns == 7_000_000_000

def test_wrong(llm_load):
    llm_load.sweep([100], duration="5s")
""",
        "--llm-endpoint",
        quick.url,
    )
    run.assert_outcomes(passed=1, failed=2)
    assert (
        "no evidence, the test ran llm_load.sweep alone, whose requests no marker judges: call"
        in "\n".join(run.failure("test_judged"))
    )
    assert "test_suite.py:16: llm_load.sweep: no keyword 'duration', known: max_tokens, " in "\n".join(
        run.failure("test_wrong")
    )
    (found,) = run.tests[0]["sweeps"]
    assert run.tests[0]["runs"] == []
    assert found["plan"] == "1 user, 20 requests"
    assert [(row["length_chars"], row["n"]) for row in found["rows"]] == [
        (n, 5) for n in (100, 200, 400, 800)
    ]
    assert found["rows"][0]["e2e_ms"]["p50"] > 0
    assert "  lengths by turns: 1 user, 20 requests" in run.text
    assert any(line.split()[:1] == ["800"] for line in run.result.outlines)
    assert "  no cliff: 0 of 1 lengths have 5 requests or more, and it takes 4 of them" in run.text


def test_a_server_that_answers_nothing_fails_a_sweep(suite, mock_server):
    """No cliff and no limit of it would be none in the test's own assert."""
    server = mock_server("--ttft-ms", 1, "--tokens", 1, "--healthy-first", 1, "--fail-status", 500)
    run = suite(
        """
def test_swept(llm_load):
    found = llm_load.sweep([100, 200, 400, 800], requests=5)
    assert found.cliff is None and found.limit is None
""",
        "--llm-endpoint",
        server.url,
        "--llm-api",
        "openai-chat",
    )
    run.assert_outcomes(failed=1)
    (said,) = [line for line in run.failure("test_swept") if "llm_load.sweep" in line]
    assert said == "test_suite.py:5: llm_load.sweep: no request was answered: 500: planted failure"
    assert [row["failed"] for row in run.tests[0]["sweeps"][0]["rows"]] == [5] * 4
