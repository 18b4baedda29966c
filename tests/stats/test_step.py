"""A step beyond growth: found at its place, and not where there is none; seeded processes, no clock."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_llmserve.stats.step import step_in

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
    """In 20 of 20."""
    assert places(law, lengths) == [at] * 20


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
