"""Servers that fail: what was seen, what to do, exit 1, in time."""

from __future__ import annotations

import http.server
import shlex
import socket
import sys
import threading
from pathlib import Path

import pytest

MOCK = Path(__file__).parents[1] / "servers" / "mock_server.py"
SERVE = f"{shlex.quote(sys.executable)} {shlex.quote(str(MOCK))} --port {{port}}"
ASK = "def test_it(llm_endpoint):\n    pass"
LOAD = """
@pytest.mark.load(users=2, requests=40, timeout="400ms")
@pytest.mark.error_rate(max=0.1)
def test_it(llm_load):
    llm_load("Say hi.")
"""


@pytest.fixture
def impatient(suite):
    """Half a second for a server to answer is enough here."""
    suite.pytester.makeini("[pytest]\nllm_ready_timeout = 500ms")
    return suite


def test_a_server_that_dies_in_mid_run_is_told(suite, soon_given_up):
    """kill -9 after ten answers: failed, refused connections by kind, and how its process ended."""
    run = suite(LOAD, "--llm-serve", f"{SERVE} --die-after 10")
    assert run.exit == 1, run.text
    lines = run.failure("test_it")
    assert lines[0].startswith("error rate ")
    assert "requests failed (" in lines[0]
    assert "refused" in lines[0]
    assert any("killed by SIGKILL" in line for line in lines)
    counts = run.tests[0]["runs"][0]["counts"]
    assert counts["sent"] == counts["ok"] + counts["failed"] <= 40
    assert 5 <= counts["ok"] <= 10
    assert run.result.duration < 30


def test_a_foreign_server_that_dies_in_mid_run_is_told(suite, mock_server):
    """One that was there before: the same failure, from what its clients saw."""
    server = mock_server("--die-after", 10)
    run = suite(LOAD.replace("requests=40", "requests=16"), "--llm-endpoint", server.url)
    assert run.exit == 1, run.text
    assert "refused" in run.failure("test_it")[0]
    assert "refused" in run.tests[0]["runs"][0]["counts"]["by_outcome"]


def test_a_server_that_stops_answering_times_out(suite, mock_server):
    """Each request ends at its own limit, and the run after it."""
    server = mock_server("--hang", "--healthy-first", 1)
    run = suite(LOAD.replace("requests=40", "requests=4"), "--llm-endpoint", server.url)
    assert run.exit == 1
    assert run.failure("test_it")[0].startswith("error rate 100% > 10%")
    assert run.tests[0]["runs"][0]["counts"]["by_outcome"] == {"timed_out": 4}
    assert run.result.duration < 20


def test_a_server_that_never_answers_a_prompt(impatient, mock_server):
    """It lists its models and then hangs: told after llm_ready_timeout."""
    server = mock_server("--hang")
    run = impatient(ASK, "--llm-endpoint", server.url)
    assert run.exit == 1
    said = run.failure("test_it")[0]
    assert said.startswith(f"{server.url} did not answer a one-line prompt in time: ")
    assert said.endswith("; else see the server's log")
    assert run.result.duration < 15


def test_a_socket_that_never_answers(impatient):
    """Something listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        run = impatient(ASK, "--llm-endpoint", url, "--llm-server-pid", "1")
    assert run.exit == 1
    assert run.failure("test_it")[0] == (
        f"{url} accepted the connection but did not answer GET /health within 500 ms:"
        " does it hang, or is another program there? see the server's log"
    )
    assert run.result.duration < 15


def test_no_server_there(impatient):
    """A refused connection: the two ways to have a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    run = impatient(ASK, "--llm-endpoint", url)
    assert run.exit == 1
    assert run.failure("test_it")[0] == (
        f"{url} refused the connection for 500 ms: start the server first,"
        " or let --llm-serve 'CMD --port {port}' start it"
    )


def test_a_server_that_always_fails(suite, mock_server):
    """500 to everything that is asked: its own words are told."""
    server = mock_server("--fail-status", 500)
    run = suite(ASK, "--llm-endpoint", server.url)
    assert run.exit == 1
    said = run.failure("test_it")[0]
    assert said.startswith(f"{server.url} answered 500 to a one-line prompt: ")
    assert said.endswith("planted failure; see the server's log")


class Page(http.server.BaseHTTPRequestHandler):
    """A web page at every path."""

    def do_GET(self) -> None:
        body = b"<html><body>Welcome to nginx!</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_plain_web_page_is_no_model_server(suite):
    """It answers 200 to everything; the message says what it is, and names --llm-api."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as page:
        thread = threading.Thread(target=page.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{page.server_address[1]}"
        run = suite(ASK, "--llm-endpoint", url)
        page.shutdown()
        thread.join(10)
    assert run.exit == 1
    said = run.failure("test_it")[0]
    assert said.startswith("none of: openai-chat, ")
    assert f" is spoken at {url}: GET /v1/models " in said
    assert "text/html" in said
    assert "--llm-api" in said
