"""llm_endpoint.recovers_from_disconnects: an assert that reads well, and its place in the report."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

SERVER = Path(__file__).parents[1] / "servers" / "leaving_server.py"
COMMAND = f"{shlex.quote(sys.executable)} {shlex.quote(str(SERVER))} {{port}}"


def test_who_interrupts_is_told_how_far_it_had_come(suite):
    """In the summary and the report."""
    run = suite(
        """
from pytest_llmserve.measure import disconnects

def test_long(llm_endpoint, monkeypatch):
    leave = disconnects.leave
    def interrupted(target, leavings, *others):
        leave(target, leavings[:2], *others)
        raise KeyboardInterrupt
    monkeypatch.setattr(disconnects, "leave", interrupted)
    llm_endpoint.recovers_from_disconnects(n=6, users=1)
""",
        "--llm-serve",
        COMMAND,
        apart=True,
    )
    what = "interrupted after 2 of 6 clients: nobody has seen whether it recovers"
    (found,) = run.tests[0]["disconnects"]
    assert (found["what"], found["recovered"], found["clients"]) == (what, False, 2)
    assert f"  clients that left: {what}" in run.result.outlines


def test_an_assert_says_what_was_not_as_before(suite):
    """In the failure, the summary and the JSON report; no answers are in it, unless they differ."""
    run = suite(
        """
def test_left(llm_endpoint):
    assert llm_endpoint.recovers_from_disconnects(n=4, users=1, where="mid_stream", within=5)
    assert llm_endpoint.recovers_from_disconnects(n=4, users=1, where="mid_upload", within="200ms")

def test_wrong(llm_endpoint):
    llm_endpoint.recovers_from_disconnects(within="soon")
""",
        "--llm-serve",
        f"{COMMAND} --fault deaf",
    )
    run.assert_outcomes(failed=2)
    said = "\n".join(run.failure("test_left"))
    assert (
        "Disconnects(NOT recovered: a short question alone: 1 of 1 not answered (connection refused))" in said
    )
    assert "within: 'soon' is not a duration: write \"60s\"" in "\n".join(run.failure("test_wrong"))
    good, bad = run.tests[0]["disconnects"]
    assert (good["recovered"], good["clients"], good["left"], good["faults"]) == (True, 4, 4, [])
    assert good["leavers"][0]["where"] == "mid_stream"
    assert good["before"]["together"][0]["failed"] == 0
    assert good["after"]["together"][0]["ms"] > 0
    assert bad["recovered_ms"] is None
    assert bad["faults"] == ["a short question alone: 1 of 1 not answered (connection refused)"]
    assert "  clients that left: not as before within 200 ms of the last of " in run.text
    assert "disconnects" not in run.tests[1]
