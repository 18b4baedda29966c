"""No server named: skipped with the way out, or refused."""

from __future__ import annotations

import pytest

WAY_OUT = (
    "no model server to test: give --llm-endpoint=URL, --llm-endpoint=embedded,"
    " --llm-serve='CMD --port {port}', or set LLM_ENDPOINT"
)
BODIES = {
    "fixture": "def test_it(llm_endpoint):\n    pass",
    "load fixture": "def test_it(llm_load):\n    llm_load()",
    "promise": "@pytest.mark.latency(p50_ms=1)\ndef test_it():\n    pass",
    "load marker": "@pytest.mark.load(requests=1)\ndef test_it():\n    pass",
    "getfixturevalue": "def test_it(request):\n    request.getfixturevalue('llm_endpoint')",
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_test_that_needs_a_server_is_skipped_with_the_options_to_give(kind, suite):
    """Whatever it needs it for."""
    run = suite(BODIES[kind], "-rs")
    run.assert_outcomes(skipped=1)
    assert run.exit == 0
    assert WAY_OUT in run.text


@pytest.mark.parametrize("kind", BODIES)
def test_a_pipeline_cannot_go_green_by_forgetting_the_endpoint(kind, suite):
    """llm_require_endpoint = true: exit 1, and the same words."""
    suite.pytester.makeini("[pytest]\nllm_require_endpoint = true")
    run = suite(BODIES[kind])
    assert run.exit == 1
    assert f"{WAY_OUT} (llm_require_endpoint is set)" in run.text


def test_other_tests_run_without_a_server(suite):
    """Only tests that need one are skipped."""
    run = suite("def test_it(llm_endpoint):\n    pass\ndef test_other():\n    pass")
    run.assert_outcomes(skipped=1, passed=1)
