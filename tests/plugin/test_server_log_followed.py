"""The server's log through a whole session: found by itself, or by --llm-server-log."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from pytest_llmserve.observe.server_log import NOT_KNOWN

SERVER = Path(__file__).parents[1] / "servers" / "mock_server.py"
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
KEY = "sk-5f2e9-secret"
SICK = ["--ttft-ms", 40, "--tokens", 2, "--say", OOM, "--say-every", 10]
BODY = """
pytestmark = pytest.mark.load(users=2, requests=20)

@pytest.mark.no_log_errors
def test_bare(llm_load):
    llm_load()

@pytest.mark.no_log_errors(allow=["CUDA out of memory"])
def test_allowed(llm_load):
    llm_load()

@pytest.mark.no_log_errors(only=[r"Tried to allocate \\d", "never said"])
def test_only(llm_load):
    llm_load()

@pytest.mark.error_rate(max=0)
def test_not_asked(llm_load):
    llm_load()

@pytest.mark.latency(p50_ms=0.001)
def test_slow(llm_load):
    llm_load()

def test_of_its_own(llm_load):
    assert llm_load().failed, "an assert of the test"
"""


def serve(*options):
    return shlex.join([sys.executable, str(SERVER), "--port", "{port}", *map(str, options)])


def log_of(run, name):
    return next(test["log"] for test in run.tests if test["nodeid"].endswith(name))


def test_a_server_that_logs_out_of_memory_and_goes_on_fails(suite):
    """With the lines and the requests beside them; allowed or not asked for, it passes; all of it as data."""
    run = suite(BODY, "--llm-serve", serve(*SICK))
    run.assert_outcomes(failed=4, passed=2)
    said = run.failure("test_bare")
    assert said[0].startswith("error lines in the server's log 2 > 0: out of memory 2, from "), said
    at = said.index("server's log, error lines: out of memory 2:")
    assert said[at + 1].endswith(f" s into the test: {OOM}")
    assert said[at + 2].startswith("    requests of that moment: id ")
    assert run.failure("test_only")[0].startswith(
        "error lines in the server's log 2 > 0: Tried to allocate \\d 2,"
    )
    slow = run.failure("test_slow")
    assert slow[0].startswith("p50 e2e latency")
    assert "server's log, error lines: out of memory 2:" in slow
    own = run.text.split("AssertionError: an assert of the test\n", 1)[1].split("\n====")[0]
    assert "\nserver's log, error lines: out of memory 2:\n" in own
    log = log_of(run, "test_allowed")
    assert (log["errors"], log["allowed"], log["missing"]) == (0, 2, None)
    log = log_of(run, "test_not_asked")
    assert (log["by_pattern"], [line["chars"] for line in log["lines"]]) == (
        {"out of memory": 2},
        [len(OOM)] * 2,
    )
    assert OOM not in run.report.read_text()


@pytest.mark.parametrize("healthy", [True, False])
def test_a_log_that_is_named_or_found_is_followed_for_a_server_that_was_there(suite, mock_server, healthy):
    """Found: its output goes to a file. What lines say is in the report on request, but for the key."""
    sick = [*SICK, "--say", f"{OOM} for {KEY}"]
    server = mock_server(*(SICK[:4] if healthy else sick))
    body = "@pytest.mark.no_log_errors()\ndef test_it(llm_load):\n    llm_load(requests=20)\n"
    options = ["--llm-endpoint", server.url, "--llm-keep-text", f"--llm-header=X-Api-Key: {KEY}"]
    run = suite(body, *options, *([] if healthy else [f"--llm-server-log={server.output}"]))
    run.assert_outcomes(**({"passed": 1} if healthy else {"failed": 1}))
    log = log_of(run, "test_it")
    assert log["files"] == [str(server.output)]
    assert [line["text"] for line in log["lines"]] == ([] if healthy else [f"{OOM} for ***"] * 2)
    assert KEY not in run.text
    if not healthy:
        assert f"--llm-server-log={server.output}" in run.failure("test_it")[-1]


def test_without_a_log_nothing_is_promised(suite, quick, monkeypatch):
    """No evidence is no pass, and the option is told; one file of two that is not there neither."""
    body = "@pytest.mark.no_log_errors\ndef test_it(llm_endpoint):\n    llm_endpoint.generate('Hi.')\n"
    monkeypatch.setattr("pytest_llmserve.measure.opening.output_files", lambda _: ())
    run = suite(body, "--llm-endpoint", quick.url)
    run.assert_outcomes(failed=1)
    assert run.failure("test_it")[0] == f"error lines in the server's log: no evidence, {NOT_KNOWN}"
    logs = [f"--llm-server-log={quick.output}", "--llm-server-log=later.log"]
    run = suite(body, "--llm-endpoint", quick.url, *logs)
    run.assert_outcomes(failed=1)
    later = suite.pytester.path / "later.log"
    assert run.failure("test_it")[0] == (
        "error lines in the server's log: no evidence,"
        f" {later} was not there during the test: does the server write to it?"
    )


def test_wrong_files_and_expressions_are_told_before_the_first_test(suite, quick):
    """All at once, each with what to do; a folder that is not there will not come."""
    body = "@pytest.mark.no_log_errors(patterns=['('], alow='x')\ndef test_it(llm_endpoint):\n    pass\n"
    options = ["--llm-server-log=nowhere/server.log", "--llm-server-log=."]
    run = suite(body, "--llm-endpoint", quick.url, options[0])
    here = suite.pytester.path
    assert run.exit == 4
    assert (
        f"--llm-server-log {here}/nowhere/server.log: there is no folder {here}/nowhere; check the path"
    ) in run.text
    run = suite(body, "--llm-endpoint", quick.url, options[1])
    assert (
        f"--llm-server-log {here}: is not a file; name the file that the server writes its log to"
    ) in run.text
    run = suite(body, "--llm-endpoint", quick.url)
    assert run.exit == 4
    assert "no_log_errors: patterns: '(' is not a regular expression: missing )" in run.text
    assert "no keyword 'alow', did you mean allow?" in run.text
