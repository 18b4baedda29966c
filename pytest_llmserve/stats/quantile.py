"""Distribution-free interval of a quantile, from order statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pytest_llmserve.stats.binomial import p_at_least, p_at_most


def quantile_interval(
    ordered: Sequence[float], q: float, confidence: float, inflation: float = 1.0
) -> tuple[float, float]:
    """Two-sided interval of quantile q, each end an observed value or infinite.

    The r-th smallest of n values lies above the true quantile with probability
    P(Binomial(n, q) <= r - 1) and the s-th below it with P(Binomial(n, q) >= s)
    (David and Nagaraja, Order Statistics, 2003, 7.1). An end is infinite when n is too
    small for any observed value to serve.

    Args:
        ordered: the values, smallest first; infinite for a failed request.
        q: 0 < q < 1.
        confidence: that the quantile lies within, such as 0.95.
        inflation: variance inflation of "over the quantile"; ranks count as fractions of
            independent ones.
    """
    n = len(ordered)
    tail = (1 - confidence) / 2

    def sure_below(rank: int) -> bool:
        return rank < 1 or p_at_most((rank - 1) / inflation, n / inflation, q) <= tail

    def sure_above(rank: int) -> bool:
        return rank > n or p_at_least(rank / inflation, n / inflation, q) <= tail

    lower = _last(sure_below, 0, n)
    upper = n + 1 - _last(lambda back: sure_above(n + 1 - back), 0, n)
    return (
        ordered[lower - 1] if lower >= 1 else -math.inf,
        ordered[upper - 1] if upper <= n else math.inf,
    )


def _last(holds: Callable[[int], bool], least: int, most: int) -> int:
    """The last number in least..most for which `holds`, which holds at `least` and changes once."""
    while least < most:
        middle = (least + most + 1) // 2
        if holds(middle):
            least = middle
        else:
            most = middle - 1
    return least
