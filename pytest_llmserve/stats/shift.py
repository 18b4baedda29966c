"""How much slower, or otherwise more, one series is than another: a ratio and how sure it is."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_llmserve.domain.metrics import nearest_rank
from pytest_llmserve.stats.stationary import Worth, neighbours_alike, worth_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_BEYOND = 3
"""Independent values that must lie on either side of a quantile, in both series, to speak of a shift."""

UPPER = 0.9
"""Where the upper part of a series begins, which shows how slow requests cluster."""

_FAR = 30.0
"""Logarithm of the greatest ratio that is looked at."""

_STEPS = 40

Chance = Callable[[float], float]
"""A ratio -> how likely a difference like the one found would be if that were the true one."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One quantile or mean of a series, over that of another, less 1: 0.14 = 14 % more.

    Attributes:
        before, after: the two, in their own unit; infinite where failures reach the quantile.
        n_before, n_after: number of values.
        worth_before, worth_after: how many independent values tell as much.
        confidence: of `low` and `high`.
        p_at_most: x -> how likely a ratio this low or lower would be if the true one were x.
        p_at_least: x -> how likely one this high or higher would be. Small = the truth is over x.
        needed: values that each series would need before anything can be said, or None. The p-values are
            1 then, and the interval is open on both sides.
    """

    before: float
    after: float
    n_before: int
    n_after: int
    worth_before: float
    worth_after: float
    confidence: float = 0.95
    p_at_most: Chance = field(repr=False, compare=False)
    p_at_least: Chance = field(repr=False, compare=False)
    needed: int | None = None

    @property
    def ratio(self) -> float:
        """after / before - 1; NaN when both are infinite or 0."""
        if self.before == 0 or math.isinf(self.after):
            same = self.after == self.before
            return math.nan if same else math.inf
        return self.after / self.before - 1

    @property
    def low(self) -> float:
        """Lower end of the two-sided interval, -1 where it is open."""
        return self.bounds[0]

    @property
    def high(self) -> float:
        """Upper end of the two-sided interval, infinite where it is open."""
        return self.bounds[1]

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The two-sided interval: all ratios that neither side rules out."""
        return self._ends((1 - self.confidence) / 2)

    @cached_property
    def one_sided(self) -> tuple[float, float]:
        """Its two ends as bounds each of its own."""
        return self._ends(1 - self.confidence)

    @property
    def detectable(self) -> float:
        """The least ratio that, had it been found, would have had an interval over 0; infinite if none."""
        return self.detectable_at((1 - self.confidence) / 2)

    def detectable_at(self, alpha: float) -> float:
        """The least ratio that, had it been found, would have had `p_at_least(0) <= alpha`."""
        low = self._ends(alpha)[0]
        if low <= -1 or not math.isfinite(self.ratio):
            return math.inf
        return max(0.0, (1 + self.ratio) / (1 + low) - 1)

    def detectable_fall_at(self, alpha: float) -> float:
        """The least fall, as a share of `before`, with `p_at_most(0) <= alpha`; 1 if none."""
        high = self._ends(alpha)[1]
        return 1.0 if math.isinf(high) or self.ratio <= -1 else max(0.0, 1 - (1 + self.ratio) / (1 + high))

    def _ends(self, alpha: float) -> tuple[float, float]:
        if math.isnan(self.ratio):
            return -1.0, math.inf
        start = min(_FAR, math.log1p(self.ratio)) if self.ratio > -1 else -_FAR
        low = _edge(lambda x: self.p_at_least(x) <= alpha, start, -1)
        high = _edge(lambda x: self.p_at_most(x) <= alpha, start, 1)
        return low, high


def quantile_shift(
    before: Sequence[float], after: Sequence[float], q: float, *, confidence: float = 0.95
) -> Shift:
    """How much quantile q of one series differs from that of another.

    A ratio is tested by making `before` so much longer, and holding the shares of both series
    beyond their joint quantile against each other (Mood's test, Annals of Mathematical Statistics
    25, 1954, for any quantile): Student's t, the variance that of the stationary bootstrap, see
    `stationary`, with the correction for continuity. The interval is all ratios not ruled out.
    So nothing depends on the density around a quantile, and a failed request is just the slowest.

    The worth of a series is the least of what three marks say: beyond its quantile, the same with
    the correlation of the ranks, and, for a quantile over 0.9, in the upper tenth; joined with
    that of the other series.

    Args:
        before: in its order; infinite for a failed request.
        after: likewise.
        q: 0 < q < 1.
        confidence: of the interval.

    Raises:
        ValueError: a series is empty, or q or confidence is not strictly between 0 and 1.
    """
    import numpy as np

    if not len(before) or not len(after):
        raise ValueError("a shift needs values on both sides")
    if not 0 < q < 1 or not 0 < confidence < 1:
        raise ValueError(f"q={q}, confidence={confidence}: both lie between 0 and 1")
    values = [np.asarray(side, float) for side in (before, after)]
    sides = [_Side.of(side, q) for side in values]
    alone = [_worth(side, at.ordered, q) for side, at in zip(values, sides, strict=True)]
    worth = alone[0].together(alone[1]), alone[1].together(alone[0])
    test = _QuantileTest(sides[0], sides[1], q, *worth)
    return Shift(
        before=sides[0].quantile,
        after=sides[1].quantile,
        n_before=len(before),
        n_after=len(after),
        worth_before=max(1.0, len(before) / worth[0].inflation),
        worth_after=max(1.0, len(after) / worth[1].inflation),
        confidence=confidence,
        p_at_most=test.p_at_most,
        p_at_least=test.p_at_least,
        needed=test.needed,
    )


@dataclass(frozen=True)
class _Side:
    """One series, smallest first, and its quantile."""

    ordered: NDArray[Any]
    quantile: float

    @classmethod
    def of(cls, values: NDArray[Any], q: float) -> _Side:
        import numpy as np

        ordered = np.sort(values)
        return cls(ordered, float(ordered[nearest_rank(q, len(ordered)) - 1]))

    def least(self, enough: Callable[[float], bool]) -> float:
        """The least value that is enough, as are all greater ones; infinite if none is."""
        place = bisect_left(self.ordered, True, key=enough)
        return float(self.ordered[place]) if place < len(self.ordered) else math.inf

    def beyond(self, value: float) -> float:
        """Share of values over this one, those equal to it half."""
        low, high = self.ordered.searchsorted(value), self.ordered.searchsorted(value, "right")
        return 1 - float(low + high) / 2 / len(self.ordered)

    def up_to(self, value: float) -> float:
        return float(self.ordered.searchsorted(value, "right")) / len(self.ordered)


def _worth(values: NDArray[Any], ordered: NDArray[Any], q: float) -> Worth:
    n = len(values)
    marks = values >= ordered[nearest_rank(q, n) - 1]
    found = [worth_of(marks), worth_of(marks, neighbours_alike(values))]
    if q > UPPER:
        found.append(worth_of(values >= ordered[int(UPPER * n)]))
    return Worth(max(w.inflation for w in found), min(w.freedom for w in found))


@dataclass(frozen=True)
class _QuantileTest:
    """Whether the second quantile is so many times the first."""

    first: _Side
    second: _Side
    q: float
    worth_first: Worth
    worth_second: Worth

    @cached_property
    def _weights(self) -> tuple[float, float]:
        n = len(self.first.ordered), len(self.second.ordered)
        return n[0] / self.worth_first.inflation, n[1] / self.worth_second.inflation

    @property
    def needed(self) -> int | None:
        """Values each series would need, or None when there are enough."""
        rare = min(self.q, 1 - self.q)
        least = LEAST_BEYOND / rare
        if min(self._weights) >= least - 1e-9:
            return None
        return math.ceil(least * max(self.worth_first.inflation, self.worth_second.inflation) - 1e-9)

    def p_at_most(self, x: float) -> float:
        return self._p(x, -1)

    def p_at_least(self, x: float) -> float:
        return self._p(x, 1)

    def _p(self, x: float, side: int) -> float:
        """Student's t that the second has more beyond (side 1), or less (side -1)."""
        if self.needed is not None:
            return 1.0
        from scipy.special import stdtr

        w1, w2 = self._weights
        apart = side * self._apart(1 + x)
        by_halves = (1 / w1 + 1 / w2) / 4
        error = math.sqrt(self.q * (1 - self.q) * (1 / w1 + 1 / w2))
        return float(stdtr(self._freedom, (by_halves - apart) / error))

    @cached_property
    def _freedom(self) -> float:
        """Of Welch (Biometrika 34, 1947)."""
        w1, w2 = self._weights
        spread = w1**-2 / self.worth_first.freedom + w2**-2 / self.worth_second.freedom
        return (1 / w1 + 1 / w2) ** 2 / spread

    def _apart(self, factor: float) -> float:
        """Share of the second beyond the joint quantile, less that of the first made longer."""
        a, b = self.first, self.second
        w1, w2 = self._weights
        enough = self.q * (w1 + w2) * (1 - 1e-12)

        def reached(of_first: float, of_second: float) -> bool:
            return w1 * a.up_to(of_first) + w2 * b.up_to(of_second) >= enough

        in_first = a.least(lambda value: reached(value, value * factor))
        in_second = b.least(lambda value: reached(value / factor, value))
        if in_first * factor <= in_second:
            return b.beyond(in_first * factor) - a.beyond(in_first)
        return b.beyond(in_second) - a.beyond(in_second / factor)


def _edge(ruled_out: Callable[[float], bool], start: float, side: int) -> float:
    """The ratio, going from `start` (a logarithm) to one side, from which on all are ruled out.

    Ratios of up to 1e13 are looked at; beyond, the interval is open.
    """
    width = 0.01
    inner, outer = start, start + side * width
    while not ruled_out(math.expm1(outer)):
        if side * outer >= _FAR:
            return -1.0 if side < 0 else math.inf
        width *= 2
        inner, outer = outer, side * min(_FAR, side * start + width)
    for _ in range(_STEPS):
        middle = (inner + outer) / 2
        if ruled_out(math.expm1(middle)):
            outer = middle
        else:
            inner = middle
    return math.expm1(outer)
