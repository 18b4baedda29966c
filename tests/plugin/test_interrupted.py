"""Ctrl-C, SIGTERM and kill -9 while a load runs: what was measured stays, no process does."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

MOCK = Path(__file__).parents[1] / "servers" / "mock_server.py"
SERVE = f"{shlex.quote(sys.executable)} {shlex.quote(str(MOCK))} --port {{port}} --log served --ttft-ms 20"
LONG = """
import pytest

@pytest.mark.load(users=2, duration="120s")
@pytest.mark.latency(p50_ms=60000)
def test_it(llm_load):
    llm_load("Say hi.")
"""
START_LIMIT_S = 30
INTERRUPT_LIMIT_S = 15.0
KILL_LIMIT_S = 10


def wait_for(condition, limit_s, what):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def long_session(pytester, monkeypatch):
    """A session in a process of its own, its load under way; and all its descendants."""
    # What kill -9 leaves behind is the session's folder.
    monkeypatch.setenv("TMPDIR", str(pytester.mkdir("temporary")))
    pytester.makepyfile(test_long=LONG)
    served = pytester.path / "served"
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "--llm-report=report.json"]
    command += ["--llm-serve", SERVE]
    with (pytester.path / "out").open("wb") as out:
        session = subprocess.Popen(command, cwd=pytester.path, stdout=out, stderr=out)
    try:
        wait_for(
            lambda: served.exists() and served.read_text().count("\n") > 10,
            START_LIMIT_S,
            f"no load: {(pytester.path / 'out').read_text()}",
        )
        family = psutil.Process(session.pid).children(recursive=True)
        # A load worker, the server's guard and the server, at the least.
        assert len(family) >= 3
        yield session, family
    finally:
        session.kill()
        session.wait(10)
        for process in family:
            if process.is_running():
                process.kill()


def gone(family):
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_what_was_measured_is_kept(number, long_session, pytester):
    """Exit 2 within seconds; the figures stand in summary and report; workers and server are gone."""
    session, family = long_session
    began = time.monotonic()
    session.send_signal(number)
    assert session.wait(30) == pytest.ExitCode.INTERRUPTED
    assert time.monotonic() - began < INTERRUPT_LIMIT_S
    text = (pytester.path / "out").read_text()
    (test,) = json.loads((pytester.path / "report.json").read_text())["tests"]
    assert test["outcome"] == "interrupted"
    assert test["duration_s"] > 0.1
    assert test["started_at"]
    assert test["runs"][0]["generator"]["ended"] == "interrupted"
    assert test["runs"][0]["counts"]["ok"] >= 5
    assert "test_long.py::test_it: interrupted" in text
    assert "  ended early: interrupted" in text
    assert "KeyboardInterrupt" in text
    assert gone(family)
    assert list((pytester.path / "temporary").iterdir()) == []


def test_kill_9_of_pytest_leaves_no_process(long_session):
    """Load workers and the server it had started end by themselves."""
    session, family = long_session
    session.kill()
    session.wait(10)
    wait_for(lambda: gone(family), KILL_LIMIT_S, f"still there: {[p for p in family if p.is_running()]}")
    assert gone(family)
