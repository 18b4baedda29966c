"""Whether the same questions were answered worse a second time. Exact; one-sided."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from pytest_llmserve.stats.binomial import p_at_least


class Stratum(NamedTuple):
    """One question, asked several times on both sides: how often, and how often rightly answered."""

    right_before: int
    n_before: int
    right_after: int
    n_after: int


def p_of_drop(lost: int, gained: int) -> float:
    """How likely so many answers would be lost if a right one turned wrong as easily as a wrong one right.

    The exact test of McNemar (Psychometrika 12, 1947) on pairs of answers to the same question: those that
    are alike tell nothing, of the others each half is expected.

    Args:
        lost: right before, wrong after.
        gained: wrong before, right after.
    """
    return p_at_least(lost, lost + gained, 0.5) if lost else 1.0


def least_lost(gained: int, level: float) -> int:
    """The least number of answers lost that is beyond chance, beside so many gained."""
    low, high = 0, 1
    while p_of_drop(high, gained) > level:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if p_of_drop(middle, gained) > level else (low, middle)
    return high


def p_of_drop_within(strata: Sequence[Stratum]) -> float:
    """How likely so many right answers would be before rather than after, each question by itself.

    The exact test of a common odds ratio of one (Mantel and Haenszel, JNCI 22, 1959; Fisher's, where there is
    one question): which of the answers to a question came before is, by chance, any choice of
    them. With one answer on each side it is the test of McNemar.

    Raises:
        ValueError: a stratum has more right answers than answers.
    """
    import numpy as np

    surplus, spread = 0, np.ones(1)
    for stratum in strata:
        low, chances = _hypergeometric(stratum)
        surplus += stratum.right_before - low
        spread = np.convolve(spread, chances)
    return min(1.0, float(spread[surplus:].sum()))


@lru_cache(1024)
def _hypergeometric(stratum: Stratum) -> tuple[int, Sequence[float]]:
    """The least number of right ones before, and the chance of it and of each number above it."""
    import numpy as np
    from scipy.special import gammaln

    right_before, n_before, right_after, n_after = stratum
    if not (0 <= right_before <= n_before and 0 <= right_after <= n_after):
        raise ValueError(f"{stratum} is not a count of right answers")
    right, n = right_before + right_after, n_before + n_after
    low, high = max(0, right - n_after), min(right, n_before)
    k = np.arange(low, high + 1)

    def log_choose(total: int, of: Any) -> Any:
        return gammaln(total + 1) - gammaln(of + 1) - gammaln(total - of + 1)

    logs = log_choose(right, k) + log_choose(n - right, n_before - k) - log_choose(n, n_before)
    chances: Sequence[float] = np.exp(logs)
    return low, chances
