"""The slope of a line through readings whose neighbours are alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[float64]

MOST_ALIKE = 0.97
"""A serial correlation beyond this says no more than that the readings follow each other."""


@dataclass(frozen=True)
class Slope:
    """A slope and how sure it is: Student's t with its error and freedom.

    Attributes:
        per_x: rise of y for each unit of x.
        error: standard error, widened for neighbours that are alike.
        freedom: degrees of freedom: of as many readings as they are worth.
    """

    per_x: float
    error: float
    freedom: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Two-sided t interval."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.freedom, (1 + confidence) / 2)) * self.error
        return self.per_x - half, self.per_x + half

    def p_at_most(self, limit: float) -> float:
        """P of a slope this low or lower if the true one were `limit`: small = not above the limit."""
        if self.error == 0:
            return 0.0 if self.per_x <= limit else 1.0
        from scipy.special import stdtr

        return float(stdtr(self.freedom, (self.per_x - limit) / self.error))

    def p_at_least(self, limit: float) -> float:
        """P of a slope this high or higher if the true one were `limit`: small = above the limit."""
        if self.error == 0:
            return 0.0 if self.per_x > limit else 1.0
        from scipy.special import stdtr

        return float(stdtr(self.freedom, (limit - self.per_x) / self.error))


def residuals(x: Array, y: Array) -> Array:
    """What a line by least squares leaves of y; of y's mean where all x are one."""
    middle = x - x.mean()
    spread = middle @ middle
    slope = (middle @ y) / spread if spread > 0 else 0.0
    rest: Array = y - y.mean() - slope * middle
    return rest


def serial_correlation(rest: Array, nothing: float = 0.0) -> float:
    """Correlation of each residual with the next, 0 to 0.97, for a first-order autoregression.

    What a fit leaves looks less correlated than the noise was. With a line fitted the bias of
    -(2 + 4 rho) / n is taken off: of -2 rho / n without any fit, and -(1 + rho) / n for each of two
    terms (van Giersbergen, Economics Letters 89, 2005). `nothing` is a sum of squares into which
    nothing is read: what rounding leaves of an exact fit is no noise.
    """
    squares = rest @ rest + nothing
    if squares <= 0:
        return 0.0
    seen = float((rest[1:] @ rest[:-1]) / squares)
    return min(max(seen + (2 + 4 * seen) / len(rest), 0.0), MOST_ALIKE)


def worth(rest: Array, nothing: float = 0.0) -> float:
    """How many independent residuals would tell as much: n (1 - rho) / (1 + rho)."""
    alike = serial_correlation(rest, nothing)
    return len(rest) * (1 - alike) / (1 + alike)


def slope_of(x: Array, y: Array, least_alike: float = 0.0) -> Slope:
    """The slope of y over x by least squares, its error that of autoregressive noise.

    x and y are readings in their order, three at least, x not all one; `least_alike` is the serial
    correlation known from a longer series, of which this is a part.
    """
    import numpy as np

    return coefficient(np.stack([x - x.mean(), np.ones(len(x))], 1), y, 0, least_alike)


def coefficient(terms: Array, y: Array, which: int, least_alike: float = 0.0) -> Slope:
    """One coefficient of a linear fit, its error that of first-order autoregressive noise.

    With noise of correlation rho^lag between readings, the variance of the coefficient is w' C w,
    w its row of the pseudo-inverse; the residual sum of squares is divided by what it then expects.

    Args:
        terms: one column a term, shape (n, terms).
        y: n values.
        which: column of the coefficient wanted.
        least_alike: as in `slope_of`.
    """
    import numpy as np

    inverse = np.linalg.pinv(terms)
    fit = inverse @ y
    rest = y - terms @ fit
    alike = max(least_alike, serial_correlation(rest))
    places = np.arange(len(y))
    noise = alike ** np.abs(places[:, None] - places[None, :])
    row = inverse[which]
    in_one = float(row @ noise @ row)
    left = max(len(y) - float(np.trace(terms @ (inverse @ noise))), 1.0)
    inflation = max(1.0, in_one / float(row @ row))
    error = float(np.sqrt((rest @ rest) / left * in_one))
    return Slope(float(fit[which]), error, max(1.0, len(y) / inflation - terms.shape[1]))
