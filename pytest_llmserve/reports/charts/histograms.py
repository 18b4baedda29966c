"""A distribution as counts in bins that grow evenly on a logarithmic scale."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise
from typing import Any

from pytest_llmserve.domain.metrics import Distribution, nearest_rank
from pytest_llmserve.reports.charts.rounding import significant

MOST_BINS, FEWEST_BINS = 60, 5
_LEAST_MS = 0.001
"""Chunks that came in one read are 0 apart, which has no place on a logarithmic scale."""
_FAR = 4
"""The few values this many times under the rest are counted in the first bin, not given an empty stretch."""


def histogram(values: Distribution) -> dict[str, Any]:
    """{"edges": [...], "n": [...], "failed"}: one edge more than counts, in ms.

    The first bin also has what is under its edge. The counts and `failed` together are all there were.
    """
    found = values.values_ms
    if not len(found):
        return {"edges": [], "n": [], "failed": values.failed}
    edges = _edges(_low(values), max(found[-1], _LEAST_MS), len(found))
    inner = [0, *(bisect_left(found, edge) for edge in edges[1:-1]), len(found)]
    return {
        "edges": edges,
        "n": [after - before for before, after in pairwise(inner)],
        "failed": values.failed,
    }


def _low(values: Distribution) -> float:
    found = values.values_ms
    usual = found[nearest_rank(0.001, len(found)) - 1]
    return max(found[0], usual / _FAR, _LEAST_MS)


def _edges(low: float, high: float, n: int) -> list[float]:
    if high <= low * 1.001:
        return [significant(low * 0.95), significant(high * 1.05)]
    bins = min(MOST_BINS, max(FEWEST_BINS, round(1.5 * math.sqrt(n))))
    ratio = (high / low) ** (1 / bins)
    edges = [significant(low * ratio**step, 6) for step in range(bins)]
    return sorted({*edges, significant(high, 6)})
