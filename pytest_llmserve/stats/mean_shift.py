"""How much one mean is more than another: a ratio and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_llmserve.stats.shift import Shift
from pytest_llmserve.stats.stationary import Worth, worth_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mean_shift(before: Sequence[float], after: Sequence[float], *, confidence: float = 0.95) -> Shift:
    """How much the mean of one series is over that of another.

    A ratio f is tested by Student's t of mean(after) - f mean(before) (Fieller, Journal of the
    Royal Statistical Society B 16, 1954), neighbours discounted as in `stationary`.

    Args:
        before: finite, not negative, in its order; two values or more.
        after: likewise.
        confidence: of the interval.

    Raises:
        ValueError: fewer than two values on a side, or one that is not finite or negative.
    """
    import numpy as np

    values = [np.asarray(side, float) for side in (before, after)]
    if min(map(len, values)) < 2:
        raise ValueError("a shift of means needs two values or more on both sides")
    if not all(np.isfinite(side).all() and (side >= 0).all() for side in values):
        raise ValueError("a shift of means needs finite values of 0 or more")
    alone = [worth_of(side) for side in values]
    worth = alone[0].together(alone[1]), alone[1].together(alone[0])
    test = _MeanTest(_Mean.of(values[0], worth[0]), _Mean.of(values[1], worth[1]))
    return Shift(
        before=test.first.mean,
        after=test.second.mean,
        n_before=len(before),
        n_after=len(after),
        worth_before=max(1.0, len(before) / worth[0].inflation),
        worth_after=max(1.0, len(after) / worth[1].inflation),
        confidence=confidence,
        p_at_most=test.p_at_most,
        p_at_least=test.p_at_least,
    )


@dataclass(frozen=True)
class _Mean:
    mean: float
    variance: float
    freedom: float

    @classmethod
    def of(cls, values: NDArray[Any], worth: Worth) -> _Mean:
        variance = float(values.var(ddof=1)) * worth.inflation / len(values)
        return cls(float(values.mean()), variance, worth.freedom)


@dataclass(frozen=True)
class _MeanTest:
    """Whether the second mean is so many times the first."""

    first: _Mean
    second: _Mean

    def p_at_most(self, x: float) -> float:
        return self._p(x, -1)

    def p_at_least(self, x: float) -> float:
        return self._p(x, 1)

    def _p(self, x: float, side: int) -> float:
        factor = 1 + x
        of_first, of_second = factor**2 * self.first.variance, self.second.variance
        apart = side * (self.second.mean - factor * self.first.mean)
        variance = of_first + of_second
        if variance == 0:
            return 0.0 if apart > 0 else 1.0
        from scipy.special import stdtr

        freedom = variance**2 / (of_first**2 / self.first.freedom + of_second**2 / self.second.freedom)
        return float(stdtr(freedom, -apart / math.sqrt(variance)))
