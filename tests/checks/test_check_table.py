"""The table of checks: every row leads to a frozen dataclass that judges."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from pytest_llmserve.checks import BARE, CHECKS, check_class
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.judging import judged
from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.domain.errors import MarkerError, SetupError
from pytest_llmserve.domain.keywords import build, signature
from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.marks import nonce
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import GeneratorHealth
from pytest_llmserve.domain.verdict import FAIL, PASS, UNDECIDED

ONE_OF_EACH = {
    "latency": {"p99_ms": 2200},
    "throughput": {"min_rps": 3},
    "goodput": {"min": 0.99, "ttft_ms": 300},
    "error_rate": {"max": 0.002, "startup_grace": "15s", "retries": 1},
    "no_leak": {"mb": 100, "settle": "2s", "per": "run"},
    "no_degradation": {"percent": 10},
    "no_regression": {"percent": 10, "metrics": ["e2e_p50"]},
    "resources": {"rss_mb": 4000},
    "no_log_errors": {"allow": ["timed out"]},
    "isolation": {},
}

SALT = "0badcafe"


@pytest.mark.parametrize("name", CHECKS)
def test_a_row_leads_to_a_frozen_dataclass_of_that_name(name):
    cls = check_class(name)
    assert cls.name == name
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen
    assert signature(cls, name).startswith(f"{name}(")


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_says_whether_it_can_end_a_load(name):
    """What is known only when the load is over cannot."""
    ends_early = {"latency", "throughput", "goodput", "error_rate"}
    assert check_class(name).stops_early is (name in ends_early)


@pytest.mark.parametrize("name", CHECKS)
def test_no_check_passes_on_no_evidence(name):
    """Nothing measured is undecided without an estimate, which fails a test in any mode."""
    verdicts = build(check_class(name), name, (), ONE_OF_EACH[name]).judge(Evidence())
    assert [(v.verdict, v.estimate, v.holds, v.n) for v in verdicts] == [(UNDECIDED, None, None, 0)]
    assert all(v.fails(strict=False) for v in verdicts)
    assert all("no evidence" in v.sentence for v in verdicts)


class OwnMarks:
    """Answers that repeat their request's mark."""

    def read(self, at):
        return nonce(SALT, at)


@pytest.fixture
def good(make):
    """Evidence on which every check passes; `health` is what the generator says of its run."""

    def evidence(death=None, **health):
        memory = make.memory([100.0] * 7, [100.0] * 7)
        records = [make.record(i, 20.0, text_at=i, texts=OwnMarks()) for i in range(2000)]
        records[1] = make.record(1, "refused")
        plan = LoadPlan(users=4, salt=SALT)
        run = make.run(records, healthy=GeneratorHealth(**health), steady_s=20.0, memory=memory, plan=plan)
        kept = measurement_of(make.run(records, steady_s=20.0, plan=plan), name="main")
        watched = {"resources": make.samples([100.0]), "log": LogWindow(read=10)}
        return Evidence(runs=(run,), death=death, baselines=(kept,), **watched)

    return evidence


def judge(name, evidence):
    keywords = ONE_OF_EACH[name] | ({"startup_grace": 0, "max": 0.01} if name == "error_rate" else {})
    return judged([build(check_class(name), name, (), keywords)], evidence)


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_fails_where_the_server_was_gone(name, good):
    """The rest of the plan has left no record: what came before would pass for all of it."""
    gone = "from 4 h on, no connection for 5 s (Connection refused)"
    assert {v.verdict for v in judge(name, good())} == {PASS}
    verdicts = judge(name, good(server_gone=gone))
    assert {v.verdict for v in verdicts} == {FAIL}
    assert all(v.sentence.endswith(f"the server was gone: {gone}") for v in verdicts)


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_fails_where_the_server_died_during_the_test(name, good):
    """By its own verdict it may have passed."""
    verdicts = judge(name, good(death="the server's process ended during the test: killed by SIGKILL"))
    assert {(v.verdict, v.fails(strict=False)) for v in verdicts} == {(FAIL, True)}
    told = "; the server's process ended during the test: killed by SIGKILL"
    assert all(v.sentence.endswith(told) for v in verdicts)


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in BARE])
def test_a_check_without_any_keyword_cannot_be_built(name):
    """But those that have nothing to be told."""
    with pytest.raises(MarkerError, match=f"{name}: needs "):
        build(check_class(name), name, (), {})


def test_an_unknown_check_is_refused_with_the_known_ones():
    with pytest.raises(SetupError) as caught:
        check_class("speed")
    known = "latency, throughput, goodput, error_rate, no_leak, no_degradation, no_regression, "
    known += "resources, no_log_errors, isolation"
    assert str(caught.value) == f"no check 'speed': one of {known}"


def test_the_classes_are_found_without_importing_scipy_or_psutil():
    """Help and collection need the keywords of every check; they must stay quick."""
    code = (
        "import sys; from pytest_llmserve.checks import CHECKS, check_class;"
        "[check_class(name) for name in CHECKS];"
        "print(sorted({'scipy', 'numpy', 'psutil', 'pytest'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
