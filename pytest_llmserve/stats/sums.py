"""Sums over a series: plainly over a few thousand values, by blocks over millions of gaps."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_llmserve.domain.gaps import Gaps

if TYPE_CHECKING:
    from numpy import bool_, float64
    from numpy.typing import NDArray

    Marks: TypeAlias = Sequence[bool] | NDArray[bool_]
    """Which values of a series have something about them."""

    Values: TypeAlias = Sequence[float] | NDArray[bool_] | NDArray[float64]


def over(values: Values, limit: float, *, or_at: bool = False) -> Marks:
    """Which values are over a limit; `or_at` marks those that are equal to it too."""
    if not isinstance(values, (Gaps, Sequence)):  # an array
        return values >= limit if or_at else values > limit
    if not isinstance(values, Gaps):
        return [value >= limit for value in values] if or_at else [value > limit for value in values]
    import numpy as np

    marks = np.empty(len(values), np.bool_)
    compare: Any = np.greater_equal if or_at else np.greater
    at = 0
    for block in values.blocks():
        compare(block, limit, out=marks[at : at + len(block)])
        at += len(block)
    return marks


def as_array(values: Values) -> Any:
    """The same as one array of eight bytes each."""
    import numpy as np

    if not isinstance(values, Gaps):
        return np.asarray(values, float)
    return (
        np.concatenate([np.asarray(block, float) for block in values.blocks()])
        if len(values)
        else np.zeros(0)
    )


def total(values: Values, start: int = 0, stop: int | None = None) -> float:
    """The sum of values [start, stop)."""
    if isinstance(values, Gaps):
        return fsum(float(block.sum()) for block in values.blocks(start, stop))
    if isinstance(values, Sequence):
        return fsum(values[start:stop])
    return float(values[start:stop].sum())


def variance(values: Values, stop: int | None = None) -> float:
    """Sample variance of the first `stop` values, exactly 0 for equal ones; two at least are needed."""
    n = len(values) if stop is None else stop
    mean = total(values, 0, n) / n
    if isinstance(values, Gaps):
        least, most = _ends(values, n)
        if least == most:
            return 0.0
        squares = fsum(float(((block - mean) ** 2).sum()) for block in values.blocks(0, n))
    elif isinstance(values, Sequence):
        squares = fsum((value - mean) ** 2 for value in values[:n])
    else:  # of marks: each is 0 or 1
        squares = n * mean * (1 - mean)
    return squares / (n - 1)


def _ends(values: Gaps, stop: int) -> tuple[float, float]:
    ends = [(float(block.min()), float(block.max())) for block in values.blocks(0, stop)]
    return min(least for least, _ in ends), max(most for _, most in ends)
