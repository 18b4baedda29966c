"""Which values of a run become a benchmark."""

from __future__ import annotations

import statistics
from types import SimpleNamespace

import pytest

from pytest_llmserve.domain.metrics import distribution
from pytest_llmserve.plugin.benchmarked import _parameters, even, whole


def test_few_values_are_all_kept():
    """In seconds, smallest first; pytest-benchmark's own figures are those of all."""
    found = distribution([30.0, 10.0, 20.0], failed=2)
    assert even(found, most=3) == [0.01, 0.02, 0.03]
    assert whole(found, most=3) == {}


def test_of_many_values_every_part_is_kept_alike():
    """The middle of each part; what that would tell wrong is told of all values."""
    values = [float(value) for value in range(1, 1000)] + [60_000.0]
    found = distribution(values)
    kept = even(found, most=100)
    assert kept[:3] == [0.006, 0.016, 0.026]
    assert kept[-1] == 0.996
    assert len(kept) == 100
    assert statistics.median(kept) == pytest.approx(found.p50 / 1000, rel=0.01)
    figures = whole(found, most=100)
    assert figures == {
        "min": 0.001,
        "max": 60.0,
        "mean": pytest.approx(statistics.mean(values) / 1000),
        "stddev": pytest.approx(statistics.stdev(values) / 1000),
    }


PARAMS = {"users": 3, "model": "quick", "prompt": "my diary", "body": {"a": 1}, "limit": 0.5, "no": None}


def test_a_parameter_that_is_not_in_the_test_id_is_not_told():
    """It may be a prompt."""
    assert _parameters(None) == (None, None)
    assert _parameters(SimpleNamespace(id="3-quick", params=PARAMS)) == (
        "3-quick",
        {"users": 3, "model": "quick", "prompt": "a str", "body": "a dict", "limit": 0.5, "no": None},
    )
