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
from typing import TYPE_CHECKING, NamedTuple

from pytest_llmserve.domain.gaps import Gaps
from pytest_llmserve.stats.sums import over, total, variance

if TYPE_CHECKING:
    from pytest_llmserve.stats.sums import Values

BATCHES = 20
_LAGS = (1, 3, 10)
LEAST = 10
NO_CORRELATION = -2.0
"""Of a constant series, which tells nothing."""
MOST_ALIKE = 0.95

# What independent values exceed in 1 to 2 % of series each, by simulation of 4,000 series of
# 40 to 5,000 values (shares of a half and a tenth, and ranks).
CHANCE_SPREAD = 2.1
CHANCE_CAUTION = 12.0
CHANCE_MEMORY = 2.2
"""In standard errors, see `_memory`."""

# By simulation of queues at 30 to 95 % load: the spread of a quiet stretch of a queue is
# smaller than that of the queue, and what is seen of its memory is too short.
CAUTION_FACTOR = 1.3
CAUTION_POWER = 1.75


REACH_UP = 10
REACH_DOWN = 5
"""By simulation of queues at 30 to 95 % load: hardly any run lies that far from what others reach."""


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
        further: float = ((1 + self.alike) / (1 - self.alike)) ** CAUTION_POWER
        return CAUTION_FACTOR * self.spread * further

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
    found = size * variance(means) / spread
    # Batches more even than those of independent values have no memory that could be carried on.
    return Batches(found, _bounded(_correlation(means), BATCHES) if found > 1 else 0.0)


def _of_gaps(series: Gaps, size: int) -> tuple[float, list[float]]:
    """Variance of the values, and the means of their batches."""
    used = size * BATCHES
    means = [total(series, start, start + size) / size for start in range(0, used, size)]
    return variance(series, used), means


def _of_array(series: Values, size: int) -> tuple[float, list[float]]:
    """The same of what fits in memory as it is."""
    import numpy as np

    used = np.asarray(series)[: size * BATCHES]
    if used.min() == used.max():  # not the dust of rounding, which batches would be compared with
        return 0.0, []
    means = used.reshape(BATCHES, size).mean(axis=1)
    if used.dtype == np.bool_:  # of millions of marks no copy in eight bytes each
        share = float(means.mean())
        return share * (1 - share) * len(used) / (len(used) - 1), means.tolist()
    return float(used.var(ddof=1)), means.tolist()


def variance_inflation(series: Values) -> float:
    """Variance of the mean of a series, over what it would be if its values were independent.

    1.0 for a series that is constant or too short; never below 1.0, so that no luck makes
    n larger than it is.
    """
    return batches_of(series).inflation


class Inflation(NamedTuple):
    """What to divide k and n by.

    Attributes:
        bold: before a share is shown to be exceeded.
        cautious: before it is shown to be kept.
    """

    bold: float
    cautious: float


def inflation_of(
    marks: Values,
    values: Values = (),
    level: float = 0.9,
    ordered: Values | None = None,
    limit: float | None = None,
) -> Inflation:
    """Variance inflation of an indicator over the requests of a run; 1.0 where chance explains what is seen.

    A limit far in the tail is passed by few values or none, and none says nothing about
    how they would cluster. The upper part of the same series does, and the ranks of all its
    values show a memory that neither shows. The largest of the three is taken; of the first two,
    where a share is shown to be exceeded: then the marks are many enough to speak for themselves.

    Args:
        marks: which values are beyond the limit.
        values: the values, in the same order; none when they are not known.
        level: where the upper part begins, 0.9 for the upper tenth.
        ordered: the same values smallest first, when they are known.
        limit: what the marks are beyond. Where it is out of reach nothing is discounted: what moved the
            values so far would have to move them many times as far.
    """
    if limit is not None and len(values):
        ordered = sorted(values) if ordered is None else ordered
        low, high = reach_of(values, ordered)
        if limit <= low or limit >= high:
            return Inflation(1.0, 1.0)
    series = [marks]
    if len(values) >= LEAST:
        ordered = sorted(values) if ordered is None else ordered
        series.append(_upper(values, ordered, level))
        # Too many to rank: the upper half stands for the ranks.
        series.append(_upper(values, ordered, 0.5) if isinstance(values, Gaps) else _ranks(values))
    seen = [batches_of(each) for each in series]
    # Of that many gaps the batches tell enough.
    memory = not isinstance(values, Gaps) and any(_memory(each) > CHANCE_MEMORY for each in series[1:])
    if not memory and not any(batches.beyond_chance for batches in seen):
        return Inflation(1.0, 1.0)
    bold = max(batches.inflation for batches in seen[:2])
    return Inflation(bold, max(bold, *(batches.cautious for batches in seen)))


class Reach(NamedTuple):
    """How far values may come that have not been seen.

    Attributes:
        low: what nearly all values stay over: 5 times the width of their middle 90 % below it.
        high: what they stay under: over the largest by 10 times as much as the means of 20 batches lie apart.
    """

    low: float
    high: float


def reach_of(values: Values, ordered: Values | None = None) -> Reach:
    """The reach of the values of a series, one at least.

    Args:
        values: in their order.
        ordered: the same smallest first, when they are known.
    """
    ordered = sorted(values) if ordered is None else ordered
    most, place = float(ordered[-1]), len(ordered) // 20
    low, high = float(ordered[place]), float(ordered[-1 - place])
    return Reach(
        low=high - REACH_DOWN * (high - low) if math.isfinite(high) else -math.inf,
        high=most + REACH_UP * _moved(values) if math.isfinite(most) else math.inf,
    )


def _moved(values: Values) -> float:
    """How far the level of a series has moved: from its lowest batch to its highest.

    Below 40 values each is a batch.
    """
    size = max(1, len(values) // BATCHES)
    if size == 1:
        return float(max(values)) - float(min(values))
    _, means = _of_gaps(values, size) if isinstance(values, Gaps) else _of_array(values, size)
    return max(means) - min(means) if means else 0.0


def effective_n(series: Values) -> float:
    """Number of independent values that would tell as much about the mean."""
    return len(series) / variance_inflation(series)


def _upper(values: Values, ordered: Values, level: float) -> Values:
    return over(values, ordered[int(level * len(ordered))], or_at=True)


def _ranks(values: Values) -> Values:
    """The mean rank of each value among all, equal ones alike. scipy.stats.rankdata would cost its import."""
    import numpy as np

    _, which, count = np.unique(np.asarray(values, float), return_inverse=True, return_counts=True)
    mean_ranks: Values = (np.cumsum(count) - (count - 1) / 2)[which]
    return mean_ranks


def _memory(values: Values) -> float:
    """The sum of the first autocorrelations, in its standard errors of independent values: the largest sum.

    A weak memory that lasts long shows in no single correlation, but in their sum.
    """
    import numpy as np

    around = np.asarray(values, float)
    around = around - around.mean()
    spread = float(around @ around)
    if spread <= 0:
        return 0.0
    lags = [
        float(around[lag:] @ around[:-lag]) / spread for lag in range(1, _LAGS[-1] + 1) if lag < len(around)
    ]
    n = len(around)  # of independent values each is -1 / n on average
    return max((sum(lags[:most]) + most / n) * math.sqrt(n / most) for most in _LAGS)


def _correlation(values: Values) -> float:
    """Of each value with the next; NO_CORRELATION of a constant series."""
    import numpy as np

    around = np.asarray(values, float)
    if around.min() == around.max():
        return NO_CORRELATION
    around = around - around.mean()
    return float(around[1:] @ around[:-1]) / float(around @ around)


def _bounded(correlation: float, n: int) -> float:
    """Without the bias of about -(1 + 3 r) / n (Kendall, Biometrika 41, 1954), and not negative."""
    unbiased = correlation + (1 + 3 * correlation) / n if correlation > NO_CORRELATION else 0.0
    return min(MOST_ALIKE, max(0.0, unbiased))
