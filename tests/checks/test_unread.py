"""Figures that were not read for a good part of a test."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.resources import Resources
from pytest_llmserve.checks.unread import unread
from pytest_llmserve.domain.samples import GpuSample, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S

NO_ANSWER = "http://h/metrics did not answer within 3 s"


def window(told_s, seconds, *, every_ms=200, field="waiting", value=2.0, **more):
    """Samples all along, of which those next to these seconds have a figure."""
    places = range(0, round(seconds * 1000) + 1, every_ms)
    mine = {min(places, key=lambda at_ms, at=at: abs(at_ms - 1000 * at)) for at in told_s}
    samples = tuple(
        ResourceSample(
            at_ns=(1000 + at_ms) * NS_PER_MS, rss_bytes=1, **({field: value} if at_ms in mine else {})
        )
        for at_ms in places
    )
    return ResourceWindow(samples=samples, **more)


def only(resources, check=None, **more):
    (verdict,) = (check or Resources(queue=5)).judge(
        Evidence(resources=resources, started_ns=NS_PER_S, **more)
    )
    return verdict


@pytest.mark.parametrize(
    ("told_s", "seconds", "sentence"),
    [
        ([0, 1, 2], 11, "not read for 9.0 s of 11.0 s"),
        ([0, 1, 2, 8, 9, 10, 11], 11, "not read for 6.0 s of 11.0 s"),
        ([8, 9, 10, 11], 11, "not read for 8.0 s of 11.0 s"),
        ([0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60], 60, "not read for 60.0 s of 60.0 s"),
        ([*range(30), *range(35, 61)], 60, None),
        ([0, 2.4, 4.8], 7, None),
        ([0, 3, 6, *range(9, 61)], 60, None),
        (range(12), 11, None),
    ],
    ids=["end", "gap", "beginning", "many gaps", "a tenth of a minute", "2.4 s", "a slow page", "all along"],
)
def test_what_was_unread_for_long_is_no_pass(told_s, seconds, sentence):
    """More than 2.5 s and a tenth of the test."""
    found = only(window(told_s, seconds))
    if sentence is None:
        assert found.verdict == "pass"
    else:
        assert (found.verdict, found.sentence) == (
            "undecided",
            f"peak queue length: no evidence, {sentence}",
        )


def test_why_it_was_not_read_is_told():
    found = only(window([0, 1], 11, faults={"metrics": NO_ANSWER, "gpu": "lost"}))
    assert found.sentence == f"peak queue length: no evidence, not read for 10.0 s of 11.0 s: {NO_ANSWER}"


def test_a_peak_over_the_limit_fails_all_the_same():
    """And says how many readings are missing."""
    assert only(window([0, 1, 2], 11, value=9.0)).sentence == (
        "peak queue length 9 > 5, 0.0 s into the test (n=3 of 11 readings)"
    )


def test_a_short_gap_is_told_where_it_passes():
    assert only(window([*range(30), *range(34, 61)], 60)).sentence == (
        "peak queue length 2 <= 5 (n=57 of 61 readings)"
    )


def test_a_load_that_was_not_read_is_no_pass_however_long_the_test_is(make):
    """A minute of which 10 s were load."""
    run = make.run([make.record(i, 21_000 + 1000 * i) for i in range(10)])
    run.start_ns = 21 * NS_PER_S
    told_s = [*range(23), *range(28, 61)]
    assert only(window(told_s, 60), runs=(run,)).sentence == (
        "peak queue length: no evidence, not read for 6.0 s of 9.1 s of load"
    )
    assert only(window(told_s, 60)).verdict == "pass"


def test_while_a_server_is_restarted_there_is_nothing_to_read():
    restarted = window([0, 1, 2, 8, 9, 10], 11, renewed_ns=(8 * NS_PER_S,))
    assert only(restarted).verdict == "pass"


def test_figures_that_are_read_rarely_have_no_gaps():
    """Memory of a large server; a driver that answers every 5 s; a long run, read every 2 s and more."""
    rare = window([0, 11, 22], 22, field="uss_bytes", value=1)
    assert only(rare, Resources(uss_mb=5)).verdict == "pass"
    gpus = (GpuSample(index=0, memory_bytes=1),)
    slow = window([0, 5, 10, 15, 20], 22, field="gpus", value=gpus)
    assert only(slow, Resources(gpu_memory_mb=5)).verdict == "pass"
    thinned = window(range(0, 400, 4), 400, every_ms=4000)
    assert unread(thinned, "queue", thinned.samples, NS_PER_S).gaps == ()
