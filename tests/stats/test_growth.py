"""Lasting growth told from what fills, steps, saws and trembles. Fixed seeds: the same series every time."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_llmserve.stats.growth import LEAST_READINGS, Growth, binned, floors, growth_of

N = 200
X = (np.arange(N) + 0.5) / N


def noise(sd: float = 1.0, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, N)


def growth(signal: np.ndarray, sd: float = 1.0, seed: int = 1) -> Growth:
    return growth_of(list(X), list(400 + signal + noise(sd, seed)), 0.004)


def saw(height: float, teeth: float, phase: float = 0.3) -> np.ndarray:
    return height * ((teeth * X + phase) % 1)


def test_an_even_rise_is_a_line_and_its_slope_is_found():
    found = growth(20 * X)
    low, high = found.slope.interval(0.99)
    assert (found.basis, found.since) == ("line", 0)
    assert low < 20 < high
    assert found.p_beyond(10) < 0.01
    assert found.p_within(30) < 0.01
    assert found.p_beyond(25) > 0.5


@pytest.mark.parametrize(
    "signal",
    [
        140 * np.minimum(X / 0.02, 1),
        140 * np.minimum(X / 0.5, 1),
        140.0 * (X > 0.31),
        140.0 * (X > 0.6),
        70.0 * (X > 0.2) + 70 * (X > 0.45),
        140 * (1 - np.exp(-X / 0.05)),
        140 * (1 - np.exp(-X / 0.15)),
        140 * (1 - np.exp(-X / 0.3)),
        saw(100, 1.0, 0.5),
        saw(100, 1.6),
        saw(100, 2.7),
        saw(60, 9),
        -60 * X,
        0 * X,
    ],
    ids=[
        "a cache filled at once",
        "filled over the first half",
        "a step",
        "a late step",
        "two steps",
        "filled in a twentieth",
        "filled slowly",
        "filled very slowly",
        "one tooth",
        "a tooth and a half",
        "three teeth",
        "many teeth",
        "a fall",
        "nothing",
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_what_comes_to_rest_or_is_given_back_is_no_growth(signal, seed):
    assert growth(signal, seed=seed).p_beyond(2.5) > 0.05


@pytest.mark.parametrize(
    "signal",
    [
        20 * X,
        140 * X,
        saw(40, 8) + 30 * X,
        5.0 * np.floor(8 * X),
        1.5 * np.floor(20 * X),
        140 * np.minimum(X / 0.2, 1) + 40 * np.maximum(X - 0.2, 0),
        140 * (1 - np.exp(-X / 0.05)) + 40 * X,
        140 * np.minimum(X / 0.3, 1) + 60 * np.maximum(X - 0.5, 0),
        60 * np.maximum(X - 0.4, 0),
    ],
    ids=[
        "a line",
        "a steep line",
        "a saw-tooth with a rising floor",
        "a staircase",
        "a staircase of many steps",
        "after a cache",
        "under a cache that fills ever more slowly",
        "after a cache and a rest",
        "begun late",
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_what_goes_on_growing_is_found(signal, seed):
    assert growth(signal, seed=seed).p_beyond(2.5) <= 0.05


def test_a_filled_cache_is_judged_by_what_came_after():
    found = growth(140 * np.minimum(X / 0.4, 1))
    assert found.basis == "last stretch"
    assert 0.36 < found.since < 0.44
    assert found.p_within(5) <= 0.05


@pytest.mark.parametrize(
    "signal",
    [
        150 * np.floor(2 * X + 0.8),
        150 * np.floor(2 * X + 0.98),
        120 * np.floor(2.5 * X + 0.5),
        16 * 2.0 ** np.floor(np.log2(1 + 31 * X)),
        70.0 * (X > 0.1) + 70 * (X > 0.2) + 70 * (X > 0.6),
    ],
    ids=["two steps a run", "the first at once", "2.5 steps a run", "a buffer that doubles", "uneven steps"],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_pause_of_a_staircase_is_no_rest(signal, seed):
    """Its next rise may be due."""
    found = growth(signal, seed=seed)
    assert found.stepping
    assert found.p_within(1e9) == 1.0


@pytest.mark.parametrize(
    "signal",
    [
        140.0 * (X > 0.1),
        140.0 * (X > 0.6),
        70.0 * (X > 0.1) + 70 * (X > 0.4),
        140 * np.minimum(X / 0.5, 1),
        140 * np.minimum(X / 0.05, 1),
        saw(60, 3.5),
    ],
    ids=["an early step", "a late step", "a rest longer than the pause", "a cache", "at the start", "teeth"],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_rest_longer_than_any_pause_is_one(signal, seed):
    assert not growth(signal, seed=seed).stepping


def test_a_filling_level_says_when_it_was_filled():
    found = growth(140 * (1 - np.exp(-X / 0.1)))
    assert found.basis == "filling"
    assert found.since == pytest.approx(0.3, abs=0.03)
    assert found.p_within(5) <= 0.05


def test_floors_tell_of_a_saw_tooth():
    found = growth(saw(60, 8) + 30 * X, sd=0.5)
    assert found.basis == "floors"
    assert found.slope.per_x == pytest.approx(30, abs=4)


def test_a_course_changed_at_the_end_gives_no_slope():
    found = growth(140.0 * (X > 0.9))
    assert (found.slope, found.p_within(1e9), found.p_beyond(-1e9)) == (None, 1.0, 1.0)
    assert found.since > 0.85


def test_a_rise_of_what_was_given_back_before_accuses_nobody():
    found = growth(saw(100, 1.0, 0.5))
    assert found.toothed
    assert found.given_back > 60


def test_an_accusation_costs_more_where_its_basis_was_chosen():
    """p-values are multiplied by the looks taken: 5 for a stretch that was searched for."""
    found = growth(140 * np.minimum(X / 0.2, 1) + 40 * np.maximum(X - 0.2, 0))
    assert found.looks == 5
    assert found.p_beyond(38) == pytest.approx(min(1, 5 * found.slope.p_at_least(38)))


@pytest.mark.parametrize("n", [0, 1, LEAST_READINGS - 1])
def test_under_12_readings_are_refused(n):
    with pytest.raises(ValueError, match=r"12 with a rising x are needed$"):
        growth_of(list(range(n)), [1.0] * n, 0.004)


def test_an_x_that_stands_still_is_refused():
    with pytest.raises(ValueError, match=r"^20 readings from \[3\] to \[3\]: 12 with a rising x are needed$"):
        growth_of([3] * 20, [1.0] * 20, 0.004)


@pytest.mark.parametrize("unit", [1e-5, 1.0, 1e9])
def test_the_unit_of_x_changes_the_slope_alone(unit):
    y = list(400 + 140 * np.minimum(X / 0.4, 1) + noise())
    one, other = growth_of(list(X), y, 0.004), growth_of(list(X * unit + 5 * unit), y, 0.004)
    assert other.slope.per_x * unit == pytest.approx(one.slope.per_x, rel=1e-6)
    assert (other.basis, other.rise) == (one.basis, pytest.approx(one.rise, rel=1e-6))


def test_x_may_stand_still_for_a_while_and_jump():
    """Requests end in bursts: a leak of 0.1 a request is found all the same."""
    x = [10 * (i // 10) for i in range(100)]
    found = growth_of(x, [0.1 * at + 0.01 * (i % 3) for i, at in enumerate(x)], 0.004)
    assert found.slope.per_x == pytest.approx(0.1, rel=0.05)
    assert found.p_beyond(0.05) <= 0.05


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_a_level_without_any_noise_is_judged_too(level):
    """Exactly flat, and an exact line."""
    flat = growth_of(list(X), [level] * N, 0.004)
    line = growth_of(list(X), [level + 10 * at for at in X], 0.004)
    assert flat.p_within(0.1) <= 0.05
    assert flat.p_beyond(0) > 0.05
    assert line.p_beyond(9) <= 0.05
    assert line.p_within(11) <= 0.05


@pytest.mark.parametrize("n", [60, 100, 150])
@pytest.mark.parametrize("level", [100.1, 412.3, 523.07692, 8000.123456])
def test_a_level_that_is_exactly_flat_grows_by_nothing(level, n):
    """Whatever rounding leaves: nothing is within a limit of nothing, and not beyond it."""
    found = growth_of([i / 7 for i in range(n)], [level] * n, 0.004)
    assert (found.slope.per_x, found.p_within(0), found.p_beyond(0)) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(("rise", "found"), [(0.003, 0.0), (-0.003, 0.0), (0.02, 0.02), (-0.02, -0.02)])
def test_a_rise_below_the_smallest_step_is_none(rise, found):
    y = list(400 + rise * X + 0.01 * (np.arange(N) % 2))
    assert growth_of(list(X), y, 0.004).slope.per_x == pytest.approx(found, rel=0.05)


def test_a_rise_is_known_no_better_than_to_the_smallest_step():
    assert growth_of(list(X), list(400 + 0.02 * X), 0.004).slope.error == pytest.approx(0.004, rel=0.05)


def test_bins_and_floors_are_of_equal_numbers_of_readings():
    x, y = np.arange(7.0), np.array([9.0, 4, 2, 8, 6, 1, 3])
    assert [list(part) for part in binned(x, y, 4)] == [[1.5, 3.5, 5.5], [3.0, 7.0, 2.0]]
    assert [list(part) for part in floors(x, y, 2)] == [[2.0, 5.0], [2.0, 1.0]]
