"""A level that fills towards a bound, on a line of its own: a + b x + c (1 - exp(-x / tau))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_llmserve.stats.trend import Slope, coefficient, worth

if TYPE_CHECKING:
    from pytest_llmserve.stats.trend import Array

SHORTEST, LONGEST = 0.01, 0.6
"""Bounds of tau, in lengths of the series. A slower filling cannot be told from a line."""


@dataclass(frozen=True)
class Filling:
    """The fit.

    Attributes:
        tau: in lengths of the series: after three of them 95 % is filled.
        beside: the slope b: what would go on when all is filled.
        squares: sum of squares it leaves.
        worth: how many independent residuals it leaves.
    """

    tau: float
    beside: Slope
    squares: float
    worth: float


def filling_of(x: Array, y: Array) -> Filling | None:
    """Fit a filling level and a line together; None when nothing fills (c <= 0).

    tau is searched on a grid and refined by Gauss-Newton; its uncertainty is in the error of b.
    x and y are readings in their order, 8 at least, the last x over the first.
    """
    import numpy as np

    length = x[-1] - x[0]
    share = (x - x[0]) / length
    grid = np.geomspace(2 * SHORTEST, 0.5, 30)
    squares, scales = zip(*(_fit(share, y, tau) for tau in grid), strict=True)
    at = int(np.argmin(np.where(np.array(scales) > 0, squares, np.inf)))
    if scales[at] <= 0:
        return None
    tau, left = _refined(share, y, float(grid[at]), float(squares[at]))
    terms = _terms(share, tau)
    beside = coefficient(terms, y, 1)
    rest = y - terms @ np.linalg.lstsq(terms, y, rcond=None)[0]
    slope = Slope(float(beside.per_x / length), float(beside.error / length), beside.freedom)
    return Filling(tau, slope, left, worth(rest))


def _terms(share: Array, tau: float) -> Array:
    """1, x, the filling, and its derivative by tau."""
    import numpy as np

    gone = np.exp(-share / tau)
    return np.stack([np.ones(len(share)), share, 1 - gone, -share / tau**2 * gone], 1)


def _fit(share: Array, y: Array, tau: float) -> tuple[float, float]:
    """(sum of squares left, c) at one tau."""
    import numpy as np

    terms = _terms(share, tau)[:, :3]
    fit = np.linalg.lstsq(terms, y, rcond=None)[0]
    rest = y - terms @ fit
    return float(rest @ rest), float(fit[2])


def _refined(share: Array, y: Array, tau: float, squares: float) -> tuple[float, float]:
    import numpy as np

    for _ in range(6):
        fit = np.linalg.lstsq(_terms(share, tau), y, rcond=None)[0]
        if fit[2] <= 0:
            break
        step = float(np.clip(fit[3] / fit[2], -0.3 * tau, 0.3 * tau))
        nearer = float(np.clip(tau + step, SHORTEST, LONGEST))
        left, scale = _fit(share, y, nearer)
        if left >= squares or scale <= 0:
            break
        tau, squares = nearer, left
    return tau, squares
