"""--llm-explain, and the line that says how the server is spoken to."""

from __future__ import annotations

import json
import sys

import pytest

LOOPS = ("-o", "asyncio_default_fixture_loop_scope=function")


@pytest.fixture
def talkative(mock_server):
    """A healthy server that would say 40 tokens."""
    return mock_server("--ttft-ms", 2, "--itl-ms", 1, "--tokens", 40)


def test_it_explains_and_runs_no_test(suite, talkative):
    """Each probe, the first request without its key, the choice, what is watched, what it can do."""
    suite.pytester.makepyfile(test_suite="def test_it():\n    assert False, 'it ran'")
    key = "sk-12345678"
    result = suite.in_process(
        *LOOPS, "--llm-explain", f"--llm-endpoint={talkative.url}", f"--llm-header=X-Api-Key: {key}"
    )
    assert result.ret == 0, result.outlines
    lines = result.outlines
    assert max(map(len, lines)) <= 80
    assert key not in "\n".join(lines)
    headings = [line for line in lines if line and not line.startswith(" ")]
    assert headings == [
        *("server", "asked", "first request", "chosen", "process", "metrics", "log", "capabilities"),
    ]
    text = " ".join(line.strip() for line in lines)
    for said in (
        f"server {talkative.url} asked GET /v1/models answered 200 application/json: lists model mock",
        f"first request curl {talkative.url}/v1/chat/completions -H 'X-Api-Key: ***'",
        "answered in 4 chunks, with token counts: ",
        "chosen openai-chat, model mock because GET /v1/models lists model mock; a one-line prompt was",
        f"process pid {talkative.pid}, ",
        "streaming: yes: an answer came in ",
        "max_tokens_name: max_tokens: ",
    ):
        assert said in text, f"{said!r} is not in {text}"


def test_a_server_that_cannot_be_used_is_explained_too(suite, serving):
    """What was asked, then why: exit 1. Without a server, or with a wrong option: a usage error."""
    from http.server import BaseHTTPRequestHandler

    with serving(type("Web", (BaseHTTPRequestHandler,), {"log_message": lambda *_: None})) as server:
        result = suite.in_process(*LOOPS, "--llm-explain", f"--llm-endpoint={server.url}")
        url = server.url
    assert result.ret == 1
    text = " ".join(line.strip() for line in result.outlines)
    assert "asked GET /v1/models answered 501 text/html: tells nothing GET /api/tags answered 501" in text
    assert "unusable none of: openai-chat, openai-completions, " in text
    assert f"json is spoken at {url}: GET /v1/models" in text
    nothing = suite.in_process(*LOOPS, "--llm-explain")
    assert (nothing.ret, nothing.outlines) == (4, [])
    assert nothing.errlines[0].startswith("ERROR: no model server to test: give --llm-endpoint=URL")
    wrong = suite.in_process(*LOOPS, "--llm-explain", f"--llm-endpoint={url}", "--llm-api=jsn")
    assert (wrong.ret, wrong.outlines) == (4, [])


def test_what_no_server_can_be_asked_with_is_told_before_one_is(suite):
    """A template that cannot be filled, and a placeholder of the command without a value: usage errors."""
    wrong = suite.in_process(
        *LOOPS,
        *("--llm-explain", "--llm-endpoint=http://127.0.0.1:1", '--llm-json-request={"a": "{promt}"}'),
    )
    assert (wrong.ret, wrong.outlines) == (4, [])
    assert wrong.errlines[0].startswith('ERROR: --llm-json-request has no "{prompt}" in any of its texts: ')
    command = f"{sys.executable} -m pytest_llmserve.simulator --port {{port}} --tokens {{words}}"
    lacking = suite.in_process(*LOOPS, "--llm-explain", "--llm-serve", command)
    assert (lacking.ret, lacking.outlines) == (4, [])
    assert lacking.errlines[0].startswith(f"ERROR: --llm-serve {command!r}: {{words}} has no value: write a")


def test_a_command_has_the_values_of_the_ini_file(suite):
    """As a test without values of its own has them."""
    suite.pytester.makeini("[pytest]\nllm_serve_values = words=3")
    command = f"{sys.executable} -m pytest_llmserve.simulator --port {{port}} --tokens {{words}}"
    result = suite.in_process(*LOOPS, "--llm-explain", "--llm-serve", command)
    assert result.ret == 0, [result.outlines, result.errlines]


def test_the_choice_stands_in_the_summary_and_capabilities_where_asked_for(suite, talkative):
    """One line a server in the summary, and one while nothing is captured; the report has what was asked."""
    body = """
def test_first(llm_endpoint):
    assert llm_endpoint.generate("hi", **llm_endpoint.limited(2)).output_tokens == 2

def test_second(llm_endpoint):
    assert llm_endpoint.capabilities.streaming
    assert llm_endpoint.capabilities.max_tokens_name.word == llm_endpoint.limit_name == "max_tokens"
"""
    run = suite(body, f"--llm-endpoint={talkative.url}", "-s")
    assert run.exit == 0, run.text
    line = f"{talkative.url}: openai-chat, model mock, because GET /v1/models lists model mock; a one-line"
    lines = [each for each in run.result.outlines if line in each]
    assert [each.startswith("llmserve: ") for each in lines] == [True, False]
    assert lines[1] in run.result.outlines[run.result.outlines.index(lines[0]) :]
    first, second = (test["server"] for test in run.tests)
    assert first["asked"][0] == "GET /v1/models answered 200 application/json: lists model mock"
    assert "capabilities" not in first
    assert second["capabilities"]["streaming"]["works"] is True
    captured = suite("def test_it(llm_endpoint):\n    pass", f"--llm-endpoint={talkative.url}")
    assert sum(line in each for each in captured.result.outlines) == 1
    assert json.loads(captured.report.read_text())["tests"][0]["server"]["api"] == "openai-chat"
