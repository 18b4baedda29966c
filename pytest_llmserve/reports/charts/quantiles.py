"""A distribution as the curve of its quantiles, finer and finer towards the slowest."""

from __future__ import annotations

import math
from typing import Any

from pytest_llmserve.domain.metrics import QUANTILES, Distribution
from pytest_llmserve.reports.charts.rounding import short

MOST_POINTS = 120


def quantiles(values: Distribution) -> dict[str, Any]:
    """{"q": [...], "ms": [...], "n"}: nearest rank at q from 0 to 1 - 1/(2n), whose rank is the last.

    The shares lie evenly on -log10(1 - q), as HdrHistogram draws them, and the usual percentiles are among
    them. None where failed requests, which are infinitely slow, reach the quantile.
    """
    found = shares(values.n)
    return {"q": found, "ms": [short(values.quantile(q), 4) for q in found], "n": values.n}


def shares(n: int) -> list[float]:
    """The shares of so many values, to plot their quantiles at."""
    if not n:
        return []
    last = 1 - 1 / (2 * n)
    usual = [q for q in QUANTILES.values() if q < last]
    number = min(2 * n, MOST_POINTS - len(usual)) - 1
    reach = -math.log10(1 - last)
    spread = [1 - 10 ** (-reach * step / number) for step in range(number)] if number else []
    return sorted({round(q, 9) for q in (*spread, *usual)} | {last})
