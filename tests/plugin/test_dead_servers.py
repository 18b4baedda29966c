"""A server that ended during a test never passes it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

MOCK = Path(__file__).parents[1] / "servers" / "mock_server.py"
SERVE = f"{shlex.quote(sys.executable)} {shlex.quote(str(MOCK))} --port {{port}} --ttft-ms 1 --tokens 1"
# The readiness check asks first; 1000 answers, and then a few refused connections.
KEPT = """
@pytest.mark.load(users=2, duration="60s", timeout="400ms")
@pytest.mark.error_rate(max=0.2)
@pytest.mark.latency(p50_ms=20000)
def test_it(llm_load):
    llm_load("Say hi.")
"""
KILLED = """
import os, signal, time
def end(server):
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while server.alive:
        assert time.monotonic() < deadline
        time.sleep(0.02)

def test_it(llm_endpoint, llm_server):
    end(llm_server)

def test_after(llm_endpoint):
    pass
"""


def test_a_server_that_dies_late_fails_every_promise(suite, mock_server, soon_given_up):
    """With failures so few that error rate and latency would pass; since when is told."""
    server = mock_server("--die-after", 1000, "--ttft-ms", 1, "--tokens", 1)
    run = suite(KEPT, "--llm-endpoint", server.url, "--llm-server-pid", server.pid)
    assert run.exit == 1, run.text
    assert [v["verdict"] for v in run.verdicts] == ["fail", "fail"]
    assert all(v["holds"] for v in run.verdicts), "the figures alone are within the limits"
    said = run.failure("test_it")
    assert said[0].startswith("the server was gone: from ")
    assert "s on, no connection for 1 s (Connection refused)" in said[0]
    assert said[0].endswith(f"; the server's process ended during the test: pid {server.pid} is gone")
    others = said[said.index("other limits:") + 1 :][:2]
    assert all(line.startswith("  kept until then: ") for line in others)
    assert not any("the server" in line for line in others), "it is told once"


def test_a_server_killed_during_a_test_without_promises_fails_it(suite):
    """The test's own asserts hold; the next test finds the server gone, and is not blamed for it."""
    run = suite(KILLED, "--llm-serve", SERVE)
    run.assert_outcomes(failed=1, passed=1)
    said = run.failure("test_it")[0]
    assert said.startswith("the server's process ended during the test: killed by SIGKILL; ")


OWN = """
import os, signal, time

def test_own(llm_endpoint, llm_server):
    os.kill(llm_server.pid, signal.SIGKILL)
    while llm_server.alive:
        time.sleep(0.02)
    assert llm_endpoint.generate("Say hi.").ok, "an assert of the test"
"""


def test_an_assert_of_the_test_does_not_hide_what_became_of_the_server(suite):
    """In the terminal and in JUnit's XML; with its last lines, without a key that it wrote there."""
    options = ("--llm-header", "Authorization: Bearer sk-5f2e9-secret", "--junitxml=junit.xml")
    say = "--say 'CUDA error: sk-5f2e9-secret' --say-every 1"
    (suite.pytester.path / "serve.sh").write_text(f"exec {SERVE.format(port='$1')} {say}\n")
    run = suite(OWN, "--llm-serve", "sh serve.sh {port}", *options, "--show-capture=no")
    run.assert_outcomes(failed=1)
    xml = (suite.pytester.path / "junit.xml").read_text()
    for text in (run.text, xml):
        assert "AssertionError: an assert of the test" in text
        after = text.split(" llmserve -----", 1)[1]
        assert "the server's process ended during the test: killed by SIGKILL; the last lines of" in after
        assert "CUDA error: " in after
        assert "sk-5f2e9-secret" not in text


def test_a_foreign_server_killed_during_a_test_fails_it(suite, mock_server):
    server = mock_server()
    run = suite(KILLED, "--llm-endpoint", server.url)
    run.assert_outcomes(failed=1, passed=1)
    assert run.failure("test_it")[:2] == [
        f"the server's process ended during the test: pid {server.pid} is gone; the last lines of its log:",
        f"listening on 127.0.0.1:{server.port}",
    ]


def test_a_server_that_the_test_stops_has_not_died(suite):
    """llm_server.stop() is the test's own wish."""
    body = "def test_it(llm_endpoint, llm_server):\n    llm_server.stop()\n"
    run = suite(body, "--llm-serve", SERVE)
    assert run.exit == 0, run.text


FRAGILE = """
import http.server, json, sys

ANSWER = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}).encode()
MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode()
asked = 0

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: else each answer waits for an acknowledgement
    served = 0

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(MODELS)

    def do_POST(self):
        global asked
        self.rfile.read(int(self.headers["Content-Length"]))
        asked += 1
        self.served += 1
        if self.served > 1 and asked % 10 == 0:
            self.close_connection = True  # it has read the request, and breaks
        else:
            self.reply(ANSWER)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.mark.parametrize(("strict", "exit_code"), [((), 0), (("--llm-strict",), 1)])
def test_a_server_that_breaks_on_requests_at_once_does_not_pass(suite, strict, exit_code):
    """Every tenth request ends with its connection and is answered when it is sent again."""
    (suite.pytester.path / "fragile.py").write_text(FRAGILE)
    body = """
@pytest.mark.load(users=2, requests=300, nonce=False)
@pytest.mark.error_rate(max=0.05)
def test_it(llm_load):
    llm_load("Say hi.")
"""
    run = suite(
        body, "--llm-serve", f"{sys.executable} fragile.py {{port}}", "--llm-api=openai-chat", *strict
    )
    assert run.exit == exit_code, run.text
    (verdict,) = run.verdicts
    assert verdict["verdict"] == "undecided"
    assert " requests were sent again, as the server closed their kept connection" in verdict["sentence"]
