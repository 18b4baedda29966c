"""The fixtures, as a test uses them."""

from __future__ import annotations


def test_endpoint_answers_whole_and_streamed(suite, quick):
    """llm_endpoint: what it is, generate, stream, raw bodies, and whether it lives."""
    run = suite(
        f"""
def test_it(llm_endpoint):
    assert (llm_endpoint.url, llm_endpoint.api, llm_endpoint.model) == ({quick.url!r}, "openai-chat", "mock")
    reply = llm_endpoint.generate("Say hi.", max_tokens=3)
    assert reply.ok and len(reply.text.split()) == 3
    assert "".join(piece for piece in llm_endpoint.stream("Say hi.", max_tokens=3)) == reply.text
    assert llm_endpoint.send("no JSON") == "http_4xx"
    assert llm_endpoint.is_alive()
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text


def test_resources_are_sampled_through_the_test(suite, quick):
    """llm_resources: samples of the server's process without being asked to start."""
    run = suite(
        f"""
def test_it(llm_resources, llm_load, llm_server):
    assert llm_server.pid == {quick.pid}
    llm_load("Say hi.", users=1, requests=5)
    assert llm_resources.missing is None
    assert len(llm_resources.samples) >= 2
    assert llm_resources.peak("rss_mb") > 5
    assert llm_resources.window().peak("threads") >= 1
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text


def test_a_server_that_is_not_ours_is_not_stopped(suite, quick):
    """llm_server.stop() says what would make it ours, and the server lives."""
    run = suite(
        "def test_it(llm_server):\n    llm_server.stop()",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 1
    assert "let --llm-serve 'CMD --port {port}' start it" in run.text
    assert quick.is_alive()


def test_hypothesis_takes_the_endpoint(suite, quick):
    """The fixture is of session scope: no health check of hypothesis fails."""
    run = suite(
        """
from hypothesis import given, settings, strategies as st

@settings(max_examples=5, deadline=None, database=None)
@given(tokens=st.integers(1, 4))
def test_it(llm_endpoint, tokens):
    assert llm_endpoint.generate("Say hi.", max_tokens=tokens).output_tokens == tokens
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text
    run.assert_outcomes(passed=1)


def test_async_tests_load_with_arun(suite, quick):
    """`await llm_load.arun()` leaves the event loop free, and its run is judged."""
    run = suite(
        """
import asyncio

@pytest.mark.asyncio
@pytest.mark.load(users=2, requests=30)
@pytest.mark.error_rate(max=0)
async def test_it(llm_load, llm_endpoint):
    ticks = 0
    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)
    ticking = asyncio.ensure_future(tick())
    result = await llm_load.arun("Say hi.")
    ticking.cancel()
    assert len(result.ok) == 30
    assert ticks > 3
    assert (await llm_endpoint.agenerate("Say hi.")).ok
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text
    assert run.verdicts[0]["verdict"] == "pass"


def test_a_cancelled_arun_ends_the_load(suite, mock_server):
    """asyncio.timeout around it: the load stops soon, what was measured is kept."""
    server = mock_server("--ttft-ms", 20, "--tokens", 2)
    run = suite(
        """
import asyncio, time

@pytest.mark.asyncio
async def test_it(llm_load):
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await llm_load.arun("Say hi.", users=2, duration="60s")
    assert time.monotonic() - began < 10
""",
        "--llm-endpoint",
        server.url,
    )
    assert run.exit == 0, run.text
    found = run.tests[0]["runs"][0]
    assert found["generator"]["ended"] == "interrupted"
    assert found["counts"]["ok"] > 0
