"""Series cut into stretches."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_llmserve.stats.pieces import cuts_of, falls, gave_back, pieces_left, shifts_of

N = 60
X = np.arange(N) / N
NOISE = np.random.default_rng(2).normal(0, 1, N)


@pytest.mark.parametrize(
    ("signal", "cuts"),
    [
        (0 * X, []),
        (80 * X, []),
        (80.0 * (np.arange(N) >= 20), [20]),
        (80.0 * (np.arange(N) >= 20) + 80 * (np.arange(N) >= 35), [20, 35]),
    ],
    ids=["level", "line", "step", "two steps"],
)
def test_cuts_are_where_the_course_changes(signal, cuts):
    assert cuts_of(X, signal + NOISE, 1e-6) == cuts


def test_a_kink_is_cut_within_a_few_readings():
    (cut,) = cuts_of(X, 200 * np.minimum(X, 0.5) + NOISE, 1e-6)
    assert abs(cut - 30) <= 3


def test_a_line_is_seldom_cut():
    """By chance, in about 2 series of 100."""
    cut = sum(
        bool(cuts_of(X, 80 * X + noise, 1e-6)) for noise in np.random.default_rng(3).normal(0, 1, (100, N))
    )
    assert cut <= 6


@pytest.mark.parametrize("n", [0, 3, 5, 11])
def test_a_short_series_is_left_whole(n):
    assert cuts_of(X[:n], NOISE[:n], 1e-6) == []


def test_what_is_left_of_the_stretches_is_the_noise():
    y = 80.0 * (np.arange(N) >= 20) + NOISE
    assert float(np.std(pieces_left(X, y, [20]))) < 1.2
    assert float(np.std(pieces_left(X, y, []))) > 10


def test_what_was_given_back_is_the_deepest_fall():
    assert gave_back(np.array([1.0, 5, 3, 9, 2, 8])) == 7
    assert gave_back(np.array([1.0, 2, 3])) == 0


@pytest.mark.parametrize(("step", "falling"), [(-20, True), (20, False), (-1, False)])
def test_a_cut_falls_when_the_level_drops_at_once(step, falling):
    assert falls(step * (np.arange(N) >= 20) + NOISE, 20, 1.0) is falling


@pytest.mark.parametrize("step", [-80, 80])
@pytest.mark.parametrize("at", [1, 3, 30, 57])
def test_a_shift_is_found_wherever_it_is(at, step):
    ((place, size),) = shifts_of(X, 90 * X + step * (np.arange(N) >= at) + NOISE, 1e-6)
    assert place == at
    assert size == pytest.approx(step, abs=4)


def test_shifts_come_in_their_order():
    y = 80.0 * (np.arange(N) >= 1) + 80 * (np.arange(N) >= 31) + NOISE
    assert [place for place, _ in shifts_of(X, y, 1e-6)] == [1, 31]


def test_no_shift_is_found_in_a_line():
    assert shifts_of(X, 90 * X + NOISE, 1e-6) == []
