"""What the plots of two runs are drawn from: both over one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pytest_llmserve.domain.measurement import RATES, SERIES, Measurement
from pytest_llmserve.domain.metrics import nearest_rank
from pytest_llmserve.reports.charts.quantiles import shares

BINS, PIECES, LEAST_A_PIECE = 40, 40, 5
"""Bins of a distribution; pieces of a course, and requests in each."""

Values = Sequence[float]


def curves(before: Measurement, after: Measurement) -> dict[str, Any]:
    """Of each series both runs as percentile curve, distribution and course; of each rate the course.

    `{"quantiles": {"e2e_ms": {"q", "before", "after"}}, "histograms": {"e2e_ms": {"ms", "before", "after"}},
    "course": {"e2e_ms": {"at", "before_p50", "before_p95", "after_p50", "after_p95", "never"}},
    "rates": {"requests_per_s": {"at", "before", "after"}}}`; `at` in percent of the run, shares in
    percent of all requests. A failed request is slower than all others, and None; "never" has the places in
    which failed ones reach each of the four.
    """
    found: dict[str, Any] = {"quantiles": {}, "histograms": {}, "course": {}, "rates": {}}
    for name in SERIES:
        sides = [_defined(side.series.get(name, ())) for side in (before, after)]
        if any(any(map(math.isfinite, side)) for side in sides):
            found["quantiles"][name] = _quantiles(*sides)
            found["histograms"][name] = _histogram(*sides)
            found["course"][name] = _course(*sides)
    for name in RATES:
        rates = [list(side.rates.get(name, ())) for side in (before, after)]
        if all(rates):
            found["rates"][name] = _rates(*rates)
    return found


def quantile_curve(values: Values, at: Sequence[float]) -> list[float | None]:
    """The quantile at each share, by nearest rank; None where failures reach it, or too few values do."""
    ordered = sorted(values)
    n = len(ordered)
    last = 1 - 1 / (2 * n) if n else -1.0
    return [_shown(ordered[nearest_rank(q, n) - 1]) if q <= last + 1e-12 else None for q in at]


def _quantiles(before: Values, after: Values) -> dict[str, Any]:
    at = sorted({*shares(len(before)), *shares(len(after))})
    return {"q": at, "before": quantile_curve(before, at), "after": quantile_curve(after, at)}


def _histogram(before: Values, after: Values) -> dict[str, Any]:
    """Shares over logarithmic bins, each told by its middle."""
    seen = [value for value in (*before, *after) if math.isfinite(value) and value > 0]
    low, high = (math.log(end) for end in (min(seen, default=1.0), max(seen, default=1.0)))
    width = max(high - low, 1e-6) / BINS
    edges = [low + width * step for step in range(BINS + 1)]
    return {
        "ms": [_shown(math.exp(edge + width / 2)) for edge in edges[:-1]],
        "before": _shares(before, low, width),
        "after": _shares(after, low, width),
    }


def _shares(values: Values, low: float, width: float) -> list[float]:
    counts = [0] * BINS
    for value in values:
        if math.isfinite(value) and value > 0:
            counts[min(BINS - 1, int((math.log(value) - low) / width))] += 1
    return [round(100 * count / len(values), 4) if values else 0.0 for count in counts]


def _course(before: Values, after: Values) -> dict[str, Any]:
    """Median and p95 of pieces of the run that follow each other, in the order of sending."""
    pieces = max(1, min(PIECES, *(len(side) // LEAST_A_PIECE for side in (before, after) if side)))
    found: dict[str, Any] = {"at": _middles(pieces), "never": {}}
    for name, values in (("before", before), ("after", after)):
        cut = [sorted(values[_at(n, pieces, values) : _at(n + 1, pieces, values)]) for n in range(pieces)]
        for quantile, q in (("p50", 0.5), ("p95", 0.95)):
            line = [piece[nearest_rank(q, len(piece)) - 1] if piece else math.nan for piece in cut]
            found[f"{name}_{quantile}"] = [_shown(value) for value in line]
            found["never"][f"{name}_{quantile}"] = [place for place, v in enumerate(line) if v == math.inf]
    return found


def _rates(before: Values, after: Values) -> dict[str, Any]:
    """Both over as many slices as the finer of the two has: each instant has the rate of its slice."""
    slices = max(len(before), len(after))
    middles = _middles(slices)

    def over(values: Values) -> list[float | None]:
        return [_shown(values[min(len(values) - 1, int(at / 100 * len(values)))]) for at in middles]

    return {"at": middles, "before": over(before), "after": over(after)}


def _middles(pieces: int) -> list[float]:
    return [round(100 * (piece + 0.5) / pieces, 3) for piece in range(pieces)]


def _at(piece: int, pieces: int, values: Values) -> int:
    return piece * len(values) // pieces


def _defined(values: Values) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _shown(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
