"""Whether a longer run could still decide something."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks import check_class, early_enders, no_early_end
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.judging import all_decided
from pytest_llmserve.domain.keywords import build


def checks(**given):
    return [build(check_class(name), name, (), keywords) for name, keywords in given.items()]


@pytest.fixture
def quick(make):
    """500 requests of 20 ms each, and one that failed."""
    return Evidence(runs=(make.run_of([20.0] * 250 + ["reset"] + [20.0] * 249),))


@pytest.mark.parametrize(
    ("given", "decided"),
    [
        pytest.param({"latency": {"p99_ms": 30}}, True, id="kept"),
        pytest.param({"latency": {"p50_ms": 10}}, True, id="broken"),
        pytest.param({"latency": {"p999_ms": 30}}, False, id="open"),
        pytest.param({"latency": {"p99_ms": 30, "p999_ms": 30}}, False, id="one of two open"),
        pytest.param({"latency": {"p99_ms": 30}, "error_rate": {"max": 0.001}}, False, id="one check open"),
        pytest.param({"latency": {"p99_ms": 30}, "error_rate": {"max": 0.02}}, True, id="both decided"),
        pytest.param({"goodput": {"min": 0.98, "e2e_ms": 30}}, True, id="goodput"),
        pytest.param({"throughput": {"min_rps": 1}}, False, id="no steady window"),
    ],
)
def test_all_is_decided_when_no_limit_is_open(given, decided, quick):
    assert all_decided(checks(**given), quick) is decided


def test_a_check_that_cannot_stop_early_is_not_asked(quick):
    """It is undecided as long as the load runs; alone it ends nothing."""
    leak, kept = {"no_leak": {"mb": 1}}, {"latency": {"p99_ms": 30}}
    assert all_decided(checks(**kept, **leak, resources={"rss_mb": 1}), quick)
    assert not all_decided(checks(**leak), quick)
    assert not all_decided([], quick)


def test_nothing_measured_decides_nothing(make):
    for evidence in (Evidence(), Evidence(runs=(make.run([]),))):
        assert not all_decided(checks(latency={"p99_ms": 30}, error_rate={"max": 0.1}), evidence)


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        ({"latency": {"max_ms": 30}}, {"latency": {"max_ms": 10}}),
        ({"error_rate": {"max": 0}}, {"error_rate": {"max": 0}}),
        ({"goodput": {"min": 1, "e2e_ms": 30}}, {"goodput": {"min": 1, "e2e_ms": 10}}),
    ],
)
def test_a_limit_on_every_single_request_ends_a_run_only_by_being_broken(given, broken, make, quick):
    """The next one may break it; beside a limit that is decided it keeps nothing going."""
    whole = Evidence(runs=(make.run_of([20.0] * 500),))
    assert not all_decided(checks(**given), whole)
    assert all_decided([*checks(**given), *checks(latency={"p90_ms": 30})], whole)
    assert not all_decided([*checks(**given), *checks(latency={"p999_ms": 30})], whole)
    assert all_decided(checks(**broken), quick)


def test_the_checks_that_can_end_a_load_are_named():
    """Memory and peaks are known when it is over."""
    assert early_enders() == ["latency", "throughput", "goodput", "error_rate"]
    assert no_early_end() == (
        "until='decided' needs a check that can stop early: latency, throughput, goodput, error_rate"
    )
