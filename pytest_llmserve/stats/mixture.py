"""Evidence on a share that may be looked at after every request: a test martingale.

For the hypothesis "the share is s or more" the likelihood of what was seen under some
smaller share, over its likelihood under s, is a martingale that starts at 1 when the share
is s, and falls when it is more; so is any mixture over the smaller shares. It ever reaches
1 / alpha with probability alpha at most (Ville, 1939; Robbins, Annals of Mathematical
Statistics 41, 1970; Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 49, 2021). The mixture
here is a Beta(1/2, (1 - s) / (2 s)) cut off at s, whose mean is s before the cut; it has a closed form.
The hypothesis "s or less" is met in the same way from the other side.

k and n may be fractions, divided by a variance inflation, and arrays, of the same shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[float64]

PRIOR = 0.5
_STEPS = 60
_LEAST_SHARE = 1e-12


def log_evidence(k: Any, n: Any, share: Any) -> tuple[Array, Array]:
    """Logarithms of the evidence that the true share is below `share`, and that it is above.

    Args:
        k: bad ones among n.
        n: observations.
        share: 0 < share < 1.
    """
    import numpy as np
    from scipy.special import betainc, betaincc, betaln

    k, n = np.asarray(k, float), np.asarray(n, float)
    share = np.clip(np.asarray(share, float), _LEAST_SHARE, 1 - _LEAST_SHARE)
    other = PRIOR * (1 - share) / share
    seen, unseen = PRIOR + k, other + n - k
    whole = betaln(seen, unseen) - betaln(PRIOR, other) - k * np.log(share) - (n - k) * np.log1p(-share)
    with np.errstate(divide="ignore"):  # no weight at all on that side: log 0
        below = whole + np.log(betainc(seen, unseen, share)) - np.log(betainc(PRIOR, other, share))
        above = whole + np.log(betaincc(seen, unseen, share)) - np.log(betaincc(PRIOR, other, share))
    return below, above


def p_values(k: Any, n: Any, share: float) -> tuple[Array, Array]:
    """Anytime-valid p-values of "the share is `share` or more" and of "it is `share` or less"."""
    import numpy as np

    below, above = log_evidence(k, n, share)
    return np.exp(-np.maximum(below, 0)), np.exp(-np.maximum(above, 0))


def upper_bounds(k: Any, n: Any, confidence: float) -> Array:
    """Upper bound of the share behind each k of n: the least that is certain to be over the true share."""
    import numpy as np

    def certain(share: Array) -> Any:
        return log_evidence(k, n, share)[0] >= -math.log(1 - confidence)

    k, n = np.asarray(k, float), np.asarray(n, float)
    estimate = np.divide(k, n, out=np.ones_like(k), where=n > 0)
    return _turn(certain, np.ones_like(k), estimate)


def lower_bounds(k: Any, n: Any, confidence: float) -> Array:
    """Lower bound of the share behind each k of n."""
    import numpy as np

    def certain(share: Array) -> Any:
        return log_evidence(k, n, share)[1] >= -math.log(1 - confidence)

    k, n = np.asarray(k, float), np.asarray(n, float)
    estimate = np.divide(k, n, out=np.zeros_like(k), where=n > 0)
    return _turn(certain, np.zeros_like(k), estimate)


def most_bad(n: Any, share: float, confidence: float) -> Array:
    """The most bad ones of n that still show the share to be below `share`; negative where none would do."""
    import numpy as np

    n = np.asarray(n, float)
    needed = -math.log(1 - confidence)
    most = _turn(lambda k: log_evidence(k, n, share)[0] >= needed, np.zeros_like(n), share * n)
    return np.where(log_evidence(np.zeros_like(n), n, share)[0] >= needed, most, -1.0)


def least_bad(n: Any, share: float, confidence: float) -> Array:
    """The fewest bad ones of n that show the share to be above `share`; over n where all would not do."""
    import numpy as np

    n = np.asarray(n, float)
    needed = -math.log(1 - confidence)
    least = _turn(lambda k: log_evidence(k, n, share)[1] >= needed, n, share * n)
    return np.where(log_evidence(n, n, share)[1] >= needed, least, n + 1)


def _turn(certain: Callable[[Array], Any], sure: Array, unsure: Array) -> Array:
    """Where certainty turns, between a value where there is most of it and one where there is none."""
    import numpy as np

    sure, unsure = sure.copy(), unsure.copy()
    for _ in range(_STEPS):
        middle = (sure + unsure) / 2
        holds = certain(middle)
        sure, unsure = np.where(holds, middle, sure), np.where(holds, unsure, middle)
    return sure
