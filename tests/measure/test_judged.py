"""What a test's checks need of the watch."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.no_leak import NoLeak
from pytest_llmserve.checks.resources import Resources
from pytest_llmserve.measure.judged import memory_judged


@pytest.mark.parametrize(
    ("check", "judged"),
    [
        (NoLeak(mb=10), True),
        (NoLeak(gpu_mb=10), False),
        (NoLeak(open_files=0), False),
        (Resources(uss_mb=10), True),
        (Resources(rss_mb=10, memory_mb=10), True),
        (Resources(rss_mb=10, threads=10), False),
    ],
)
def test_only_memory_that_a_check_needs_may_hold_the_server_up_for_longer(check, judged):
    assert memory_judged([check]) is judged
    assert memory_judged([Resources(threads=10), check]) is judged
