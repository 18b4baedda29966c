"""--llm-explain, and the line that says how the server is spoken to."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler

import pytest

LOOPS = ("-o", "asyncio_default_fixture_loop_scope=function")
SOON = ("-o", "llm_ready_timeout=1s")


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


def test_each_of_several_is_explained(suite, talkative, mock_server):
    """Its questions, its first request and its process, by name; one that cannot be used after the others."""
    other = mock_server("--ttft-ms", 2, "--tokens", 2)
    pair = [f"--llm-endpoint={server.url}" for server in (talkative, other)]
    result = suite.in_process(*LOOPS, "--llm-explain", *pair, "--llm-model=m", "--llm-model=n")
    assert result.ret == 0, result.outlines
    first, second = (server.url.partition("://")[2] for server in (talkative, other))
    headings = [line for line in result.outlines if line and not line.startswith(" ")]
    asked = [f"first request of {name} {model}" for model in "mn" for name in (first, second)]
    assert [line for line in headings if line.startswith("first request")] == asked
    assert headings[-1] == f"capabilities of {first} m, the first"
    text = " ".join(line.strip() for line in result.outlines)
    assert "chosen openai-chat, models m, n because " in text
    assert f"process {first}: pid {talkative.pid}, " in text
    assert f" {second}: pid {other.pid}, " in text
    dead = suite.in_process(*LOOPS, "--llm-explain", pair[0], "--llm-endpoint=http://127.0.0.1:1", *SOON)
    text = " ".join(line.strip() for line in dead.outlines)
    assert dead.ret == 1
    assert f"first request of {first} curl " in text
    assert "unusable http://127.0.0.1:1 refused the connection for 1 s" in text


def test_a_server_that_cannot_be_used_is_explained_too(suite, serving):
    """What was asked, then why: exit 1. Without a server, or with a wrong option: a usage error."""
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


def test_a_server_that_repeats_the_key_is_explained_without(suite, serving):
    """Nor does a terminal get what it would obey: in the explanation, in a run's line and in its summary."""
    key = "sk-12345678"
    listing = json.dumps({"object": "list", "data": [{"id": f"m {key}\x1b[31m"}]}).encode()
    answer = b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'

    class Leaky(BaseHTTPRequestHandler):
        def do_GET(self):
            self.say(200 if self.path == "/v1/models" else 404, listing)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.say(200, answer)

        def say(self, status, body):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    with serving(Leaky) as server:
        options = (f"--llm-endpoint={server.url}", f"--llm-header=X-Api-Key: {key}")
        result = suite.in_process(*LOOPS, "--llm-explain", *options)
        run = suite("def test_it(llm_endpoint):\n    pass", *options, "-s")
    assert (result.ret, run.exit) == (0, 0), run.text
    text = " ".join(line.strip() for line in result.outlines)
    assert "application/json: lists model m ***\ufffd[31m" in text
    assert (
        "chosen openai-chat, model m ***\ufffd[31m because GET /v1/models lists model m ***\ufffd[31m;"
        in text
    )
    assert f"llmserve: {server.url}: openai-chat, model m ***\ufffd[31m, because " in run.text
    for told in (*result.outlines, *run.result.outlines, run.report.read_text()):
        assert key not in told
        assert "\x1b[31m" not in told


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
