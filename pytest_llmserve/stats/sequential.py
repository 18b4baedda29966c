"""A share judged again and again while its observations come in.

The evidence of `stats.mixture` may be looked at as often as one likes. What it cannot
know is how much neighbours are alike: that is estimated at each look anew, and early looks
see too little of it. So no look before 100 observations shows a share to be exceeded and none
before 250 shows it to be kept, and each reckons with the largest inflation found at it or at any look
since half as many. Without this a queue at 50 to 80 % load is wrongly shown to keep its p90 in 20 % of
simulated runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_llmserve.stats import mixture
from pytest_llmserve.stats.dependence import inflation_of
from pytest_llmserve.stats.means import in_common
from pytest_llmserve.stats.sums import as_array

if TYPE_CHECKING:
    from pytest_llmserve.stats.mixture import Array
    from pytest_llmserve.stats.sums import Values

FIRST_LOOK = 40
FIRST_FAIL = 100
FIRST_PASS = 250
_STEP = 20
_GROWTH = 1.1
_MEMORY = 2
_LAST_LOOKS = 8
TOO_MANY = 10_000_000
_MOST_OF_A_LOOK = 20_000
"""Values by which inflation is estimated at a look: of more than that, the last so many tell."""


def looks(n: int) -> Iterator[int]:
    """How many observations there are at each look: 40, 60, ... 220, then each a tenth more; up to n."""
    at = FIRST_LOOK
    while at <= n:
        yield at
        at = max(at + _STEP, int(at * _GROWTH))


@dataclass(frozen=True)
class Course:
    """How the evidence on a share went, look by look; arrays of one length.

    Attributes:
        allowed: the share it is held against.
        n: observations at each look.
        bad: bad ones among them.
        inflation: k and n are divided by it before the share is shown to be exceeded.
        caution: they are divided by it before the share is shown to be kept.
    """

    allowed: float
    n: Array
    bad: Array
    inflation: Array
    caution: Array

    @cached_property
    def p_within(self) -> float:
        """Anytime-valid: how likely it is to ever see so few bad ones if the share were just exceeded."""
        return float(self._shown[0].min(initial=1.0))

    @cached_property
    def p_beyond(self) -> float:
        """Anytime-valid: how likely it is to ever see so many bad ones if the share were just kept."""
        return float(self._shown[1].min(initial=1.0))

    @property
    def last(self) -> tuple[float, float]:
        """Inflation and caution as of the last look; 1 before the first."""
        if not len(self.n):
            return 1.0, 1.0
        return float(self.inflation[-1]), float(self.caution[-1])

    @property
    def worst(self) -> float:
        """The largest share of bad ones at any look that can decide; 0 before."""
        decisive = self.n >= FIRST_FAIL
        return float((self.bad[decisive] / self.n[decisive]).max()) if decisive.any() else 0.0

    def bounds(self, confidence: float) -> tuple[float, float]:
        """A one-sided lower and a one-sided upper bound of the share, see `in_common`."""
        decisive = self.n >= FIRST_FAIL
        if not decisive.any():
            return 0.0, 1.0
        n, bad = self.n[decisive], self.bad[decisive]
        inflation, caution = self.inflation[decisive], self.caution[decisive]
        low = mixture.lower_bounds(bad / inflation, n / inflation, confidence)
        high = mixture.upper_bounds(bad / caution, n / caution, confidence)
        return in_common(low.tolist(), [1.0 if at < FIRST_PASS else h for at, h in zip(n, high, strict=True)])

    def value_bounds(self, values: Sequence[float], confidence: float) -> tuple[float, float]:
        """The same for the value that just the allowed share of `values` is beyond: a quantile.

        Each end is a value that was observed, or infinite (order statistics: Howard and
        Ramdas, Bernoulli 28, 2022).
        """
        import numpy as np

        low, high = [-np.inf], [np.inf]
        fewest = mixture.least_bad(self.n / self.inflation, self.allowed, confidence) * self.inflation
        most = mixture.most_bad(self.n / self.caution, self.allowed, confidence) * self.caution
        every = as_array(values)
        for place in self._telling_looks():
            n, few, many = int(self.n[place]), fewest[place], most[place]
            ordered = np.sort(every[:n])
            low.append(float(ordered[n - int(np.ceil(few))]) if few <= n else -np.inf)
            high.append(float(ordered[n - int(many) - 1]) if many >= 0 and n >= FIRST_PASS else np.inf)
        return in_common(low, high)

    def _telling_looks(self) -> Iterable[int]:
        """Where the evidence is greatest, and the last few: to sort the values at each costs too much."""
        import numpy as np

        decisive = np.flatnonzero(self.n >= FIRST_FAIL)
        if not len(decisive):
            return []
        greatest = (decisive[np.argmin(shown[decisive])] for shown in self._shown)
        return sorted({*map(int, greatest), *map(int, decisive[-_LAST_LOOKS:])})

    @cached_property
    def _shown(self) -> tuple[Array, Array]:
        """p-values of either side at each look; 1 at those too early to decide."""
        import numpy as np

        kept, _ = mixture.p_values(self.bad / self.caution, self.n / self.caution, self.allowed)
        _, exceeded = mixture.p_values(self.bad / self.inflation, self.n / self.inflation, self.allowed)
        return np.where(self.n >= FIRST_PASS, kept, 1.0), np.where(self.n >= FIRST_FAIL, exceeded, 1.0)


def course_of(
    marks: Values,
    allowed: float,
    values: Sequence[float] = (),
    level: float = 0.9,
    limit: float | None = None,
) -> Course:
    """Look at observations as they came in.

    Args:
        marks: True for a bad one, in the order they were sent.
        allowed: the share that may be bad.
        values: what the marks are made of, in the same order; none when that is not known.
        level: where the upper part of the values begins.
        limit: what the marks are beyond.
    """
    import numpy as np

    every = np.asarray(marks, bool)
    known = as_array(values)
    n = np.array(list(looks(len(every))), int)
    inflation, caution = np.ones(len(n)), np.ones(len(n))
    for place, at in enumerate(n):
        seen, so_far = every[max(0, at - _MOST_OF_A_LOOK) : at], known[max(0, at - _MOST_OF_A_LOOK) : at]
        ordered = np.sort(so_far)
        inflation[place], caution[place] = inflation_of(seen, so_far, level, ordered, limit)
    bad = np.cumsum(every)[n - 1] if len(n) else np.zeros(0)
    return Course(
        allowed, n.astype(float), bad.astype(float), _remembered(inflation, n), _remembered(caution, n)
    )


def decided_by(share: float, allowed: float, inflation: float, confidence: float) -> int | None:
    """How many observations decide, if their share of bad ones stays what it is; None = over 10 million."""
    needed = -math.log(1 - confidence)

    def decides(n: float) -> bool:
        below, above = mixture.log_evidence(share * n / inflation, n / inflation, allowed)
        return bool(above >= needed or (n >= FIRST_PASS and below >= needed))

    n = FIRST_FAIL
    while not decides(n):
        n = math.ceil(n * _GROWTH)
        if n > TOO_MANY:
            return None
    return n


def least_without_bad(allowed: float, confidence: float) -> int | None:
    """The first look that shows a share to be below `allowed` where none of independent ones is bad.

    None where it would come after 10 million.
    """
    needed = -math.log(1 - confidence)
    for n in looks(TOO_MANY):
        if n >= FIRST_PASS and mixture.log_evidence(0, n, allowed)[0] >= needed:
            return n
    return None


def _remembered(inflation: Array, n: Array) -> Array:
    """The largest inflation of a look and those since half as many observations."""
    import numpy as np

    first = np.searchsorted(n, n / _MEMORY)
    return np.array([inflation[start : place + 1].max() for place, start in enumerate(first)])
