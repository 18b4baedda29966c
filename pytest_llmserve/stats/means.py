"""Student's t for the mean of a series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llmserve.stats.dependence import variance_inflation
from pytest_llmserve.stats.sums import total, variance

MOST_TIMES = 1_000_000
"""A mean that near to its limit cannot be told from it."""


@dataclass(frozen=True)
class Mean:
    """A mean and how sure it is.

    Attributes:
        error: standard error of the mean, infinite below two values.
        freedom: degrees of freedom: effective n - 1, at least 1.
        inflation: variance inflation that the error already holds.
    """

    mean: float
    error: float
    freedom: float
    inflation: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Two-sided t interval."""
        if math.isinf(self.error):
            return -math.inf, math.inf
        from scipy.special import stdtrit

        half = float(stdtrit(self.freedom, (1 + confidence) / 2)) * self.error
        return self.mean - half, self.mean + half

    def p_at_most(self, limit: float) -> float:
        """P of a mean this low or lower if the true mean were `limit`: small = below the limit."""
        if math.isinf(self.error):
            return 1.0
        if self.error == 0:
            return 0.0 if self.mean < limit else 1.0
        from scipy.special import stdtr

        return float(stdtr(self.freedom, (self.mean - limit) / self.error))

    def p_at_least(self, limit: float) -> float:
        """P of a mean this high or higher if the true mean were `limit`: small = above the limit."""
        if math.isinf(self.error):
            return 1.0
        if self.error == 0:
            return 0.0 if self.mean > limit else 1.0
        return 1 - self.p_at_most(limit)

    def times_needed(self, limit: float, level: float, most_freedom: float = math.inf) -> float | None:
        """How many times as many values would show the mean to be on its side of `limit`.

        So many that `p_at_most` or `p_at_least` comes down to `level`, were mean and spread
        to stay as they are. None below two values, and where it would take over a million times as many.

        Args:
            limit: in the unit of the mean.
            level: such as 0.05.
            most_freedom: that the test has, however many values there are.
        """
        if math.isinf(self.error) or self.mean == limit:
            return None
        from scipy.special import stdtrit

        distance = abs(self.mean - limit)

        def shown(times: float) -> bool:
            freedom = min(most_freedom, times * (self.freedom + 1) - 1)
            half = -float(stdtrit(max(1, freedom), level)) * self.error / math.sqrt(times)
            return half <= distance

        enough = 1.0
        while not shown(enough):
            enough *= 2
            if enough > MOST_TIMES:
                return None
        too_few = enough / 2
        while enough > 1 and enough / too_few > 1.001:
            middle = math.sqrt(enough * too_few)
            too_few, enough = (too_few, middle) if shown(middle) else (middle, enough)
        return enough


def mean_of(series: Sequence[float]) -> Mean:
    """Estimate the mean of a series in its order, neighbours discounted.

    The t interval leans on the mean being near normal, which long tails need many values for.

    Raises:
        ValueError: the series is empty.
    """
    n = len(series)
    if n == 0:
        raise ValueError("the mean of no values is not defined")
    mean = total(series) / n
    if n == 1:
        return Mean(mean, math.inf, 1, 1.0)
    inflation = variance_inflation(series)
    return Mean(mean, math.sqrt(variance(series) * inflation / n), max(1, n / inflation - 1), inflation)
