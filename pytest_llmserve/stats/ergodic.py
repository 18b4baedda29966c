"""What a share of bad ones shows however much neighbours are alike.

The mean share of bad ones is the true share, so a sample in which it is x times as large is
seen with probability 1 / x at most (Markov's inequality). For a stationary server the same holds
of the largest share ever seen, at whatever moment (maximal ergodic theorem: Wiener, Duke Mathematical
Journal 5, 1939): so it may be looked at all the time. It shows a share to be exceeded 20 times, no
less; but it needs nothing to be known of neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def p_at_least(found: float, share: float) -> float:
    """P of a share this high or higher if the true share were `share`, at most."""
    return min(1.0, share / found) if found > 0 else 1.0


def lower_bound(found: float, confidence: float) -> float:
    """One-sided lower bound of the true share where `found` was seen."""
    return found * (1 - confidence)


def lower_value(ordered: Sequence[float], share: float, confidence: float) -> float:
    """A value that more than `share` of all values are certain to be beyond: observed, or -inf.

    Args:
        ordered: the values, smallest first.
        share: 0.01 for the 99th percentile.
        confidence: that it is so.
    """
    beyond = math.ceil(len(ordered) * share / (1 - confidence) - 1e-9)
    return ordered[-beyond] if 0 < beyond <= len(ordered) else -math.inf
