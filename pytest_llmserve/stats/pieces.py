"""A series cut into stretches, each with a line of its own, by dynamic programming."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from pytest_llmserve.stats.trend import residuals, worth

if TYPE_CHECKING:
    from pytest_llmserve.stats.trend import Array

LEAST = 3
"""Readings of a stretch: two lie on any line."""
MOST = 6
"""Stretches. A series of more is a staircase or has teeth: a line through all of it tells more."""
PRICE = 15.0
"""What a further stretch must gain, in units of n log(sum of squares). A line and the place of its beginning
are three terms more; independent noise gains as much in about 1 series of 100."""


def cuts_of(x: Array, y: Array, fine: float) -> list[int]:
    """Where new stretches begin; empty when one line does.

    x and y are readings in their order; a sum of squares below `fine` is taken for nothing.
    """
    import numpy as np

    fits = _best_cuts(x, y, min(MOST + 2, len(x) // (2 * LEAST)))
    at = 0
    while at + 1 < min(len(fits), MOST):
        # A flat stretch between two others takes two cuts: the first alone may gain little.
        ahead = fits[at + 1 : at + 3]
        n = worth(pieces_left(x, y, ahead[-1][1]), fine)
        gains = [
            n * np.log((fits[at][0] + fine) / (left + fine)) - PRICE * (step + 1)
            for step, (left, _) in enumerate(ahead)
        ]
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        at += best + 1
    return fits[at][1] if fits else []


def pieces_left(x: Array, y: Array, cuts: list[int]) -> Array:
    """Residuals of the lines through the stretches."""
    import numpy as np

    edges = [0, *cuts, len(x)]
    return np.concatenate([residuals(x[i:j], y[i:j]) for i, j in pairwise(edges)])


def gave_back(levels: Array) -> float:
    """The most by which levels ever fell below one before."""
    import numpy as np

    return float((np.maximum.accumulate(levels) - levels).max())


def falls(y: Array, cut: int, spread: float) -> bool:
    """True when the level drops at a cut at once, as when a heap is collected."""
    return float(y[cut : cut + 2].mean() - y[cut - 2 : cut].mean()) < -3 * spread


def shifts_of(x: Array, y: Array, fine: float) -> list[tuple[int, float]]:
    """Sudden shifts of a series that rises evenly otherwise: (the first reading after it, by how much).

    Shifts of level are added to one common slope, the best first, as long as each gains its price:
    one near an end of the series is found too, where no line of its own could be fitted.
    """
    import numpy as np

    n = len(x)
    terms = np.stack([np.ones(n), x - x.mean()], 1)
    places: list[int] = []
    steps = (np.arange(n)[:, None] >= np.arange(1, n)[None, :]).astype(float)
    while terms.shape[1] < 2 + MOST:
        base, _ = np.linalg.qr(terms)
        rest = y - base @ (base.T @ y)
        free = steps - base @ (base.T @ steps)
        size = (free * free).sum(0)
        gain = np.where(size > 1e-9, (free.T @ rest) ** 2 / np.maximum(size, 1e-9), 0.0)
        best = int(gain.argmax())
        after = rest - free[:, best] * (free[:, best] @ rest) / max(size[best], 1e-9)
        if worth(after, fine) * np.log((rest @ rest + fine) / (after @ after + fine)) < PRICE:
            break
        terms = np.column_stack([terms, steps[:, best]])
        places.append(best + 1)
    sizes = np.linalg.lstsq(terms, y, rcond=None)[0][2:]
    return sorted(zip(places, sizes.tolist(), strict=True))


def _best_cuts(x: Array, y: Array, most: int) -> list[tuple[float, list[int]]]:
    """For 1, 2, ... stretches: the least sum of squares, and the cuts that give it."""
    import numpy as np

    if most < 1:
        return []
    n = len(x)
    within = _squares_within(x, y)
    best, came_from = [within[0]], []
    for _ in range(most - 1):
        joined = best[-1][:, None] + within
        came_from.append(joined.argmin(0))
        best.append(joined.min(0))
    found = []
    for count in range(most):
        if not np.isfinite(best[count][n]):
            break
        cuts, end = [], n
        for step in reversed(came_from[:count]):
            end = int(step[end])
            cuts.append(end)
        found.append((float(best[count][n]), cuts[::-1]))
    return found


def _squares_within(x: Array, y: Array) -> Array:
    """[i, j]: sum of squares about the line through readings i..j-1; infinite below three of them."""
    import numpy as np

    x, y = x - x.mean(), y - y.mean()

    def between(values: Array) -> Array:
        sums = np.concatenate([[0.0], np.cumsum(values)])
        table: Array = sums[None, :] - sums[:, None]
        return table

    n, sx, sy = between(np.ones(len(x))), between(x), between(y)
    with np.errstate(divide="ignore", invalid="ignore"):
        xx = between(x * x) - sx * sx / n
        xy = between(x * y) - sx * sy / n
        yy = between(y * y) - sy * sy / n
        left = np.maximum(yy - np.where(xx > 1e-12, xy * xy / xx, 0.0), 0.0)
    return np.where(n >= LEAST, left, np.inf)
