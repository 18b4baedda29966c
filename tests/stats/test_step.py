"""A step beyond growth: found at its place, and not where there is none; seeded processes, no clock."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_llmserve.stats.step import TIMES, least_seen, step_in

EVEN = [20, 40, 60, 80, 100, 120]
DOUBLED = [50, 100, 200, 400, 800, 1600, 3200]
SEEDS = range(20)


def values_of(law, lengths, seed, sigma=0.1):
    """Ten latencies a length: log-normal noise, and one in twenty takes four times as long."""
    draw = np.random.default_rng(seed)
    groups = []
    for length in lengths:
        group = law(length) * np.exp(draw.normal(0, sigma, 10))
        group[draw.random(10) < 0.05] *= 4
        groups.append(group)
    return groups


def places(law, lengths, sigma=0.1):
    found = [step_in(lengths, values_of(law, lengths, seed, sigma)) for seed in SEEDS]
    return [None if step is None else step.at for step in found]


@pytest.mark.parametrize("lengths", [EVEN, DOUBLED])
@pytest.mark.parametrize(
    "law",
    [
        lambda _: 100.0,
        lambda length: 50 + 0.5 * length,
        lambda length: 5.0 + length,
        lambda length: 50 + 0.01 * length + length**2 / 3000,
        lambda length: 50 + 10 * length**0.5,
    ],
    ids=["none", "linear", "steep", "square", "root"],
)
def test_growth_is_no_cliff(law, lengths):
    """In 19 of 20 at the least, noise and slow requests and all."""
    assert places(law, lengths).count(None) >= 19


@pytest.mark.parametrize(("lengths", "cut"), [(EVEN, 60), (DOUBLED, 400)])
def test_growth_that_ends_is_no_cliff(lengths, cut):
    """As of a server that cuts its inputs: no smooth law fits that, a step would."""
    assert places(lambda length: 20 + min(length, cut), lengths).count(None) >= 19


def test_noise_is_no_cliff():
    """Half of a figure up or down is nothing new to it."""
    assert places(lambda _: 100.0, EVEN, sigma=0.5).count(None) >= 19


@pytest.mark.parametrize(
    ("law", "lengths", "at"),
    [
        (lambda length: 100 + 0.1 * length + (120 if length > 60 else 0), EVEN, 2),
        (lambda length: 100 + 0.1 * length + (120 if length > 100 else 0), EVEN, 4),
        (lambda length: 50 + 0.05 * length + (200 if length > 200 else 0), DOUBLED, 2),
        (lambda length: 40 + (90 if length > 50 else 0), DOUBLED, 0),
    ],
    ids=["middle", "last", "over growth", "first"],
)
def test_a_step_is_found_at_its_place(law, lengths, at):
    """In 15 of 20 or more, though one request in twenty takes four times as long, and else nowhere."""
    found = places(law, lengths)
    assert found.count(at) >= 15
    assert set(found) <= {at, None}


@pytest.mark.parametrize(("values", "slow"), [(5, 1.6), (5, 3.0), (10, 2.0)])
def test_two_speeds_are_no_cliff(values, slow):
    """Requests that are fast or slow, one as often as the other: 1 in 100 is accused, with luck 5 in 150."""
    draw, accused = np.random.default_rng(5), 0
    for _ in range(150):
        groups = [
            (20 + 0.02 * length)
            * np.where(draw.random(values) < 0.5, 1, slow)
            * np.exp(draw.normal(0, 0.05, values))
            for length in DOUBLED[:6]
        ]
        accused += step_in(DOUBLED[:6], groups) is not None
    assert accused <= 5


def test_the_least_jump_that_would_have_been_seen_is_told():
    """More noise, a larger one; what it says is found in most cases."""
    quiet, loud = (values_of(lambda _: 100.0, DOUBLED[:6], 3, sigma) for sigma in (0.05, 0.4))
    least = least_seen(DOUBLED[:6], quiet)
    assert all(a <= b for a, b in zip(least, least_seen(DOUBLED[:6], loud), strict=True))
    assert set(least) <= set(TIMES)
    for at, times in enumerate(least):
        jumps = places(
            lambda n, at=at, times=times: 100.0 * (times if n > DOUBLED[at] else 1), DOUBLED[:6], 0.05
        )
        assert jumps.count(at) >= 10


def test_a_request_that_never_came_is_as_slow_as_the_slowest():
    """One of ten at each length moves nothing."""
    draw = np.random.default_rng(1)
    groups = [[*(100 * np.exp(draw.normal(0, 0.05, 9))), np.inf] for _ in EVEN]
    assert step_in(EVEN, groups) is None
    assert step_in(EVEN, [*groups[:3], *([3 * each for each in group] for group in groups[3:])]).at == 2


def test_a_step_is_told_with_what_growth_explains():
    """Medians on either side, and the law between them."""
    groups = [[100.0 + number] * 4 + [105.0 + number] for number in range(3)] + [[300.0] * 5] * 3
    step = step_in(EVEN, groups)
    assert (step.at, step.below, step.above) == (2, 102.0, 300.0)
    assert 95 < step.expected < 110
    assert step.p < 0.01


def test_a_small_step_is_of_no_account():
    """A fifth more, without any noise; and too few lengths or values say nothing."""
    small = [[100.0] * 10] * 3 + [[120.0] * 10] * 3
    large = [[100.0] * 10] * 3 + [[220.0] * 10] * 3
    assert step_in(EVEN, small) is None
    assert step_in(EVEN, large).at == 2
    assert step_in(EVEN[2:5], large[2:5]) is None
    assert step_in(EVEN, [group[:4] for group in large]) is None
