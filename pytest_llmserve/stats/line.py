"""A straight line through pairs of values, and how much of them it explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llmserve.stats.trend import residuals, slope_of

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Line:
    """A line by least squares.

    Attributes:
        per_x: rise of y for each unit of x.
        low: lower end of its two-sided 95 % interval, neighbours taken as alike as they are.
        explained: share of the variance of y that x explains (R squared), 0 to 1.
    """

    per_x: float
    low: float
    explained: float


def line_through(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit y over x, both in the order they were read; at most some hundreds: it takes n * n numbers.

    Raises:
        ValueError: fewer than three pairs, or all x are one.
    """
    import numpy as np

    xs, ys = np.asarray(x, float), np.asarray(y, float)
    if len(xs) < 3 or len(xs) != len(ys) or xs.max() == xs.min():
        raise ValueError(f"{len(xs)} x and {len(ys)} y: at least three pairs of several x are needed")
    slope, rest, middle = slope_of(xs, ys), residuals(xs, ys), ys - ys.mean()
    whole = float(middle @ middle)
    return Line(
        slope.per_x,
        slope.interval(CONFIDENCE)[0],
        1 - float(rest @ rest) / whole if whole > 0 else 0.0,
    )
