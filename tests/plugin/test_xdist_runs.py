"""pytest-xdist: loads never overlap, one server, everything in the controller's report."""

from __future__ import annotations

import itertools
import shlex
import sys
from pathlib import Path

import psutil

MOCK = Path(__file__).parents[1] / "servers" / "mock_server.py"
LOADS = """
import os, time

@pytest.mark.parametrize("number", range(4))
@pytest.mark.load(users=2, duration="300ms")
@pytest.mark.error_rate(max=0.5)
def test_load(number, llm_load):
    began = time.monotonic_ns()
    llm_load(f"number {number}")
    with open("spans", "a") as file:
        file.write(f"{began} {time.monotonic_ns()} {os.environ['PYTEST_XDIST_WORKER']}\\n")

@pytest.mark.load(users=2, requests=10)
@pytest.mark.latency(max_ms=0.001)
def test_broken(llm_load):
    llm_load("Say hi.")

def test_ask(llm_endpoint):
    assert llm_endpoint.generate("Say hi.").ok
"""


def test_loads_take_turns_and_all_results_reach_the_controller(suite, quick):
    """One session of two workers keeps three promises.

    Each load has the server for itself: by one clock, no load begins before another has ended. Verdicts and
    figures of every worker stand in the one summary and the one report. A broken promise fails there with
    the same text as anywhere, and its repeat command has no -n.
    """
    run = suite(LOADS, "-n", 2, "--llm-endpoint", quick.url)
    run.assert_outcomes(passed=5, failed=1)
    rows = [line.split() for line in (suite.pytester.path / "spans").read_text().splitlines()]
    assert len({worker for _, _, worker in rows}) == 2
    spans = sorted((int(began), int(ended)) for began, ended, _ in rows)
    assert len(spans) == 4
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))
    loads = [t for t in run.tests if "test_load[" in t["nodeid"]]
    assert len(loads) == 4
    for test in loads:
        assert (test["outcome"], len(test["runs"])) == ("passed", 1)
        assert test["verdicts"][0]["check"] == "error_rate"
        assert f"{test['nodeid']}: passed" in run.result.outlines
    assert run.text.count("= llmserve =") == 1
    assert any(line.startswith("max e2e latency ") for line in run.failure("test_broken"))
    assert f"repeat: pytest test_suite.py::test_broken --llm-endpoint={quick.url}" in run.result.outlines


def test_one_server_serves_all_workers_and_is_gone_at_the_end(suite):
    """--llm-serve under -n 2: started once, no process and no folder left behind."""
    (suite.pytester.path / "server.py").write_text(
        "import os, runpy, sys\n"
        "open('pids', 'a').write(f'{os.getpid()}\\n')\n"
        f"sys.path.insert(0, {str(MOCK.parent)!r})\n"
        f"runpy.run_path({str(MOCK)!r}, run_name='__main__')\n"
    )
    serve = f"{shlex.quote(sys.executable)} server.py --port {{port}}"
    temporary = suite.pytester.mkdir("temporary")
    suite.pytester._monkeypatch.setenv("TMPDIR", str(temporary))
    body = """
import time

@pytest.mark.parametrize("number", range(4))
def test_ask(number, llm_endpoint):
    time.sleep(0.2)
    assert llm_endpoint.generate("Say hi.").ok
"""
    run = suite(body, "-n", 2, "--llm-serve", serve, apart=True)
    assert run.exit == 0, run.text
    pids = (suite.pytester.path / "pids").read_text().split()
    assert len(pids) == 1
    assert not psutil.pid_exists(int(pids[0]))
    assert list(temporary.glob("pytest-llmserve-*")) == []


def test_without_a_server_tests_are_skipped_on_workers_too(suite):
    """With the options to give."""
    run = suite(LOADS, "-n", 1, "-rs", apart=True)
    run.assert_outcomes(skipped=6)
    assert "no model server to test: give --llm-endpoint=URL" in run.text
