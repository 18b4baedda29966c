"""How much less neighbours tell than strangers: the variance inflation of a series.

The series is cut into 20 batches in its order, and the spread of the batch means is held
against the spread of the values (batch means; 10 to 30 batches serve best at any length:
Schmeiser, Operations Research 30, 1982). Batches that are still alike among themselves are
too short, and tell of a part only: the rest is reckoned from the correlation of each with
the next, as if it went on like that (a first-order autoregression; its inflation is
(1 + r) / (1 - r)). Tafazzoli and Wilson (IIE Transactions 43, 2011) do the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_llmserve.domain.gaps import Gaps
from pytest_llmserve.stats.sums import over, total, variance

if TYPE_CHECKING:
    from pytest_llmserve.stats.sums import Values

BATCHES = 20
LEAST = 10
MOST_ALIKE = 0.95

# What independent values exceed in 2 to 3 % of series each, by simulation of 4,000 series of
# 40 to 5,000 values (shares of a half and a tenth, and ranks).
CHANCE_SPREAD = 1.78
CHANCE_CAUTION = 6.2
CHANCE_NEIGHBOUR = 2.33
"""In standard errors of the correlation of neighbours, 1 / sqrt(n)."""

# By simulation of queues at 30 to 95 % load: the spread of a quiet stretch of a queue is
# smaller than that of the queue, and what is seen of its memory is too short.
CAUTION_FACTOR = 1.2
CAUTION_POWER = 1.5


class Batches(NamedTuple):
    """What 20 batches of a series show.

    Attributes:
        spread: variance of a batch mean, over what it would be of independent values.
        alike: correlation of each batch mean with the next, 0 to 0.95, bias corrected.
    """

    spread: float
    alike: float

    @property
    def inflation(self) -> float:
        """Variance of the mean of the series, over what it would be of independent values."""
        return max(1.0, self.spread * (1 + self.alike) / (1 - self.alike))

    @property
    def cautious(self) -> float:
        """The same where too small a figure would be a wrong verdict."""
        return CAUTION_FACTOR * self.spread * ((1 + self.alike) / (1 - self.alike)) ** CAUTION_POWER

    @property
    def beyond_chance(self) -> bool:
        """Independent values seldom show as much."""
        return self.spread > CHANCE_SPREAD or self.cautious > CHANCE_CAUTION


STRANGERS = Batches(1.0, 0.0)


def batches_of(series: Values) -> Batches:
    """Cut a series in its order into batches; one that is constant or under 10 values long tells nothing.

    Below 40 values each is a batch of its own: only the correlation of neighbours is seen then.
    """
    size = len(series) // BATCHES
    if size < 2:
        return (
            Batches(1.0, _bounded(_correlation(series), len(series))) if len(series) >= LEAST else STRANGERS
        )
    spread, means = _of_gaps(series, size) if isinstance(series, Gaps) else _of_array(series, size)
    if spread == 0:
        return STRANGERS
    return Batches(size * variance(means) / spread, _bounded(_correlation(means), BATCHES))


def _of_gaps(series: Gaps, size: int) -> tuple[float, list[float]]:
    """Variance of the values, and the means of their batches."""
    used = size * BATCHES
    means = [total(series, start, start + size) / size for start in range(0, used, size)]
    return variance(series, used), means


def _of_array(series: Values, size: int) -> tuple[float, list[float]]:
    """The same of what fits in memory as it is."""
    import numpy as np

    used = np.asarray(series, float)[: size * BATCHES]
    spread = 0.0 if used.min() == used.max() else float(used.var(ddof=1))
    return spread, used.reshape(BATCHES, size).mean(axis=1).tolist()


def variance_inflation(series: Values) -> float:
    """Variance of the mean of a series, over what it would be if its values were independent.

    1.0 for a series that is constant or too short; never below 1.0, so that no luck makes
    n larger than it is.
    """
    return batches_of(series).inflation


def correlation_inflation(values: Sequence[float]) -> float:
    """The same for a few values that are means of stretches already: by their correlation alone."""
    if len(values) < LEAST // 2:
        return 1.0
    alike = _bounded(_correlation(values), len(values))
    return (1 + alike) / (1 - alike)


def cautious_inflation(
    marks: Values, values: Sequence[float] = (), level: float = 0.9, ordered: Sequence[float] | None = None
) -> float:
    """Variance inflation to reckon with before something is shown to be kept; 1.0 where chance explains it.

    A limit far in the tail is passed by few values or none, and none says nothing about
    how they would cluster. The upper part of the same series does, and the ranks of all its
    values show a memory that neither shows: so the largest of the three is taken.

    Args:
        marks: which values are beyond the limit.
        values: the values, in the same order; none when they are not known.
        level: where the upper part begins, 0.9 for the upper tenth.
        ordered: the same values smallest first, when they are known.
    """
    seen = [batches_of(marks)]
    neighbours = False
    if len(values) >= LEAST:
        ordered = sorted(values) if ordered is None else ordered
        seen.append(batches_of(_upper(values, ordered, level)))
        if isinstance(values, Gaps):  # too many to rank
            seen.append(batches_of(_upper(values, ordered, 0.5)))
        else:
            ranks = _ranks(values)
            seen.append(batches_of(ranks))
            neighbours = _correlation(ranks) * math.sqrt(len(ranks)) > CHANCE_NEIGHBOUR
    if not neighbours and not any(batches.beyond_chance for batches in seen):
        return 1.0
    return max(1.0, *(batches.cautious for batches in seen))


def upper_inflation(values: Sequence[float], level: float, ordered: Sequence[float] | None = None) -> float:
    """Variance inflation of "in the upper part of the series"; the arguments are those of `cautious_inflation`."""
    if len(values) < LEAST:
        return 1.0
    return variance_inflation(_upper(values, sorted(values) if ordered is None else ordered, level))


def effective_n(series: Values) -> float:
    """Number of independent values that would tell as much about the mean."""
    return len(series) / variance_inflation(series)


def _upper(values: Sequence[float], ordered: Sequence[float], level: float) -> Values:
    return over(values, ordered[int(level * len(ordered))], or_at=True)


def _ranks(values: Sequence[float]) -> Values:
    """Equal values in the order of the series: their mean rank would change nothing but cost."""
    import numpy as np

    ranks = np.empty(len(values))
    ranks[np.argsort(np.asarray(values, float), kind="stable")] = np.arange(len(values))
    return ranks


def _correlation(values: Values) -> float:
    """Of each value with the next; 0 of a constant series."""
    import numpy as np

    around = np.asarray(values, float)
    around = around - around.mean()
    spread = float(around @ around)
    return float(around[1:] @ around[:-1]) / spread if spread > 0 else 0.0


def _bounded(correlation: float, n: int) -> float:
    """Without the bias of about -(1 + 3 r) / n (Kendall, Biometrika 41, 1954), and not negative."""
    unbiased = correlation + (1 + 3 * correlation) / n
    return min(MOST_ALIKE, max(0.0, unbiased))
