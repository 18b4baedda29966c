"""Student's t for the mean of a series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llmserve.stats.dependence import variance_inflation
from pytest_llmserve.stats.sums import total, variance


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
