"""Student's t for the mean of a series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from pytest_llmserve.stats.dependence import variance_inflation
from pytest_llmserve.stats.sums import total, variance

MOST_TIMES = 1_000_000
"""A mean that near to its limit cannot be told from it."""

FIRST_LOOK = 100
LOOK_GROWTH = 1.5


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


@dataclass(frozen=True)
class MeanCourse:
    """A mean looked at again and again while its values come in, at times that do not depend on them.

    The j-th look may be wrong 1 / (j (j + 1)) of the error that is allowed, which add up to
    the whole (alpha spending: Lan and DeMets, Biometrika 70, 1983; the sum is Bonferroni's).

    Attributes:
        looks: the mean at each look, first to last.
    """

    looks: tuple[Mean, ...]

    def interval(self, confidence: float) -> tuple[float, float]:
        """What the intervals of all looks have in common; without a look it is unbounded."""
        each = [mean.interval(1 - (1 - confidence) / (j * (j + 1))) for j, mean in enumerate(self.looks, 1)]
        return in_common([low for low, _ in each], [high for _, high in each])

    def p_at_most(self, limit: float) -> float:
        """Small = shown to be below the limit at some look."""
        return _spent(mean.p_at_most(limit) for mean in self.looks)

    def p_at_least(self, limit: float) -> float:
        """Small = shown to be above the limit at some look."""
        return _spent(mean.p_at_least(limit) for mean in self.looks)

    def times_needed(self, limit: float, level: float, most_freedom: float = math.inf) -> float | None:
        """`Mean.times_needed` of the last look, for the first one after it that decides at its own level."""
        times, last = 1.0, self.looks[-1]
        for j in count(len(self.looks) + 1):
            times *= LOOK_GROWTH
            needed = last.times_needed(limit, level / (j * (j + 1)), most_freedom)
            if needed is None or times > MOST_TIMES:
                return None
            if needed <= times:
                return times
        return None


def in_common(low: Sequence[float], high: Sequence[float]) -> tuple[float, float]:
    """What the intervals of all looks have in common; the last one where they have nothing.

    Unbounded without a look.
    """
    if not low:
        return -math.inf, math.inf
    least, most = max(low), min(high)
    return (least, most) if least <= most else (low[-1], high[-1])


def _spent(p_values: Iterable[float]) -> float:
    return min((min(1.0, p * j * (j + 1)) for j, p in enumerate(p_values, 1)), default=1.0)


def look_sizes(n: int) -> Iterator[int]:
    """How many values there are at each look: 100, then half as many more each time; up to n."""
    at = FIRST_LOOK
    while at <= n:
        yield at
        at = math.ceil(at * LOOK_GROWTH)


def course_of_mean(series: Sequence[float]) -> MeanCourse:
    """Look at a series as it came in."""
    return MeanCourse(tuple(mean_of(series[:size]) for size in look_sizes(len(series))))


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
