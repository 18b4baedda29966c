"""By how much two sets of readings lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from pytest_llmserve.stats.trend import serial_correlation

MANY = 20
"""Values on each side from which on the rank sum is as good as normal."""


def difference_interval(
    before: Sequence[float], after: Sequence[float], confidence: float
) -> tuple[float, float]:
    """Two-sided interval of how far `after` lies above `before`, both in the order they were read.

    Few values: from the least difference of any two to the greatest. Each set of m holds its true
    median but for 2^-m on either side (sign test, values taken as independent). From 20 on each side:
    the differences of any two between the ranks of the Mann-Whitney statistic (Moses; Hollander and
    Wolfe, Nonparametric Statistical Methods, 4.3), its variance inflated where neighbours are alike.

    Raises:
        ValueError: a side is empty.
    """
    if len(before) == 0 or len(after) == 0:
        raise ValueError(f"{len(before)} values before and {len(after)} after: one of each is needed")
    if min(len(before), len(after)) < MANY:
        return min(after) - max(before), max(after) - min(before)
    import numpy as np
    from scipy.special import ndtri

    apart = np.sort(np.subtract.outer(np.asarray(after, float), np.asarray(before, float)).ravel())
    spread = math.sqrt(
        len(apart) * (len(before) + len(after) + 1) / 12 * max(map(_inflation, (before, after)))
    )
    rank = math.floor(len(apart) / 2 - float(ndtri((1 + confidence) / 2)) * spread)
    rank = max(rank, 1)
    return float(apart[rank - 1]), float(apart[len(apart) - rank])


def difference_confidence(before: int, after: int, confidence: float) -> float:
    """What the interval of so many values is sure of, at most `confidence`."""
    if min(before, after) >= MANY:
        return confidence
    sure = 1 - 2.0 ** (1 - before) - 2.0 ** (1 - after)
    return min(confidence, math.floor(100 * max(0.0, sure)) / 100)


def one_side_sure(before: int, after: int, confidence: float) -> bool:
    """Each end by itself is wrong with at most 1 - confidence: 6 values on each side for 95 %."""
    return 2.0**-before + 2.0**-after <= 1 - confidence


def _inflation(values: Sequence[float]) -> float:
    import numpy as np

    alike = serial_correlation(np.asarray(values, float) - median(values))
    return (1 + alike) / (1 - alike)
