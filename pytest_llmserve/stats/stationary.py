"""What a series is worth where neighbours are alike, by the stationary block bootstrap.

The bootstrap of Politis and Romano (Journal of the American Statistical Association 89, 1994)
draws blocks of random length from the series, as a circle. The variance that the mean of endless
many such series has is known in closed form (their Lemma 1), so nothing is drawn here: no seed,
and no noise of resampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_ALIKE = 0.999
"""Correlation of neighbours beyond which a series is one long slow spell."""


@dataclass(frozen=True)
class Worth:
    """How little a series tells.

    Attributes:
        inflation: variance of its mean, over what it would be if its values were independent; from 1.0
            to the number of its values: any series tells as much as one.
        freedom: degrees of freedom of that variance, 1 or more: the number of blocks less one.
    """

    inflation: float
    freedom: float

    def together(self, other: Worth) -> Worth:
        """This worth beside another series of the same kind: never better than their average.

        A series that chanced upon few slow spells shows little dependence just when its
        quantile is low, so what each says alone leans to the side of a difference.
        """
        average = (self.inflation + other.inflation) / 2
        return Worth(max(self.inflation, average), min(self.freedom, other.freedom))


def worth_of(series: NDArray[Any], alike: float | None = None) -> Worth:
    """The worth of a series in its order.

    The mean length of a block is (G/g)^(2/3) n^(1/3), which serves the bootstrap best (Politis
    and White, Econometric Reviews 23, 2004, with the correction of 2009), G and g read off an
    autoregression of the first order: G/g = 2r/(1-r^2), as in Andrews (Econometrica 59, 1991).
    r, which is too low in short series, is raised by (1+3r)/n (Kendall, Biometrika 41, 1954).
    The variance is then raised by what blocks of that length leave out, G/g over the length,
    and by n/(n - length) as the mean was taken from the same series.

    Args:
        series: numbers or marks, without infinite values.
        alike: correlation of neighbours, where it is better known than from this series.
    """
    import numpy as np

    n = len(series)
    if n < 3:
        return Worth(1.0, 1.0)
    lags = _autocovariance(series)
    if lags[0] <= 1e-12 * max(1.0, float(np.abs(series).max()) ** 2):
        return Worth(1.0, n - 1.0)
    r = float(lags[1] / lags[0]) if alike is None else alike
    r = min(MOST_ALIKE, max(0.0, r + (1 + 3 * r) / n))
    left_out = 2 * r / (1 - r * r)
    length = min(n / 2, max(1.0, (left_out**2 * n) ** (1 / 3)))
    inflation = _resampled(lags, length) * (1 + left_out / length) * n / (n - length)
    return Worth(min(float(n), max(1.0, inflation)), max(1.0, n / length - 1))


def resampled_inflation(series: NDArray[Any], length: float) -> float:
    """Variance of the mean of a stationary bootstrap, over that of a plain one.

    Lemma 1 of Politis and Romano: the weight of a lag is the chance that two values so far apart,
    either way round the circle, are drawn in one block.

    Args:
        series: two different values at least, none infinite.
        length: mean length of a block, 1 or more.
    """
    return _resampled(_autocovariance(series), length)


def neighbours_alike(series: NDArray[Any]) -> float:
    """Correlation of the ranks of neighbours: of the whole series, however long its tail."""
    import numpy as np

    if len(series) < 3:
        return 0.0
    ranks = np.searchsorted(np.sort(series), series).astype(float)
    ranks -= ranks.mean()
    spread = float(ranks @ ranks)
    return float(ranks[1:] @ ranks[:-1]) / spread if spread else 0.0


def _resampled(lags: NDArray[Any], length: float) -> float:
    import numpy as np

    n = len(lags)
    lag = np.arange(1, n)
    stays = 1 - 1 / length  # chance that a block goes on
    weight = (1 - lag / n) * stays**lag + (lag / n) * stays ** (n - lag)
    return 1 + 2 * float(weight @ lags[1:]) / float(lags[0])


def _autocovariance(series: NDArray[Any]) -> NDArray[Any]:
    """At lags 0 to n-1, each divided by n."""
    import numpy as np

    n = len(series)
    centred = series.astype(float)
    centred -= centred.mean()
    size = 1 << (2 * n - 1).bit_length()  # twice the series: the ends of a circle do not meet
    spectrum = np.fft.rfft(centred, size)
    lags: NDArray[Any] = np.fft.irfft(spectrum * spectrum.conj(), size)[:n] / n
    return lags
