"""A server that stopped answering near the end of a test, where its limits are kept all the same."""

from __future__ import annotations

import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path

SERVER = Path(__file__).parents[1] / "servers" / "stuck_server.py"
STUCK = f"{shlex.quote(sys.executable)} {shlex.quote(str(SERVER))}"
DEAD = "the server's process had ended before this test: killed by SIGKILL; its log is empty"
BODY = """
@pytest.mark.load(users=1, requests=40, timeout="2500ms", nonce=False)
@pytest.mark.error_rate(max=0.3)
def test_late(llm_load):
    llm_load("Say hi.")

def test_asked_by_itself(llm_endpoint):
    assert llm_endpoint.generate("Say hi.", timeout=2.5).ok

def test_dead(llm_endpoint, llm_server):
    import os, signal, time
    os.kill(llm_server.pid, signal.SIGKILL)
    while llm_server.alive:
        time.sleep(0.01)

def test_dead_before(llm_endpoint):
    assert llm_endpoint.generate("Say hi.").ok
"""
HANGS = re.compile(
    r"the server's process lives and answers a plain GET but had not answered a prompt for 2\.\d s,"
    r" and did not answer one more within 1 s"
)


def test_a_server_that_hangs_at_the_end_of_a_test_fails_it(suite, asked_briefly):
    """Though its limit is kept; and one that hung or was dead before is told beside a test's own failure."""
    suite.pytester.makeini("[pytest]\nllm_api = openai-chat")
    run = suite(BODY, "--llm-serve", f"{STUCK} {{port}} --stuck-after 39")
    run.assert_outcomes(failed=4)
    late, by_itself, _, _ = run.tests
    assert late["verdicts"][0]["holds"]
    assert HANGS.fullmatch(late["liveness"])
    assert HANGS.fullmatch(by_itself["liveness"])
    lines = run.result.outlines
    sections = [after for line, after in pairwise(lines) if line.strip("- ") == "llmserve"]
    assert sections == [by_itself["liveness"], DEAD]
