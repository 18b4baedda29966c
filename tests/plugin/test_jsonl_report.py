"""--llm-report x.jsonl: every request of every session, whatever befell it, and nothing left beside it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_llmserve.checks import check_class
from pytest_llmserve.checks.judging import judged
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.reports.kept_requests import read_runs
from pytest_llmserve.reports.kept_run import KeptRun, evidence_of

MOCK = Path(__file__).parents[1] / "servers" / "mock_server.py"
TWO_RUNS = """
import re

@pytest.fixture
def torn():
    yield
    assert False, "in the teardown"

@pytest.mark.load(users=2, requests=20)
@pytest.mark.latency(ttft_p50_ms=60000, max_ms=0.001)
@pytest.mark.error_rate(max=0)
@pytest.mark.resources(rss_mb=10000)
@pytest.mark.no_log_errors(allow=[re.compile("^Deprec", re.I)])
def test_kept(llm_load, torn):
    llm_load("Say hi.")
    llm_load("Say hi.", users=1, requests=5)

def test_silent(llm_endpoint):
    assert llm_endpoint.is_alive()
"""


def left_beside(folder: Path) -> list[str]:
    """Parts of a report that were forgotten."""
    return [path.name for path in folder.rglob("*") if ".jsonl." in path.name]


def told(runs: list[KeptRun]) -> list[tuple[str, int, int, int]]:
    return [(run.nodeid, run.attempt, run.number, len(run.result.everything)) for run in runs]


def test_a_session_is_judged_again_from_its_file(suite, quick):
    """The same figures and verdicts as in the JSON report; a line a request.

    Each attempt is there once, though an error in its teardown makes two entries of the JSON report; all
    .jsonl reports are alike, folders are made, and the document has nothing of how it came about.
    """
    folder = suite.pytester.path
    options = ["--llm-report=x.jsonl", "--llm-report=deep/y.jsonl", "--llm-endpoint", quick.url]
    run = suite(TWO_RUNS, *options)
    assert (folder / "deep" / "y.jsonl").read_bytes() == (folder / "x.jsonl").read_bytes()
    assert left_beside(folder) == []
    assert "report: x.jsonl" in run.text
    assert '"_' not in run.report.read_text()
    kept = read_runs(folder / "x.jsonl")
    nodeid = "test_suite.py::test_kept"
    assert told(kept) == [(nodeid, 1, 1, 20), (nodeid, 1, 2, 5)]
    assert (folder / "x.jsonl").read_bytes().count(b"\n") == 25
    document = next(test for test in run.tests if test["nodeid"] == nodeid)
    for one, was in zip(kept, document["runs"], strict=True):
        assert one.result.counts == was["counts"]
        assert one.result.e2e_ms.summary() == was["metrics"]["e2e_ms"]
        assert one.result.throughput.requests_per_s == pytest.approx(was["throughput"]["requests_per_s"])
        assert one.result.resources.peak("rss_mb") == pytest.approx(
            was["resources"]["rss_mb_peak"], abs=0.001
        )
    test = kept[0].test
    assert [*test.verdicts] == document["verdicts"]
    assert (test.server, test.report["log"]) == (document["server"], document["log"])
    checks = [build(check_class(one.check), one.check, (), one.keywords) for one in test.asked]
    assert checks[-1].allow == (re.compile("(?i)^Deprec"),)
    again = [verdict.as_json() for verdict in judged(checks, evidence_of(kept))]
    assert again == document["verdicts"]


ATTEMPTS = """
import os

@pytest.mark.flaky(reruns=1)
@pytest.mark.load(users=2, requests=6)
@pytest.mark.error_rate(max=0.5)
def test_rerun(llm_load):
    llm_load("Say hi.")
    assert False

@pytest.mark.load(users=2, requests=6)
@pytest.mark.error_rate(max=0.5)
def test_second(llm_load):
    llm_load("Say hi.")

def test_crashing(llm_load):
    llm_load("Say hi.", users=1, requests=3)
    if os.environ.get("PYTEST_XDIST_WORKER"):
        os._exit(3)
"""


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["alone", "xdist"])
def test_every_attempt_is_there_though_a_worker_dies(workers, suite, quick):
    """Attempts are told apart; what a worker had not yet handed over went with it, and leaves nothing."""
    run = suite(ATTEMPTS, "--llm-report=x.jsonl", "--llm-endpoint", quick.url, *workers, apart=bool(workers))
    found = told(read_runs(suite.pytester.path / "x.jsonl"))
    name = "test_suite.py::test_"
    expected = [(name + "rerun", 1, 1, 6), (name + "rerun", 2, 1, 6), (name + "second", 1, 1, 6)]
    assert sorted(found) == sorted(expected if workers else [*expected, (name + "crashing", 1, 1, 3)])
    assert run.exit == pytest.ExitCode.TESTS_FAILED
    assert left_beside(suite.pytester.path) == []


def test_a_file_that_cannot_be_written_hides_nothing_and_leaves_nothing(suite, quick):
    """It is told as with the other endings; the report beside it is written."""
    body = """
def test_it(llm_load, request):
    request.config.invocation_params.dir.joinpath("taken").write_text("")
    llm_load("Say hi.", users=1, requests=3)
"""
    run = suite(body, "--llm-endpoint", quick.url, "--llm-report", "taken/x.jsonl", "--llm-report", "y.jsonl")
    taken = suite.pytester.path / "taken"
    why = f"cannot be written: File exists ({taken}); name a file that can be"
    assert f"ERROR: --llm-report {taken / 'x.jsonl'}: {why}" in run.text
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert "report: y.jsonl" in run.text
    assert len(read_runs(suite.pytester.path / "y.jsonl")) == 1
    assert left_beside(suite.pytester.path) == []


def test_a_session_without_a_request_leaves_an_empty_file(suite, quick):
    """It is there, as any report that was asked for, and has no line."""
    suite("def test_it(llm_endpoint):\n    pass", "--llm-endpoint", quick.url, "--llm-report=x.jsonl")
    assert (suite.pytester.path / "x.jsonl").read_bytes() == b""


def test_keys_are_never_in_it_and_answers_only_if_asked_for(suite, mock_server, monkeypatch):
    """Not where the server repeats them either."""
    monkeypatch.setenv("THE_KEY", "sk-planted-key-123")
    server = mock_server("--tokens", 4)
    body = "def test_it(llm_load):\n    llm_load('Say hi.', users=1, requests=3)"
    options = ["--llm-endpoint", server.url, "--llm-api-key-env=THE_KEY", "--llm-report=x.jsonl"]
    suite(body, *options)
    path = suite.pytester.path / "x.jsonl"
    assert all("text" not in json.loads(line) for line in path.read_text().splitlines())
    suite(body, *options, "--llm-keep-text")
    (kept,) = read_runs(path)
    assert all(len(record.text) == record.output_chars > 0 for record in kept.result.requests)
    assert "sk-planted-key-123" not in path.read_text()


LONG = """
import pytest

@pytest.mark.load(users=2, requests=8)
@pytest.mark.error_rate(max=0.5)
@pytest.mark.parametrize("number", range(2))
def test_short(number, llm_load):
    llm_load("Say hi.")

@pytest.mark.load(users=2, duration="120s")
@pytest.mark.latency(p50_ms=60000)
def test_long(llm_load):
    llm_load("Say hi.")
"""
SERVE = f"{shlex.quote(sys.executable)} {shlex.quote(str(MOCK))} --port {{port}} --log served --ttft-ms 20"


def interrupted(folder: Path, *options: str) -> int:
    """A session that gets Ctrl-C in its last test; its exit status."""
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "--llm-report=x.jsonl", "-v", *options]
    served = folder / "served"
    with (folder / "out").open("wb") as out:
        session = subprocess.Popen([*command, "--llm-serve", SERVE], cwd=folder, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 90
        while not served.exists() or served.read_text().count("\n") < 8 + 8 + 12:
            assert session.poll() is None, (folder / "out").read_text()
            assert time.monotonic() < deadline, (folder / "out").read_text()
            time.sleep(0.02)
        session.send_signal(signal.SIGINT)
        return session.wait(60)
    finally:
        session.kill()
        session.wait(10)


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["alone", "xdist"])
def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing_else(workers, pytester):
    """The tests before, and without pytest-xdist the beginning of the one that was interrupted."""
    pytester.makepyfile(test_long=LONG)
    assert interrupted(pytester.path, *workers) == pytest.ExitCode.INTERRUPTED
    found: Any = read_runs(pytester.path / "x.jsonl")
    short = [run for run in found if "test_short" in run.nodeid]
    assert [len(run.result.requests) for run in short] == [8, 8]
    if not workers:
        assert found[-1].nodeid == "test_long.py::test_long"
        assert found[-1].result.generator.ended == "interrupted"
        assert len(found[-1].result.ok) >= 2
    assert left_beside(pytester.path) == []
