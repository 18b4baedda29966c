"""A file of requests tells what its session found: no test is better off when it is judged again."""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.command import main

BODY = """
@pytest.fixture
def torn():
    yield
    assert False, "in the teardown"

LOAD = dict(users=2, requests=20)

def test_own(llm_load):
    assert llm_load("Hi.", **LOAD).ttft_ms.p95 < 0

@pytest.mark.error_rate(max=0.5)
def test_torn(llm_load, torn):
    llm_load("Hi.", **LOAD)

@pytest.mark.latency(p50_ms=0.001)
@pytest.mark.xfail
def test_dream(llm_load):
    llm_load("Hi.", **LOAD)

@pytest.mark.error_rate(max=0.5)
@pytest.mark.latency(p99_ms=60000)
def test_fine(llm_load):
    llm_load("Hi.", **LOAD)

def test_silent(llm_endpoint):
    assert not llm_endpoint.is_alive()
"""
BY_ITSELF = "failed by itself in the session: no limit of it is broken"
WITH_AN_ERROR = "ended with an error in the session: no limit of it is broken"
NOT_THERE = "no request of it is in the file: this is what its session found"


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")


def said(capsys, *words):
    capsys.readouterr()
    code = main(list(map(str, words)))
    printed = capsys.readouterr()
    return code, printed.out.splitlines(), printed.err


def test_no_test_is_better_off_than_in_its_session(suite, quick, capsys):
    """Its own assertion, an error in its teardown, an expected failure, a test without a load: each stays.

    All reports say why. With --check the check alone decides, and a line tells of the session.
    What --llm-strict made of an undecided limit it still is.
    """
    folder = suite.pytester.path
    kept = folder / "x.jsonl"
    session = suite(BODY, "--llm-endpoint", quick.url, f"--llm-report={kept}")
    then = {test["nodeid"]: test["outcome"] for test in session.tests}
    code, out, err = said(
        capsys,
        "report",
        kept,
        *(word for end in ("json", "md", "html") for word in ("-o", folder / f"y.{end}")),
    )
    assert (code, err) == (1, "")
    again = json.loads((folder / "y.json").read_text())["tests"]
    assert {test["nodeid"].partition("_suite.py::test_")[2]: test["outcome"] for test in again} == {
        "own": "failed",
        "torn": "error",
        "dream": "xfailed",
        "fine": "passed",
        "silent": "failed",
    }
    assert {test["nodeid"]: test["outcome"] for test in again} == then
    assert [test.get("session") for test in again] == [BY_ITSELF, WITH_AN_ERROR, None, None, NOT_THERE]
    for sentence in (BY_ITSELF, WITH_AN_ERROR, NOT_THERE):
        assert f"  {sentence}" in out
        assert all(sentence in (folder / f"y.{end}").read_text() for end in ("md", "html"))
    assert "3 of 5 tests failed" in out

    code, out, _ = said(capsys, "report", kept, "--check", "error_rate(max=0.5)")
    assert code == 0
    assert "  in its session it failed: only --check is judged here" in out
    assert "  in its session it failed as expected: only --check is judged here" in out
    named = "test_suite.py::test_silent (failed in its session)"
    assert f"not judged, as no request of them is in the file: {named}" in out
    assert out[-1] == "every limit of 4 tests holds"

    one = ("report", kept, "--test", "test_fine")
    assert said(capsys, *one)[0] == 0
    kept.write_bytes(kept.read_bytes().replace(b'"strict":false', b'"strict":true'))
    code, out, _ = said(capsys, *one)
    assert code == 1  # 20 requests cannot decide a p99, and with --llm-strict that was a failure
    assert any("--llm-strict" in line for line in out)
    assert said(capsys, "report", kept, "--test", "test_dream")[1][-1].endswith("; 1 xfailed")
