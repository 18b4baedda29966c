"""A server's worker processes that end while the server as a whole goes on."""

from __future__ import annotations

import shlex
import sys

PREFORK = """
import http.server, json, os, sys

ANSWER = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}).encode()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if b"crash" in asked:
            os._exit(3)
        body = b'{"pid": %d}' % os.getpid() if b"who" in asked else ANSWER
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)

def work():
    if os.fork() == 0:
        server.serve_forever()

work()
work()
while True:
    os.wait()
    work()
"""
BODY = """
import os, signal, subprocess, sys, time

def worker(endpoint):
    return endpoint.send(b"who").body

def test_lost_with_a_request(llm_endpoint):
    assert llm_endpoint.send(b"crash") == "reset"
    assert llm_endpoint.generate("Say hi.").ok

def test_ended_idle(llm_endpoint, llm_server):
    import json
    pid = json.loads(worker(llm_endpoint))["pid"]
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert llm_endpoint.generate("Say hi.").ok

def test_none_ended(llm_endpoint):
    assert llm_endpoint.generate("Say hi.").ok
"""


def test_a_worker_process_that_ended_with_a_request_fails_the_test(suite):
    """One that ended idle is warned of: its supervisor may recycle it."""
    (suite.pytester.path / "prefork.py").write_text(PREFORK)
    command = f"{shlex.quote(sys.executable)} prefork.py {{port}}"
    run = suite(BODY, "--llm-serve", command, "--llm-api=openai-chat")
    run.assert_outcomes(failed=1, passed=2)
    ended = "1 of the server's worker processes ended during the test and was replaced"
    assert run.failure("test_lost_with_a_request")[0] == f"{ended}: 1 request failed"
    assert [test["liveness"] for test in run.tests] == [f"{ended}: 1 request failed", ended, None]
    assert f"LlmServeWarning: {ended}" in run.text
