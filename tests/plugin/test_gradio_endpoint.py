"""A Gradio app under test: every question is two exchanges, and no test need know."""

from __future__ import annotations

import shlex
import sys

SIMULATOR = f"{shlex.quote(sys.executable)} -m pytest_llmserve.simulator --port {{port}}"


def test_everything_works_with_answers_that_are_fetched(suite):
    """Questions, streams, raw and hostile bodies, loads, clients that leave; both exchanges are told."""
    run = suite(
        """
@pytest.mark.load(users=4, requests=40)
@pytest.mark.error_rate(max=0)
def test_it(llm_load, llm_endpoint):
    reply = llm_endpoint.generate("[0f3c9a21] Copy the code.")
    assert reply.text.startswith("[0f3c9a21] ")
    assert len(reply.record.steps) == 1
    with llm_endpoint.stream("Say hi.") as stream:
        assert len(list(stream)) == 6
    assert llm_endpoint.send({"data": ["Say hi.", 2]}).body.count(b"event: generating") == 2
    broken = {"X-Simulator-Fault": "error_in_stream:every=1,after=1"}
    outcome = llm_endpoint.send({"data": ["Say hi."]}, headers=broken)
    assert (outcome, outcome.status, outcome.error[:10]) == ("server_error_in_stream", 200, "EngineCore")
    at_once = llm_endpoint.send({"data": ["Say hi."]}, path="/gradio_api/run/predict")
    assert at_once.body.startswith(b'{"data": ["')
    assert llm_endpoint.survives({"data": []})
    assert llm_endpoint.survives({"data": ["Say hi."]})
    found = llm_endpoint.recovers_from_disconnects(n=6, users=2)
    assert found, found
    result = llm_load()
    assert {len(r.steps) for r in result.requests} == {1}
    assert 40 <= result.ttft_ms.p50 < 1000
""",
        "--llm-serve",
        f"{SIMULATOR} --face gradio --face gradio-run --ttft-ms 40 --itl-ms 2 --tokens 6",
        "--llm-api=gradio",
        "--llm-keep-text",
    )
    assert run.exit == 0, run.text
    (test,) = run.tests
    rows = test["runs"][0]["requests"]
    assert [len(row["steps"]) for row in rows] == [1] * 40
    assert all(row["steps"][0]["sent_ns"] == row["sent_ns"] for row in rows)
    (row,) = test["disconnects"]
    assert (row["recovered"], row["left"]) == (True, 6), row
