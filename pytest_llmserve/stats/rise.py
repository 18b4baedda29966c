"""How much higher one share is than another, in points of share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_llmserve.stats import binomial
from pytest_llmserve.stats.stationary import worth_of

_STEPS = 50


@dataclass(frozen=True)
class Rise:
    """Share k2 of n2, less share k1 of n1.

    The interval joins the exact ones of both shares (Clopper and Pearson) by the method of Newcombe
    (Statistics in Medicine 17, 1998, method 10): the distance of the difference to its bound is
    the root of the sum of squares of their distances. Fractions are taken, so that dependent
    observations can be discounted.
    """

    k1: float
    n1: float
    k2: float
    n2: float

    @property
    def before(self) -> float:
        """The first share."""
        return self.k1 / self.n1

    @property
    def after(self) -> float:
        """The second share."""
        return self.k2 / self.n2

    @property
    def points(self) -> float:
        """The difference: 0.01 = 1 % of all requests more."""
        return self.after - self.before

    def bounds(self, confidence: float) -> tuple[float, float]:
        """Lower and upper bound of the difference, each with this one-sided confidence."""
        shares = (self.k1, self.n1), (self.k2, self.n2)
        low1, low2 = (binomial.lower_bound(k, n, confidence) for k, n in shares)
        high1, high2 = (binomial.upper_bound(k, n, confidence) for k, n in shares)
        return (
            self.points - math.hypot(self.after - low2, high1 - self.before),
            self.points + math.hypot(high2 - self.after, self.before - low1),
        )

    def interval(self, confidence: float) -> tuple[float, float]:
        """Two-sided interval of the difference."""
        return self.bounds((1 + confidence) / 2)

    def p_at_most(self, points: float) -> float:
        """The least 1 - confidence with which the difference is bounded by `points` from above."""
        return _least(lambda alpha: self.bounds(1 - alpha)[1] <= points)

    def p_at_least(self, points: float) -> float:
        """The least 1 - confidence with which the difference is bounded by `points` from below."""
        return _least(lambda alpha: self.bounds(1 - alpha)[0] >= points)


def rise_of(before: Sequence[bool], after: Sequence[bool]) -> Rise:
    """The rise between two series of marks in their order, neighbours discounted as in `stationary`.

    Raises:
        ValueError: a series is empty.
    """
    if not len(before) or not len(after):
        raise ValueError("a rise needs marks on both sides")
    import numpy as np

    first, second = worth_of(np.asarray(before, bool)), worth_of(np.asarray(after, bool))
    # One that failed never, or always, shows nothing of how its failures would cluster.
    worth = first.together(second), second.together(first)
    n1, n2 = len(before) / worth[0].inflation, len(after) / worth[1].inflation
    return Rise(sum(before) / worth[0].inflation, n1, sum(after) / worth[1].inflation, n2)


def _least(holds: Callable[[float], bool]) -> float:
    """The least alpha up to 1/2 for which `holds`, which then holds for all above; 1 if none."""
    if not holds(0.5):
        return 1.0
    low, high = 0.0, 0.5
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
