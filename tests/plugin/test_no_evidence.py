"""Where nothing was measured, nothing is passed."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

PROMISES = {
    "latency": "latency(p50_ms=60000)",
    "throughput": "throughput(min_rps=0.001)",
    "goodput": "goodput(min=0.01, e2e_ms=60000)",
    "error_rate": "error_rate(max=0.99)",
    "no_leak": "no_leak(mb=100000, settle='50ms')",
}
WHAT = {
    "latency": "p50 e2e latency",
    "throughput": "throughput",
    "goodput": "goodput",
    "error_rate": "error rate",
    "no_leak": "memory retained",
}


@pytest.mark.parametrize("marker", PROMISES)
def test_a_promise_without_a_load_fails(marker, suite, quick):
    """The test forgot to call llm_load(): the first line says so."""
    run = suite(
        f"@pytest.mark.load(requests=3)\n@pytest.mark.{PROMISES[marker]}\ndef test_it(llm_load):\n    pass",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 1
    said = run.failure("test_it")[0]
    assert said == f"{WHAT[marker]}: no evidence, no load ran in this test: call llm_load()"
    assert run.verdicts[0]["verdict"] == "undecided"
    assert run.verdicts[0]["estimate"] is None


@pytest.mark.parametrize("marker", PROMISES)
def test_a_load_without_a_request_fails(marker, suite, quick):
    """requests=0 sends nothing, so nothing is known."""
    run = suite(
        f"@pytest.mark.load(requests=0)\n@pytest.mark.{PROMISES[marker]}\n"
        "def test_it(llm_load):\n    llm_load('Say hi.')",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 1, run.text
    assert ": no evidence, no request" in run.failure("test_it")[0]
    assert run.verdicts[0]["verdict"] == "undecided"


@pytest.mark.parametrize("marker", PROMISES)
def test_a_load_that_failed_altogether_fails(marker, suite, mock_server):
    """Every request a 500: however wide the limit, no promise is kept, and the kind of failure is told."""
    server = mock_server("--healthy-first", 1, "--fail-status", 500)
    run = suite(
        f"@pytest.mark.load(requests=12)\n@pytest.mark.{PROMISES[marker]}\n"
        "def test_it(llm_load):\n    llm_load('Say hi.')",
        "--llm-endpoint",
        server.url,
    )
    assert run.exit == 1, run.text
    assert run.verdicts[0]["verdict"] != "pass"
    assert "  http_5xx: 12, first id 0: " in "\n".join(run.failure("test_it"))


@pytest.fixture
def short_lived():
    """A process that is there when the session starts, and is waited for as soon as it has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    waiting = threading.Thread(target=process.wait)
    waiting.start()
    yield process.pid
    process.kill()
    waiting.join(30)
    process.stdin.close()


GONE = """
import os, signal, time

import pytest

os.kill({pid}, signal.SIGKILL)
try:
    while not os.kill({pid}, 0):
        time.sleep(0.01)
except ProcessLookupError:
    pass

@pytest.mark.load(requests=3)
@pytest.mark.{promise}
def test_it(llm_load):
    llm_load("Say hi.")
"""


@pytest.mark.parametrize("promise", ["no_leak(mb=100000, settle='50ms')", "resources(rss_mb=100000)"])
def test_a_process_that_cannot_be_read_keeps_no_promise(promise, suite, quick, short_lived):
    """--llm-server-pid of a process that is gone meanwhile: undecided, so failed, and it says why."""
    body = GONE.format(pid=short_lived, promise=promise)
    run = suite(body, "--llm-endpoint", quick.url, "--llm-server-pid", short_lived)
    assert run.exit == 1, run.text
    said = run.failure("test_it")[0]
    assert ": no evidence, " in said
    assert str(short_lived) in said
    assert run.verdicts[0]["verdict"] == "undecided"


def test_resources_need_the_server_to_be_watched(suite, quick):
    """A promise about the server, in a test that uses no fixture of ours, is not kept by silence."""
    run = suite(
        "@pytest.mark.resources(rss_mb=100000)\ndef test_it():\n    pass", "--llm-endpoint", quick.url
    )
    assert run.exit == 1, run.text
    assert "no evidence" in run.failure("test_it")[0]
