"""How latencies of one run are spread: percentile curves, and a distribution of each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.charts.reference import REFERENCE
from pytest_llmserve.reports.html.plot import BARS, DASHED, LIMIT, LOG, PERCENTILE, Plot, Series
from pytest_llmserve.reports.html.plot_words import Row, few, figure_text, sentences

LATENCIES = (
    ("ttft_ms", "TTFT", "time to first token", "a"),
    ("itl_ms", "ITL", "inter-token latency", "c"),
    ("tpot_ms", "TPOT", "time per output token", "d"),
    ("e2e_ms", "e2e", "end-to-end latency", "b"),
)
"""Key of the document, short name, name, colour."""
SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
FARTHEST = 30
"""A limit so many times above the slowest would press the curves flat."""

Limit = tuple[str, float]


def curve_plots(charts: Mapping[str, Any], limits: Sequence[Limit]) -> list[Plot]:
    """Of one run; empty where no request was answered.

    Args:
        charts: "_charts" of the run.
        limits: ("p95 TTFT", ms), drawn up to the percentile they are of.
    """
    plots = [percentiles(charts["quantiles"], limits, charts.get(REFERENCE))]
    plots += [distribution(charts["histograms"][key], *names) for key, *names in LATENCIES]
    return [plot for plot in plots if plot is not None]


def percentiles(
    quantiles: Mapping[str, Any], limits: Sequence[Limit], beside: Mapping[str, Any] | None = None
) -> Plot | None:
    """The curves of all four latencies; failed requests, infinitely slow, cut them off.

    Args:
        quantiles: of the run.
        limits: as of `curve_plots`.
        beside: "reference" of its charts: the run it was compared with, drawn dashed.
    """
    curves = [
        Series(name, quantiles[key]["ms"], "ms", colour, x=quantiles[key]["q"])
        for key, name, _, colour in LATENCIES
        if any(value is not None for value in quantiles[key]["ms"])
    ]
    if not curves:
        return None
    highest = max(value for curve in curves for value in curve.values if value is not None)
    return Plot(
        id="percentiles",
        title="Percentiles",
        said=sentences(_said(curve) for curve in curves),
        x=(),
        x_name="percentile",
        x_unit="",
        y_name="ms",
        series=[*curves, *_beside(beside), *_limits(limits, highest)],
        x_scale=PERCENTILE,
        y_scale=LOG,
        heads=("percentile", *(f"{curve.name} ms" for curve in curves)),
        rows=[(word, *(_reached(curve, q) for curve in curves)) for word, q in SHARES.items()],
    )


def _beside(beside: Mapping[str, Any] | None) -> Iterator[Series]:
    if beside is None:
        return
    for key, name, _, colour in LATENCIES:
        if found := beside["quantiles"].get(key):
            yield Series(f"{name} of {beside['name']}", found["ms"], "ms", colour, DASHED, x=found["q"])


def _limits(limits: Sequence[Limit], highest: float) -> Iterator[Series]:
    for what, limit_ms in limits:
        word, _, rest = what.partition(" ")
        if word in SHARES and limit_ms <= FARTHEST * highest and rest:
            yield Series(
                f"limit {what} {figure_text(limit_ms, 'ms')}",
                [limit_ms, limit_ms],
                "ms",
                "fail",
                LIMIT,
                x=[0.0, SHARES[word]],
            )


def _at(curve: Series, q: float) -> float | None:
    """The curve at a share: at the next one it has, at its last behind that; None where failures reach it."""
    found = (value for share, value in zip(curve.x, curve.values, strict=True) if share >= q - 1e-9)
    return next(found, curve.values[-1])


def _said(curve: Series) -> str:
    values = ((word, _at(curve, SHARES[word])) for word in ("p50", "p95", "p99"))
    told = (f"{word} {'never (failed)' if ms is None else figure_text(ms, 'ms')}" for word, ms in values)
    return f"{curve.name} {', '.join(told)}"


def _reached(curve: Series, q: float) -> str:
    ms = _at(curve, q)
    return figure_text(math.inf if ms is None else ms)


def distribution(histogram: Mapping[str, Any], name: str, full: str, colour: str) -> Plot | None:
    """How many requests took how long, in bins that grow evenly; None without any."""
    edges, counts = histogram["edges"], histogram["n"]
    if not counts:
        return None
    what = "gaps" if name == "ITL" else "requests"
    most = max(range(len(counts)), key=counts.__getitem__)
    usual = f"most often {figure_text(edges[most])} to {figure_text(edges[most + 1], 'ms')}"
    failed = f"{histogram['failed']:,} failed and are not drawn" if histogram["failed"] else ""
    rows: list[Row] = [
        (f"{figure_text(low)} to {figure_text(high)}", f"{n:,}")
        for low, high, n in zip(edges, edges[1:], counts, strict=False)
    ]
    return Plot(
        id=f"distribution-{name.lower()}",
        title=f"Distribution of {name}",
        said=sentences([f"{sum(counts):,} {what} by {full}", usual, failed]),
        x=edges,
        x_name=full,
        x_unit="ms",
        y_name=what,
        # The last edge closes the last bar.
        series=[Series(name, [*counts, counts[-1]], what, colour, BARS)],
        x_scale=LOG,
        heads=("ms", what),
        rows=few(rows),
    )
