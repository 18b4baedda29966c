"""llm_endpoint.survives: each way to be harmed fails a test in its own words, and a healthy server passes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_llmserve.measure import jump
from pytest_llmserve.plugin import survivals
from pytest_llmserve.serve.command import free_port

FRAGILE = Path(__file__).parents[1] / "servers" / "fragile_server.py"
SERVE = f"{shlex.quote(sys.executable)} {shlex.quote(str(FRAGILE))} {{port}}"

HARMS = {
    "\0": "it answered 500: NUL in prompt",
    "traceback": "its answer shows a Python traceback: 'Traceback (most recent call last): ",
    "plain": "it refused with 400 in text/plain, which is no JSON: 'Invalid HTTP request received.'",
    "cut": "its answer 200 was not whole (the connection was closed in the middle of the answer, ",
    "within": "an error inside its 200 answer (engine)",
    "memory": " MB, more than 40.0 MB",
    "neighbours": " the input was answered 500: batch lost",
    "poison": "it answers the probe otherwise than before: 'HI HI' instead of 'hi'",
    "hang": "it did not answer the probe afterwards (no answer within 1 s)",
    "leave": "its process ended: exited with code 3; the connection broke before the answer began (",
}
EACH = f"""
import asyncio
import threading

import pytest
from pytest_llmserve.domain.errors import SetupError

def test_harms(llm_endpoint):
    for word in {list(HARMS)!r}:
        timeout = "1s" if word == "hang" else "20s"
        assert not llm_endpoint.survives(prompt=word, timeout=timeout, memory_mb=40), word

def test_plain(llm_endpoint):
    assert llm_endpoint.survives(prompt="plain")

def test_deadly(llm_endpoint):
    llm_endpoint.assert_survives(prompt="sk-5f2e9-secret", top_k=0.5)

def test_well(llm_endpoint):
    assert not [t for t in threading.enumerate() if t.name == "llmserve-neighbours"], "of the tests before"
    assert llm_endpoint.survives(b"fine")
    assert llm_endpoint.survives(None)
    assert asyncio.run(llm_endpoint.asurvives({{"fine": 1}}, neighbours=False, probe=False))
    with pytest.raises(AssertionError, match="^it answered 500: NUL in prompt\\n  sent: curl "):
        asyncio.run(llm_endpoint.aassert_survives(prompt="\\0"))

@pytest.mark.parametrize(("given", "keywords", "said"), [
    ((), {{}}, "survives: give either a body, as to send(), or prompt=, as to generate()"),
    (("x",), {{"prompt": "x"}}, "survives: give either a body, as to send(), or prompt=, as to generate()"),
    (("x",), {{"top_k": 1}}, "survives: top_k cannot be put into a body that is sent as it is:"
                             " write them into it, or give prompt="),
    (("x",), {{"timeout": 0}}, "survives: timeout: 0 leaves no time to answer"),
    (("x",), {{"memory_mb": "x"}}, "survives: memory_mb: 'x' is no size: give megabytes, such as 256"),
])
def test_usage(llm_endpoint, given, keywords, said):
    with pytest.raises(SetupError) as error:
        llm_endpoint.survives(*given, **keywords)
    assert str(error.value) == said
"""


def test_each_harm_is_found_and_the_server_put_back(suite, monkeypatch):
    """After each of them the next test finds a server, though four have ended it or spoilt it for good."""
    monkeypatch.setattr(jump, "_SETTLE_S", 0.1)
    key = ("--llm-header", "Authorization: Bearer sk-5f2e9-secret")
    run = suite(EACH, "--llm-serve", SERVE, *key)
    run.assert_outcomes(failed=2, passed=2 + 5)
    told = {test["nodeid"].partition("::")[2]: test.get("survival") for test in run.tests}
    assert (told["test_harms"]["cases"], told["test_harms"]["survived"]) == (len(HARMS), 0)
    for row, (word, fault) in zip(told["test_harms"]["faults"], HARMS.items(), strict=True):
        assert fault in row["what"], word
    deadly = told["test_deadly"]["faults"][0]
    assert deadly["faults"][0] == "its process ended: killed by SIGKILL"
    assert deadly["bytes"] > 100
    assert "sent" not in deadly, "prompts are kept only when asked for"
    assert "  hostile inputs: 4 cases, 3 survived" in run.result.outlines
    said = run.failure("test_plain")
    assert any(
        line.startswith("E       ") and "assert Survival(NOT survived: it refused" in line for line in said
    )
    assert '--data-binary \'{"model":"m"' in run.text
    assert "sk-5f2e9-secret" not in run.text.partition("= FAILURES")[2].replace(
        'prompt="sk-5f2e9-secret"', ""
    )


SMALLEST = """
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

@settings(database=None, deadline=None, max_examples=20, derandomize=True,
          suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink])
@given(st.sampled_from([2, 10, 11]))
def test_smallest(llm_endpoint, n):
    assert llm_endpoint.survives(f"kill {n}", neighbours=False)

def test_next(llm_endpoint):
    assert llm_endpoint.survives(b"fine")
"""


def test_hypothesis_finds_the_smallest_input_that_ends_a_server_of_ours(suite):
    """As it is started again after each; without the test being blamed for the ends."""
    run = suite(SMALLEST, "--llm-serve", SERVE)
    run.assert_outcomes(failed=1, passed=1)
    assert "n=10," in run.text
    assert "assert Survival(NOT survived: its process ended: killed by SIGKILL; " in run.text
    cases = run.tests[0]["survival"]
    assert cases["cases"] - cases["survived"] >= 2, "it was put to the server again"
    assert cases["restarts"] == cases["cases"] - cases["survived"]
    assert cases["restart_s"] > 0
    assert f" survived, {cases['restarts']} restarts of the server (" in run.text


@pytest.fixture
def fragile():
    """A fragile server that nobody starts again."""
    port = free_port()
    with subprocess.Popen([sys.executable, str(FRAGILE), str(port)]) as process:
        server = SimpleNamespace(url=f"http://127.0.0.1:{port}", pid=process.pid)
        yield server
        process.kill()


def test_a_server_that_is_not_ours_and_gone_ends_the_search(suite, fragile, monkeypatch):
    """The test whose input ended it tells that; the others name that test, and none is blamed for it."""
    monkeypatch.setattr(survivals, "_RETURN_LIMIT_S", 0.3)
    run = suite(SMALLEST, "--llm-endpoint", fragile.url)
    run.assert_outcomes(failed=2)
    assert [test.get("survival", {}).get("survived") for test in run.tests][1] is None
    cases = run.tests[0]["survival"]
    assert cases["cases"] - cases["survived"] == 1, "no smaller input is looked for"
    since = (
        f"no further input can be judged: the server at {fragile.url} is of no use since an input of"
        f" test_suite.py::test_smallest (its process ended: pid {fragile.pid} is gone)"
    )
    why = (
        ", and it was not started by this test run: let --llm-serve 'CMD --port {port}' start it, and it is"
        " started again after such an input; or start it again by hand. That input:"
    )
    first, later = ("\n".join(run.failure(name)) for name in ("test_smallest", "test_next"))
    assert since + why in first
    assert "--data-binary 'kill 1" in first
    assert f"{since}; that test tells the input" in later
    assert "kill 1" not in later


HEALTHY = """
def test_it(llm_endpoint):
    for body in (b"", b"{", "\\ud800", None, [], {"messages": 1}, {"prompt": None}):
        assert llm_endpoint.survives(body)
    assert llm_endpoint.survives(prompt="Say hi.", max_tokens=-1)
    assert llm_endpoint.survives(b"{}", path="/v1/completions", headers={"X-Big": "x" * 1000})
    assert llm_endpoint.survives(b"{}", path="/nowhere").not_seen == (
        "whether the input was looked at at all, as it was refused with 404",
    )
"""


def test_a_healthy_server_survives_and_a_failing_one_is_not_measured_by_its_probe(suite, mock_server):
    """Where probe and neighbours failed before any case, that is said, and the case alone is judged."""
    run = suite(HEALTHY, "--llm-endpoint", mock_server().url)
    run.assert_outcomes(passed=1)
    assert "  hostile inputs: 10 cases, 10 survived" in run.result.outlines
    sick = mock_server("--fail-status", 500, "--healthy-first", 1)
    run = suite(
        "def test_it(llm_endpoint):\n    print(llm_endpoint.survives(b'x', path='/nowhere'))\n",
        *("--llm-endpoint", sick.url, "-rP"),
    )
    run.assert_outcomes(passed=1)
    assert "the probe failed 1 of 1 time before the first case (500: planted failure)" in run.text
    assert "neighbours, as the first one failed before any case (500: planted failure)" in run.text
