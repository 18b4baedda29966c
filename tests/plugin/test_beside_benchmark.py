"""pytest-benchmark is handed the latencies of load tests, where the user asks it for something."""

from __future__ import annotations

import json
import statistics
import sys

import pytest
from pytest_benchmark import cli

from pytest_llmserve.plugin import kept as kept_plugin

BODY = """
@pytest.mark.load(users=2, requests=12)
def test_it(llm_load):
    llm_load("Say hi.")
    llm_load("Say ho.", users=1)

@pytest.mark.parametrize("prompt, n", [("a secret wish " * 9, 3)])
@pytest.mark.load(users=2, requests=8)
@pytest.mark.latency(e2e_p50_ms=0.001)
def test_slow(prompt, n, llm_load):
    llm_load(prompt)

def test_ask(llm_endpoint):
    assert llm_endpoint.is_alive()
"""
ONE = """
@pytest.mark.load(users=2, requests=12)
def test_it(llm_load):
    llm_load("Say hi.")
"""
ONES = "test_suite.py::test_it"
PLANTED = "it was late"
FIGURES = ["ttft", "itl", "tpot", "e2e"]


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch):
    """Whatever runs beside these tests, only a bottleneck that a test plants is one."""
    real = kept_plugin.bottleneck
    monkeypatch.setattr(kept_plugin, "bottleneck", lambda h: real(h) if h.saturated == PLANTED else None)


@pytest.fixture
def beside(suite, quick):
    """``beside(body, *options)`` -> a session with pytest-benchmark."""
    return lambda body, *options, **how: suite(
        body, "--llm-endpoint", quick.url, "-p", "no:xdist", *options, beside=("benchmark",), **how
    )


def read(run, name="out.json"):
    path = run.report.parent / name
    return json.loads(path.read_text())


def by_name(document):
    return {each["fullname"]: each for each in document["benchmarks"]}


def test_each_latency_of_each_run_is_a_benchmark(beside, monkeypatch):
    """In seconds, with percentiles and counts beside; a test that failed is left out and named."""
    monkeypatch.setenv("LLM_KEY_HERE", "sk-not-to-be-kept-anywhere")
    run = beside(BODY, "--benchmark-json=out.json", "--llm-api-key-env=LLM_KEY_HERE")
    run.assert_outcomes(passed=2, failed=1)
    saved = read(run)
    found = by_name(saved)
    node = "test_suite.py::test_it"
    assert sorted(found) == sorted([f"{node}::{nth}{each}" for nth in ("", "run2::") for each in FIGURES])
    first, ours = found[f"{node}::ttft"], run.tests[0]["runs"][0]
    assert (first["group"], first["name"]) == ("llmserve:ttft", "test_it::ttft")
    assert first["stats"]["rounds"] == 12 == len(first["stats"]["data"])
    assert first["stats"]["mean"] == pytest.approx(statistics.mean(first["stats"]["data"]))
    assert first["stats"]["mean"] * 1000 == pytest.approx(ours["metrics"]["ttft_ms"]["mean"], abs=0.001)
    told = first["extra_info"]
    assert told["p99_ms"] == ours["metrics"]["ttft_ms"]["p99"]
    assert (told["n"], told["failed"], told["kept"], told["plan"]) == (12, 0, 12, ours["plan"]["text"])
    assert told["requests"] == ours["counts"]
    assert told["server"] == {name: run.tests[0]["server"][name] for name in ("url", "api", "model")}
    named = {"server": told["server"]["url"], "model": None, "api": "auto"}
    assert saved["machine_info"]["llmserve"] == named
    assert "llmserve: not saved by pytest-benchmark" in run.text
    assert "test_suite.py::test_slow[a secret wish" not in run.text
    assert any(
        line.startswith("test_suite.py::test_slow[") and line.endswith("]: the test did not pass")
        for line in run.result.outlines
    )
    text = json.dumps(saved)
    assert "Say h" not in text
    assert "sk-not-to-be-kept-anywhere" not in text


def test_two_sessions_are_compared(beside, monkeypatch, capsys):
    """By --benchmark-compare, and by the command; a regression is told and the session is not green."""
    beside(ONE, "--benchmark-save=first").assert_outcomes(passed=1)
    run = beside(ONE, "--benchmark-compare", "--benchmark-save=second", "--benchmark-compare-fail=max:900%")
    run.assert_outcomes(passed=1)
    assert run.exit == 0
    assert "machine_info is different" not in run.text
    assert "under another load" not in run.text
    assert [line for line in run.result.outlines if "benchmark 'llmserve:ttft': 2 tests" in line]
    (folder,) = (run.report.parent / ".benchmarks").iterdir()
    first = json.loads((folder / "0001_first.json").read_text())
    for each in first["benchmarks"]:
        each["stats"] |= {"mean": each["stats"]["mean"] / 100}
    first["benchmarks"][0]["extra_info"]["plan"] = "9 users, 5 min"
    (folder / "0003_faster.json").write_text(json.dumps(first))
    run = beside(ONE, "--benchmark-compare=0003", "--benchmark-compare-fail=mean:5%")
    assert run.exit != 0
    assert "llmserve: compared by pytest-benchmark under another load" in run.text
    (line,) = [line for line in run.result.outlines if line.endswith("0003_faster.json")]
    assert line == (f"{ONES}::ttft: 2 users, 12 requests; 9 users, 5 min in {folder.name}/0003_faster.json")
    assert "Performance has regressed" in run.text
    assert "test_it::ttft" in run.text.partition("Performance has regressed")[2]
    monkeypatch.setattr(sys, "argv", ["pytest-benchmark", "compare", "0001", "0002", "--group-by=fullname"])
    capsys.readouterr()
    cli.main()
    told = capsys.readouterr().out
    assert "test_it::e2e (0001_first" in told
    assert "test_it::e2e (0002_secon" in told


def test_nobody_asked(beside):
    """Installed, and perhaps skipped or disabled: no table, no file; --benchmark-only runs the load tests."""
    off = [], ["--benchmark-skip", "--benchmark-enable"], ["--benchmark-disable", "--benchmark-json=out.json"]
    for options in off:
        run = beside(ONE, *options)
        run.assert_outcomes(passed=1)
        assert "llmserve:ttft" not in run.text
        assert not (run.report.parent / "out.json").exists()
    run = beside(BODY, "--benchmark-only", "-k", "not slow")
    run.assert_outcomes(passed=1, skipped=1, deselected=1)
    assert "benchmark 'llmserve:e2e': 2 tests" in run.text
    assert sum("Name (time in ms)" in line for line in run.result.outlines) == 4
    assert "Name (time in us)" in beside(ONE, "--benchmark-enable", "--benchmark-time-unit=us").text


LATE = """
@pytest.mark.load(users=1, requests=6)
def test_late(llm_load):
    import msgspec

    run = llm_load("Say hi.")
    run.generator = msgspec.structs.replace(run.generator, saturated="it was late")
"""


def test_what_was_compared_with_nothing_is_not_green(beside):
    """A run that was left out, or other names than those that were saved; else nobody would tell."""
    beside(ONE, "--benchmark-save=first").assert_outcomes(passed=1)
    fail = ["--benchmark-compare=0001", "--benchmark-compare-fail=max:900%", "-q"]
    left_out = f"test_suite.py::test_late: the load generator was the bottleneck ({PLANTED}); add"
    run = beside(ONE + LATE, *fail)
    run.assert_outcomes(passed=2)
    assert run.exit == pytest.ExitCode.TESTS_FAILED
    assert "llmserve: not compared by pytest-benchmark" in run.text
    assert [line for line in run.result.outlines if line.startswith(left_out)]
    fault = "ERROR: --benchmark-compare-fail: "
    why = "runs named above were not compared, so whether they regressed is not known: measure again"
    assert fault + why in run.result.outlines
    run = beside(ONE + LATE, *fail[:1])
    assert run.exit == 0
    assert [line for line in run.result.outlines if line.startswith(left_out)]
    assert fault not in run.text
    run = beside(ONE.replace("test_it", "test_other"), *fail)
    assert run.exit == pytest.ExitCode.TESTS_FAILED
    why = "nothing was compared: no benchmark of this session has a saved one of its name"
    assert fault + why in run.result.outlines


RERUN = """
attempts = []

@pytest.mark.load(users=1, requests=6)
def test_again(llm_load):
    attempts.append(llm_load("Say hi.", requests=6 + len(attempts)))
    assert len(attempts) > 1

@pytest.mark.load(users=1, requests=6)
def test_torn_down(llm_load, broken):
    llm_load("Say hi.")

@pytest.fixture
def broken():
    yield
    raise OSError("the disk is full")

@pytest.mark.load(users=1, requests=6)
def test_late(llm_load):
    import msgspec

    run = llm_load("Say hi.")
    run.generator = msgspec.structs.replace(run.generator, saturated="it was late")
"""


TWICE = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    if item.name == "test_twice":
        return [runtestprotocol(item, nextitem=nextitem) for _ in range(2)]
"""


def test_the_last_of_two_that_passed_counts(beside, suite):
    """Some plugins run a test again that has passed."""
    suite.pytester.makeconftest(TWICE)
    run = beside(
        RERUN.replace("again", "twice").replace("> 1", "> 0"), "--benchmark-json=out.json", "-k", "twice"
    )
    saved = [(each["fullname"], each["stats"]["rounds"]) for each in read(run)["benchmarks"]]
    assert [rounds for name, rounds in saved if name == "test_suite.py::test_twice::e2e"] == [7]


def test_the_last_attempt_counts(beside):
    """Runs that are no measure are left out, each with its reason, as --llm-save leaves them out."""
    run = beside(RERUN, "--benchmark-json=out.json", "--reruns=1", "-p", "rerunfailures", "-k", "not torn")
    run.assert_outcomes(passed=2, rerun=1, deselected=1)
    found = by_name(read(run))
    assert sorted(found) == sorted(f"test_suite.py::test_again::{each}" for each in FIGURES)
    assert found["test_suite.py::test_again::e2e"]["stats"]["rounds"] == 7
    assert "test_suite.py::test_late: the load generator was the bottleneck (it was late); add" in run.text
    assert "test_again: the test did not pass" not in run.text
    run = beside(
        RERUN, "--benchmark-json=torn.json", "-k", "torn or again", "--reruns=1", "-p", "rerunfailures"
    )
    assert sorted({name.split("::")[1] for name in by_name(read(run, "torn.json"))}) == ["test_again"]
    assert "test_suite.py::test_torn_down: the test did not pass" in run.text


def test_xdist_is_told_of_once(suite, quick):
    """pytest-benchmark is off there: a warning says what that means here, and the session goes on."""
    run = suite(
        ONE,
        "--llm-endpoint",
        quick.url,
        "-n1",
        "--benchmark-json=out.json",
        beside=("benchmark",),
        apart=True,
    )
    run.assert_outcomes(passed=1)
    assert (
        "LlmServeWarning: pytest-benchmark is off beside xdist: it is not handed the latencies of load tests;"
        " run them without -n"
    ) in run.text
    assert not (run.report.parent / "out.json").exists()


def test_a_version_that_is_not_known(beside, monkeypatch):
    """A warning in one line, and the session goes on; where warnings are errors, it does not begin."""
    monkeypatch.setattr("pytest_benchmark.stats.Metadata.update", lambda self, duration, iterations: None)
    monkeypatch.setattr("pytest_llmserve.plugin.benchmark.version", lambda name: "6.0")
    told = (
        "pytest-benchmark 6.0 is not handed the latencies of load tests, as this version of it cannot be told"
        " them (TypeError: "
    )
    remedy = "); install one that is known to: pip install 'pytest-benchmark==5.3.1'"
    run = beside(ONE, "--benchmark-enable")
    run.assert_outcomes(passed=1)
    (line,) = [line for line in run.result.outlines if told in line]
    assert line.endswith(remedy)
    run = beside(ONE, "--benchmark-enable", "-W", "error")
    assert run.exit == 4
    (line,) = [line for line in run.result.errlines if told in line]
    assert line.startswith("ERROR: ")
    assert line.endswith(
        f"{remedy}; warnings are errors here: let it pass with -W default::pytest_llmserve.LlmServeWarning"
    )
