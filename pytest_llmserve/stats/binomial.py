"""Exact binomial statements about a share k of n (Clopper and Pearson, 1934).

Every function also takes fractions for k and n: dependent observations are discounted
by dividing both by the same variance inflation. The binomial tail is then read off the
regularised incomplete beta function, of which it is the value at whole numbers.
"""

from __future__ import annotations

import math

MOST_REQUESTS = 100_000_000
"""No run is larger: a share so near to what is allowed cannot be told from it."""


def upper_bound(k: float, n: float, confidence: float) -> float:
    """One-sided upper bound of the share behind k of n; 1.0 without observations."""
    _check(k, n)
    if n - k <= 0:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(k + 1, n - k, confidence))


def lower_bound(k: float, n: float, confidence: float) -> float:
    """One-sided lower bound of the share behind k of n; 0.0 without observations."""
    _check(k, n)
    if k <= 0:
        return 0.0
    from scipy.special import betaincinv

    return float(betaincinv(k, n - k + 1, 1 - confidence))


def interval(k: float, n: float, confidence: float) -> tuple[float, float]:
    """Two-sided Clopper-Pearson interval of the share behind k of n."""
    side = (1 + confidence) / 2
    return lower_bound(k, n, side), upper_bound(k, n, side)


def p_at_most(k: float, n: float, share: float) -> float:
    """P(Binomial(n, share) <= k): small = the true share is below `share`."""
    _check(k, n)
    if k >= n:
        return 1.0
    from scipy.special import betainc

    return float(betainc(n - k, k + 1, 1 - share))


def p_at_least(k: float, n: float, share: float) -> float:
    """P(Binomial(n, share) >= k): small = the true share is above `share`."""
    _check(k, n)
    if k <= 0:
        return 1.0
    from scipy.special import betainc

    return float(betainc(k, n - k + 1, share))


def requests_needed(q: float, confidence: float, over: float) -> int:
    """Least n that shows "quantile q is within the limit" when `over` of the n are over it.

    The least n with P(Binomial(n, 1 - q) <= over) <= 1 - confidence: 299 for p99 at 95 %
    with none over. The same arithmetic as early stopping in MLPerf LoadGen.

    Raises:
        ValueError: q or confidence is not strictly between 0 and 1, or `over` is negative.
    """
    if not 0 < q < 1 or not 0 < confidence < 1 or over < 0:
        raise ValueError(f"q={q}, confidence={confidence}: both lie between 0 and 1; over={over}: 0 or more")
    too_few = math.floor(over)
    enough = max(1, 2 * too_few)
    while p_at_most(over, enough, 1 - q) > 1 - confidence:
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if p_at_most(over, middle, 1 - q) > 1 - confidence:
            too_few = middle
        else:
            enough = middle
    return enough


def requests_at_share(share: float, allowed: float, level: float) -> int | None:
    """About the least n that shows a share to be on its side of `allowed`, were it to stay as it is.

    The n at which `p_at_most` (below `allowed`) or `p_at_least` (above it) comes down to
    `level`. Half an observation is given to the other side, as whole numbers may fall so.
    None where it would take over 100 million, as at `allowed` itself.
    """

    def shown(n: float) -> bool:
        if share < allowed:
            return p_at_most(min(n, share * n + 0.5), n, allowed) <= level
        return p_at_least(max(0.0, share * n - 0.5), n, allowed) <= level

    too_few, enough = 1, 2
    while not shown(enough):
        if enough > MOST_REQUESTS:
            return None
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        too_few, enough = (too_few, middle) if shown(middle) else (middle, enough)
    return enough


def _check(k: float, n: float) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"k={k} of n={n} is not a share")
