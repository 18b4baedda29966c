"""What a report tells of time, and what only a report with plots is given."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pytest_llmserve import reports

SERVERS = Path(__file__).parents[1] / "servers"
SAMPLE = SERVERS.parent / "reports" / "sample_document.py"
MOCK = shlex.join([sys.executable, str(SERVERS / "mock_server.py"), "--ttft-ms=100"]) + " --port {port}"
BODY = """
import time

@pytest.mark.load(users=2, requests=6)
def test_restarted(llm_load, llm_server):
    time.sleep(0.3)
    llm_load("Say hi.")
    llm_server.restart()
    llm_load("Say hi.", timeout="10ms")

def test_never_begun(llm_server, absent):
    pass
"""
RAW = """
import json

def write(document, path):
    path.write_text(json.dumps(document, allow_nan=False))
"""


def sample_document():
    spec = importlib.util.spec_from_file_location("sample_document", SAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def drawn(suite, monkeypatch):
    """`--llm-report x.html` writes the whole document as it is."""
    suite.pytester.makepyfile(raw=RAW)
    monkeypatch.syspath_prepend(suite.pytester.path)
    monkeypatch.setitem(reports.REPORTS, ".html", "raw:write")
    return suite.pytester.path / "drawn.html"


def test_a_report_tells_when(suite, drawn):
    """Session, test, its length, requests and restarts on the test's own axis; plots where they are drawn."""
    before = datetime.now().astimezone() - timedelta(seconds=1)
    run = suite(BODY, "--llm-serve", MOCK, "--llm-report", drawn)
    after = datetime.now().astimezone() + timedelta(seconds=1)
    assert run.exit == 1, run.text
    (test, unbegun) = run.tests
    began = [
        datetime.fromisoformat(each["started_at"]) for each in (run.document["environment"], test, unbegun)
    ]
    assert before <= began[0] <= began[1] <= began[2] <= after
    assert 0.5 < test["duration_s"] < (after - before).total_seconds()
    assert (unbegun["outcome"], unbegun["runs"], unbegun["restarts"]) == ("error", [], [])
    (restart,) = test["restarts"]
    assert restart["right"] is True
    first, second = test["runs"]
    assert min(row["at_s"] for row in first["slowest"]) >= 0.3
    assert max(row["at_s"] for row in first["slowest"]) < restart["at_s"] < restart["until_s"]
    assert second["counts"]["failed"] == sum(kind["n"] for kind in second["errors"]) > 0
    for kind in second["errors"]:
        assert restart["until_s"] < kind["first_s"] <= kind["last_s"] < test["duration_s"]
    assert not [key for each in (test, first, second) for key in each if key.startswith("_")]
    whole = json.loads(drawn.read_text())["tests"][0]
    assert [mark["at_s"] for mark in whole["_marks"] if mark["kind"] == "restart"] == [restart["at_s"]]
    sample = sample_document().bad_test()  # what pages are tried on has the keys of real ones
    assert set(sample) - set(whole) == set(first) - set(sample["runs"][0]) == set()
    assert set(whole["runs"][0]["_charts"]) == set(sample["runs"][0]["_charts"])
    charts = [each["_charts"] for each in whole["runs"]]
    assert [each["points"]["of"] for each in charts] == [6, 6]
    assert charts[0]["end_s"] < restart["at_s"] < charts[1]["start_s"]


def test_nothing_is_drawn_for_other_reports(suite, quick, monkeypatch):
    """A run of a million requests need not be brought down to plots that nobody asked for."""

    def refuse(*_):
        raise AssertionError("drawn")

    monkeypatch.setattr("pytest_llmserve.reports.document.run_charts", refuse)
    run = suite(
        "def test_it(llm_load):\n    llm_load('Say hi.', requests=3, users=1)", "--llm-endpoint", quick.url
    )
    assert run.exit == 0, run.text
