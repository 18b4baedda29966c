"""Stages that are often wanted, for `stages=` (users) and `rate_stages=` (requests per second) alike.

As in ``@pytest.mark.load(stages=spike(5, 50, before="1m", during="30s", after="2m"))``.
"""

from __future__ import annotations

from collections.abc import Sequence

Length = str | float
Stages = list[tuple[float | tuple[float, float], Length]]


def spike(
    base: float, peak: float, *, before: Length = "1m", during: Length = "30s", after: Length = "1m"
) -> Stages:
    """A sudden crowd: `base`, at once `peak`, and `base` again, to see whether the server recovers."""
    return [(base, before), (peak, during), (base, after)]


def soak(level: float, length: Length = "8h") -> Stages:
    """The same level for a long time, to see what grows."""
    return [(level, length)]


def stairs(levels: Sequence[float], each: Length = "1m") -> Stages:
    """One level after the other, to see where the server ends: ``stairs(range(10, 60, 10))``."""
    return [(level, each) for level in levels]


def climb(first: float, last: float, over: Length = "5m") -> Stages:
    """Evenly from one level to another."""
    return [((first, last), over)]
