"""How sure a median is, and the difference of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from pytest_llmserve.stats.quantile import quantile_interval
from pytest_llmserve.stats.trend import serial_correlation

MANY = 20
"""Values on each side from which on their medians err as normal ones do."""


def difference_interval(
    before: Sequence[float], after: Sequence[float], confidence: float
) -> tuple[float, float]:
    """Two-sided interval of median(after) - median(before), both in the order they were read.

    Few values: from the least difference of any two to the greatest. Each set of m holds its true
    median but for 2^-m on either side (sign test, values taken as independent). From 20 on each side:
    the order-statistic interval of each median, neighbours that are alike discounted, the two joined
    as independent errors are, by the root of the sum of squares.

    Raises:
        ValueError: a side is empty.
    """
    if not before or not after:
        raise ValueError(f"{len(before)} values before and {len(after)} after: one of each is needed")
    if min(len(before), len(after)) < MANY:
        return min(after) - max(before), max(after) - min(before)
    was, now = median(before), median(after)
    (least_was, most_was), (least_now, most_now) = (
        _median_interval(before, confidence),
        _median_interval(after, confidence),
    )
    down = math.hypot(now - least_now, most_was - was)
    up = math.hypot(most_now - now, was - least_was)
    return now - was - down, now - was + up


def difference_confidence(before: int, after: int, confidence: float) -> float:
    """What the interval of so many values is sure of, at most `confidence`."""
    if min(before, after) >= MANY:
        return confidence
    sure = 1 - 2.0 ** (1 - before) - 2.0 ** (1 - after)
    return min(confidence, math.floor(100 * max(0.0, sure)) / 100)


def one_side_sure(before: int, after: int, confidence: float) -> bool:
    """Each end by itself is wrong with at most 1 - confidence: 6 values on each side for 95 %."""
    return 2.0**-before + 2.0**-after <= 1 - confidence


def _median_interval(values: Sequence[float], confidence: float) -> tuple[float, float]:
    import numpy as np

    ordered = sorted(values)
    alike = serial_correlation(np.asarray(values, float) - median(values))
    low, high = quantile_interval(ordered, 0.5, confidence, (1 + alike) / (1 - alike))
    return max(low, ordered[0]), min(high, ordered[-1])
