"""How much less neighbours tell than strangers: variance inflation by batch means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_llmserve.stats.sums import over, total, variance

if TYPE_CHECKING:
    from pytest_llmserve.stats.sums import Values

BATCHES = 20
"""10 to 30 batches serve best at any length (Schmeiser, Operations Research 30, 1982)."""

MERE_CHANCE = 1.59
"""Independent values go beyond this in 5 % of series: chi-square with 19 degrees of freedom, / 19."""


def variance_inflation(series: Values) -> float:
    """Variance of the mean of a series, over what it would be if its values were independent.

    The series is cut into 20 batches in its order; the spread of the batch means is held
    against the spread of the values. 1.0 for a series that is constant or too short (under
    40 values); never below 1.0, so that no luck makes n larger than it is. Dependence over
    stretches longer than a batch (a twentieth of the series) is seen in part only.
    """
    size = len(series) // BATCHES
    if size < 2:
        return 1.0
    used = size * BATCHES
    spread = variance(series, used)
    if spread == 0:
        return 1.0
    means = [total(series, start, start + size) / size for start in range(0, used, size)]
    return max(1.0, size * variance(means) / spread)


def upper_inflation(values: Sequence[float], level: float, ordered: Sequence[float] | None = None) -> float:
    """Variance inflation of "in the upper part of the series", 1.0 where chance explains it.

    A limit far in the tail is passed by few values or none, and none says nothing about
    how they would cluster. The upper tenth of the same series does: with it, a queue at
    80 % load is wrongly shown to keep its p99 in under 5 % of runs instead of 70 %.

    Args:
        values: in their order.
        level: where the upper part begins, 0.9 for the upper tenth.
        ordered: the same values smallest first, when they are known.
    """
    if len(values) < 2 * BATCHES:
        return 1.0
    if ordered is None:
        ordered = sorted(values)
    start = ordered[int(level * len(values))]
    return beyond_chance(variance_inflation(over(values, start, or_at=True)))


def beyond_chance(inflation: float) -> float:
    """The inflation, or 1.0 where independent values would show as much by chance."""
    return inflation if inflation > MERE_CHANCE else 1.0


def effective_n(series: Values) -> float:
    """Number of independent values that would tell as much about the mean."""
    return len(series) / variance_inflation(series)
