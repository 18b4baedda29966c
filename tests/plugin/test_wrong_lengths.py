"""A Content-Length that lies: only what harms the server or others is a fault."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from pytest_llmserve.serve import lying

FRAGILE = Path(__file__).parents[1] / "servers" / "fragile_server.py"
SERVE = f"{shlex.quote(sys.executable)} {shlex.quote(str(FRAGILE))} {{port}}"

FRAIL = r"""
from pytest_llmserve.strategies import WrongLength

def test_harmless(llm_endpoint):
    for told, ended in {
        100: "it answered 200 in ", 1: "it answered 200 in ", -1: "it answered 200 in ",
        "x": "it closed the connection in ", None: "it closed the connection in ",
    }.items():
        found = llm_endpoint.survives(WrongLength(b'{"a": 1}', told))
        assert found
        assert found.what.startswith(ended), told
        assert found.took_ms < 5000

def test_error(llm_endpoint):
    assert llm_endpoint.survives(WrongLength(b"{}", "\xb2"))

def test_hang(llm_endpoint):
    llm_endpoint.assert_survives(WrongLength(b"{}", 666), timeout="1s")

def test_next(llm_endpoint):
    assert llm_endpoint.send(WrongLength(b"{}", (2, 3))) == "ok"
"""


def test_only_an_error_or_harm_to_others_is_a_fault(suite, monkeypatch):
    """Closed without a word, answered late or after the client's half was closed: none. Each is soon over."""
    monkeypatch.setattr(lying, "UNCLEAR_WAIT_S", 0.3)
    monkeypatch.setattr(lying, "LAST_WAIT_S", 0.5)
    run = suite(FRAIL, "--llm-serve", SERVE)
    run.assert_outcomes(passed=2, failed=2)
    told = {test["nodeid"].partition("::")[2]: test.get("survival") for test in run.tests}
    assert told["test_harmless"]["cases"] == 5
    (error,) = told["test_error"]["faults"]
    assert error["what"] == "it answered 500: length is a digit and no number"
    (hang,) = told["test_hang"]["faults"]
    assert hang["what"].startswith("it did not answer the probe afterwards (no answer within 1 s)")
    said = "\n".join(run.failure("test_hang"))
    assert "sent: POST /v1/chat/completions with Content-Length: '666' before '{}' (2 bytes, sha256 " in said


SOUND = """
from hypothesis import HealthCheck, given, settings

from pytest_llmserve.strategies import WrongLength, malformed_bodies

seen = []

@settings(max_examples=40, database=None, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))
@given(body=malformed_bodies("openai-chat").filter(lambda body: isinstance(body, WrongLength)))
def test_it(llm_endpoint, body):
    seen.append(llm_endpoint.survives(body, neighbours=False))
    assert seen[-1]

def test_all_of_them(llm_endpoint):
    assert {each.status for each in seen} >= {None, 400, 411}
    assert {each.outcome for each in seen} == {"reset", "http_4xx"}
"""


def test_the_simulator_survives_every_one_that_is_drawn(suite, monkeypatch):
    """It refuses the head, or closes when the rest does not come."""
    monkeypatch.setattr(lying, "FIRST_WAIT_S", 0.05)
    run = suite(SOUND, "--llm-endpoint", "simulator")
    assert run.exit == 0, run.text
