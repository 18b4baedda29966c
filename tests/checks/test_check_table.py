"""The table of checks: every row leads to a frozen dataclass that judges."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from pytest_llmserve.checks import CHECKS, check_class
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.domain.errors import MarkerError, SetupError
from pytest_llmserve.domain.keywords import build, signature
from pytest_llmserve.domain.verdict import UNDECIDED

ONE_OF_EACH = {
    "latency": {"p99_ms": 2200},
    "throughput": {"min_rps": 3},
    "goodput": {"min": 0.99, "ttft_ms": 300},
    "error_rate": {"max": 0.002, "startup_grace": "15s", "retries": 1},
    "no_leak": {"mb": 100, "settle": "2s", "per": "run"},
    "resources": {"rss_mb": 4000},
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_row_leads_to_a_frozen_dataclass_of_that_name(name):
    cls = check_class(name)
    assert cls.name == name
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen
    assert signature(cls, name).startswith(f"{name}(")


@pytest.mark.parametrize("name", CHECKS)
def test_no_check_passes_on_no_evidence(name):
    """Nothing measured is undecided without an estimate, which fails a test in any mode."""
    verdicts = build(check_class(name), name, (), ONE_OF_EACH[name]).judge(Evidence())
    assert [(v.verdict, v.estimate, v.holds, v.n) for v in verdicts] == [(UNDECIDED, None, None, 0)]
    assert all(v.fails(strict=False) for v in verdicts)
    assert all("no evidence" in v.sentence for v in verdicts)


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_without_any_keyword_cannot_be_built(name):
    with pytest.raises(MarkerError, match=f"{name}: needs "):
        build(check_class(name), name, (), {})


def test_an_unknown_check_is_refused_with_the_known_ones():
    with pytest.raises(SetupError) as caught:
        check_class("speed")
    known = "latency, throughput, goodput, error_rate, no_leak, resources"
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
