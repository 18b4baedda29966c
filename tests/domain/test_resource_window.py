"""A stretch of samples: what rose in it."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.samples import ResourceSample, ResourceWindow


@pytest.mark.parametrize(
    ("kills", "renewed_ns", "rise"),
    [
        ([3, 3, 5], (), 2),
        ([3, 4, 0, 1], (3,), 2),
        ([3, 4, 0], (3,), 1),
        ([3, 0], (1,), None),
        ([3], (), None),
    ],
    ids=["one server", "restarted in another group", "and read once since", "once each", "once"],
)
def test_counts_of_a_restarted_server_are_not_taken_from_each_other(kills, renewed_ns, rise):
    samples = tuple(ResourceSample(at_ns=2 * place, oom_kills=count) for place, count in enumerate(kills))
    assert ResourceWindow(samples=samples, renewed_ns=renewed_ns).rise("oom_kills") == rise
