"""The JSON report and the JUnit properties of a whole session."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

BODY = """
@pytest.mark.load(users=2, requests=30)
@pytest.mark.latency(p50_ms=60000)
@pytest.mark.error_rate(max=0)
def test_kept(llm_load):
    llm_load("Say hi.")

@pytest.mark.latency(max_ms=0.001)
def test_never_loaded(llm_load):
    llm_load("Say hi.", requests=0)

def test_plain(llm_endpoint):
    assert llm_endpoint.is_alive()

def test_not_ours():
    pass
"""
QUANTITIES = {"n", "mean", "min", "max", "p50", "p90", "p95", "p99"}


@pytest.fixture
def run(suite, quick):
    """A session with a kept promise, one without evidence, a plain use, and a test that is not ours."""
    return suite(
        BODY,
        "--llm-endpoint",
        quick.url,
        f"--junitxml={suite.pytester.path / 'junit.xml'}",
        "-W",
        "error",
        "-W",
        "default::ResourceWarning",
        "-W",
        "default::pytest_llmserve.LlmServeWarning",  # this machine may be too busy for a verdict
    )


def test_the_report_has_the_documented_keys(run):
    """Schema pytest-llmserve/1; strict JSON: no NaN, no infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} in the report")

    document = json.loads(run.report.read_text(), parse_constant=refuse)
    assert document["schema"] == "pytest-llmserve/1"
    assert set(document) == {"schema", "environment", "tests"}
    assert {"pytest_llmserve", "python", "cpus", "definitions"} <= set(document["environment"])
    kept, unloaded, plain = document["tests"]
    assert [t["nodeid"].partition("::")[2] for t in (kept, unloaded, plain)] == [
        "test_kept",
        "test_never_loaded",
        "test_plain",
    ]
    assert [t["outcome"] for t in (kept, unloaded, plain)] == ["passed", "failed", "passed"]
    assert {"nodeid", "outcome", "attempt", "runs", "verdicts"} <= set(kept)
    (found,) = kept["runs"]
    assert set(found) >= {
        "plan", "counts", "duration_s", "metrics", "throughput", "stages", "generator", "resources"
    }  # fmt: skip
    assert {"sent", "ok", "failed", "by_outcome"} <= set(found["counts"])
    assert set(found["metrics"]) >= {"ttft_ms", "itl_ms", "tpot_ms", "e2e_ms"}
    for figures in found["metrics"].values():
        assert set(figures) >= QUANTITIES
    assert {"requests_per_s", "output_tokens_per_s"} <= set(found["throughput"])
    assert set(found["generator"]) >= {
        "clock", "send_lag_ms", "receive_lag_ms", "cpu_percent", "dropped", "saturated"
    }  # fmt: skip
    assert run.judged("pass"), run.text
    for verdict in kept["verdicts"]:
        assert set(verdict) >= {
            "check", "what", "limit", "estimate", "interval", "confidence", "n", "verdict", "sentence"
        }  # fmt: skip


def test_the_figures_agree_with_each_other(run):
    """Counts add up, quantiles are ordered, the server's tokens are counted."""
    (found,) = run.tests[0]["runs"]
    assert found["counts"]["sent"] == found["counts"]["ok"] + found["counts"]["failed"] == 30
    assert found["counts"]["by_outcome"] == {"ok": 30}
    for name in ("ttft_ms", "e2e_ms"):
        figures = found["metrics"][name]
        assert figures["n"] == 30
        ordered = [figures[key] for key in ("min", "p50", "p90", "p95", "p99", "max")]
        assert ordered == sorted(ordered)
    assert found["metrics"]["itl_ms"]["n"] == 30 * 4
    assert found["metrics"]["e2e_ms"]["min"] >= 2 + 4 * 1 - 0.5
    assert found["stages"][0]["n"] == 30


def test_a_test_that_is_not_ours_is_not_in_it(run):
    """The report is about the server."""
    assert not any("test_not_ours" in test["nodeid"] for test in run.tests)


def test_junit_carries_figures_and_verdicts(run, suite):
    """As properties of the test case, also with warnings as errors."""
    assert run.exit == 1
    tree = ElementTree.parse(suite.pytester.path / "junit.xml")
    cases = {case.get("name"): case for case in tree.iter("testcase")}
    found = {p.get("name"): p.get("value") for p in cases["test_kept"].iter("property")}
    assert found["llmserve.requests"] == "30"
    assert found["llmserve.failed"] == "0"
    assert found["llmserve.verdict.error rate"] == "pass"
    assert float(found["llmserve.peak.rss_mb"]) > 5
    figures = {
        f"{figure}.{quantile}": float(found[f"llmserve.{figure}.{quantile}"])
        for figure in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")
        for quantile in ("p50", "p95", "p99")
    }
    # Chunks that are read together have no gap between them, so on a busy machine the median ITL may be 0.
    assert all(value > 0 for name, value in figures.items() if name not in {"itl_ms.p50", "itl_ms.p95"})
    (failure,) = cases["test_never_loaded"].iter("failure")
    assert failure.text.startswith("max e2e latency: no evidence, no request was sent")
    assert list(cases["test_not_ours"].iter("property")) == []


def test_the_summary_is_short_with_q(suite, quick):
    """One line a test."""
    run = suite(BODY, "--llm-endpoint", quick.url, "-q")
    lines = run.text.splitlines()
    assert run.judged("pass"), run.text
    passed = sum(verdict["verdict"] == "pass" for verdict in run.verdicts)
    busy = "" if passed == 2 else f", {2 - passed} undecided"
    start = next(i for i, line in enumerate(lines) if "= llmserve =" in line)
    assert lines[start + 1 : start + 4] == [
        f"test_suite.py::test_kept: passed ({passed} pass{busy})",
        "test_suite.py::test_never_loaded: failed (1 undecided: 1 without evidence, which fails)",
        "test_suite.py::test_plain: passed",
    ]


UNWRITABLE = """
def test_good(llm_endpoint, request):
    request.config.invocation_params.dir.joinpath("taken").write_text("")

def test_bad(llm_endpoint):
    assert llm_endpoint.model == "another"
"""


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["alone", "xdist"])
def test_a_report_that_cannot_be_written_hides_no_failure(workers, suite, quick):
    """Failures, figures and the other report are there all the same, and the exit is theirs."""
    options = ["--llm-endpoint", quick.url, "--llm-report", "taken/x.json", *workers]
    run = suite(UNWRITABLE, *options, apart=bool(workers))
    assert run.exit == pytest.ExitCode.TESTS_FAILED
    taken = suite.pytester.path / "taken"
    why = f"cannot be written: File exists ({taken}); name a file that can be"
    fault = f"ERROR: --llm-report {taken / 'x.json'}: {why}"
    assert run.text.count(fault) == 1
    assert "report: taken/x.json" not in run.text
    assert f"report: {run.report}" in run.text
    assert run.failure("test_bad")
    assert "FAILED test_suite.py::test_bad" in run.text
    assert len(run.tests) == 2
    assert "Traceback" not in run.text


@pytest.mark.parametrize("options", [[], ["--no-summary"], ["-p", "no:terminal"]])
def test_a_green_session_whose_report_cannot_be_written_is_a_usage_error(options, suite, quick):
    """A pipeline that needs the file must not go on; without a summary stderr says why."""
    run = suite(
        UNWRITABLE.partition("def test_bad")[0],
        "--llm-endpoint",
        quick.url,
        "--llm-report=taken/x.json",
        *options,
    )
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert run.text.count(f"ERROR: --llm-report {suite.pytester.path / 'taken' / 'x.json'}: cannot") == 1


NAN = """
def test_nan(llm_load):
    llm_load("Say hi.", users=1, requests=3, params={"temperature": float("nan")})
"""


def test_a_fault_of_our_own_in_one_report_is_told_and_hides_no_other(suite, quick, monkeypatch):
    """The other reports are written; the session is no green one. NaN, which can be sent, is no fault."""
    monkeypatch.setattr("pytest_llmserve.reports.html.page.write", lambda document, _: document["no such"])
    named = [f"--llm-report=x{end}" for end in (".html", ".jsonl", ".md")]
    run = suite(NAN, "--llm-endpoint", quick.url, *named)
    assert run.exit == pytest.ExitCode.INTERNAL_ERROR
    fault = f"ERROR: --llm-report {suite.pytester.path / 'x.html'}: KeyError at collected.py:"
    assert sum(line.startswith(fault) for line in run.result.outlines) == 1
    assert "'no such'; this is pytest-llmserve's fault, not the server's" in run.text
    assert "report: x.html" not in run.text
    for name in ("x.jsonl", "x.md"):
        assert f"report: {name}" in run.text
        assert (suite.pytester.path / name).stat().st_size > 100
    assert run.tests[0]["runs"][0]["plan"]["params"] == {"temperature": "NaN"}
