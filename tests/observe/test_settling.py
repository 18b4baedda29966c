"""Waiting for memory to settle, with a clock made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from pytest_llmserve.observe.settling import is_enough, is_flat, rested, settle

MB = 1_000_000
S = 1_000_000_000


class Hand:
    """A clock that moves when slept on, and memory that is a function of its time."""

    def __init__(self, memory: Callable[[float], float]) -> None:
        self.now_ns = 0
        self._memory = memory

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * S)

    def clock(self) -> int:
        return self.now_ns

    def read(self) -> int:
        return round(self._memory(self.now_ns / S) * MB)

    def settle(self, limit_s: float, baseline_mb: float = math.inf):
        return settle(
            self.read, round(limit_s * S), sleep=self.sleep, clock=self.clock, baseline_bytes=baseline_mb * MB
        )


def test_flat_memory_at_the_baseline_is_not_waited_for():
    settled = Hand(lambda t: 400).settle(5, baseline_mb=400)
    assert settled.flat
    assert settled.readings == (400 * MB,) * 7
    assert settled.after_ns == 600_000_000


def test_memory_that_is_given_back_late_is_waited_for():
    settled = Hand(lambda t: 500 if t < 3 else 401).settle(5, baseline_mb=400)
    assert settled.flat
    assert settled.last == (401 * MB,) * 7
    assert 3.5 * S <= settled.after_ns <= 3.8 * S


def test_memory_that_stays_above_the_baseline_is_waited_for_until_the_limit():
    settled = Hand(lambda t: 500).settle(5, baseline_mb=400)
    assert settled.flat
    assert settled.last == (500 * MB,) * 7
    assert 5 * S <= settled.after_ns <= 5.2 * S


def test_memory_that_trembles_is_read_more_often():
    """By over 1 MB: 40 readings, where 7 would do for a quiet one."""
    settled = Hand(lambda t: 400 + 2 * (round(t * 10) % 2)).settle(5, baseline_mb=402)
    assert len(settled.readings) == 40
    assert settled.last == settled.readings


def test_without_a_baseline_any_level_will_do():
    assert Hand(lambda t: 500).settle(5).after_ns < S


def test_memory_that_never_rests_is_left_at_the_limit_and_said_not_to_be_flat():
    settled = Hand(lambda t: 400 + 50 * t).settle(2)
    assert not settled.flat
    assert max(settled.last) - min(settled.last) > 20 * MB


@pytest.mark.parametrize("limit_s", [0, 0.01])
def test_seven_readings_are_taken_however_short_the_limit(limit_s):
    settled = Hand(lambda t: 500).settle(limit_s, baseline_mb=400)
    assert len(settled.last) == 7
    assert settled.after_ns <= 0.02 * S


@pytest.mark.parametrize(
    ("readings", "flat"),
    [
        ([400] * 6, False),
        ([400] * 7, True),
        ([10, *[400] * 7], True),
        ([400, 403.9, *[400] * 5], True),
        ([400, 404.2, *[400] * 5], False),
        ([10, 10.9, *[10] * 5], True),
        ([10, 11.1, *[10] * 5], False),
    ],
)
def test_flat_is_within_1_percent_or_1_mb(readings, flat):
    assert is_flat([round(mb * MB) for mb in readings]) is flat


@pytest.mark.parametrize(
    ("readings", "enough"),
    [([400] * 6, False), ([400] * 7, True), ([400, 402] * 10, False), ([400, 402] * 20, True)],
)
def test_enough_is_seven_quiet_readings_or_forty(readings, enough):
    assert is_enough([mb * MB for mb in readings]) is enough


NOISE = [((i * 37) % 23 - 11) / 2 for i in range(60)]


@pytest.mark.parametrize(
    ("readings", "kept"),
    [
        ([400] * 50, 7),
        ([400 + noise for noise in NOISE], 60),
        ([400 + 30 * (i < 25) + noise for i, noise in enumerate(NOISE)], range(28, 46)),
        ([400 - 40 * i for i in range(50)], 7),
    ],
    ids=["quiet", "noise", "fell while it was watched", "never at rest"],
)
def test_what_stands_for_memory_afterwards_is_its_end_at_rest(readings, kept):
    """Quiet memory needs no more than seven readings."""
    last = rested([round(mb * MB) for mb in readings])
    assert last == tuple(round(mb * MB) for mb in readings[-len(last) :])
    assert len(last) == kept if isinstance(kept, int) else len(last) in kept


class Looked(list):
    """Readings that count how often an end of them is taken."""

    ends = 0

    def __getitem__(self, key):
        self.ends += isinstance(key, slice)
        return super().__getitem__(key)


def test_thousands_of_readings_that_drift_are_looked_at_a_few_times_only():
    """Each end looked at is sorted."""
    readings = Looked(400 * MB + 100_000 * i + 3 * MB * (i * 37 % 23 - 11) for i in range(6000))
    rested(readings)
    assert readings.ends <= 80
