"""The figures that two runs can be compared by."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_llmserve.checks.series import FIGURES
from pytest_llmserve.domain.measurement import SERIES, Measurement
from pytest_llmserve.domain.metrics import QUANTILES
from pytest_llmserve.stats.mean_shift import mean_shift
from pytest_llmserve.stats.rise import Rise, rise_of
from pytest_llmserve.stats.shift import Shift, quantile_shift

ERROR_RATE = "error_rate"

LATENCIES: dict[str, tuple[str, str]] = {
    f"{figure}_{quantile}": (figure, quantile)
    for figure in (name.removesuffix("_ms") for name in SERIES)
    for quantile in QUANTILES
}
"""Name of a metric -> (figure, quantile)."""

THROUGHPUTS: dict[str, tuple[str, str, str]] = {
    "throughput": ("requests_per_s", "throughput", " requests/s"),
    "output_tokens_per_s": ("output_tokens_per_s", "token throughput", " tokens/s"),
}
"""Name of a metric -> (rate in a measurement, name in a sentence, unit)."""

METRICS = (*LATENCIES, ERROR_RATE, *THROUGHPUTS)

_LEAST_SLICES = 5


def metric_words(metric: str) -> str:
    """Name of a metric in a sentence: "p95 e2e latency"."""
    if metric in THROUGHPUTS:
        return THROUGHPUTS[metric][1]
    if metric == ERROR_RATE:
        return "error rate"
    figure, quantile = LATENCIES[metric]
    return f"{'p99.9' if quantile == 'p999' else quantile} {FIGURES[figure]}"


def figure_shift(before: Measurement, after: Measurement, metric: str) -> Shift | str:
    """How much a latency or throughput of one run differs from that of another.

    Returns:
        The shift, or why there is none, as a clause.

    Raises:
        KeyError: a metric that is neither; the error rate has a rise.
    """
    if metric in THROUGHPUTS:
        return _throughput_shift(before, after, metric)
    figure, quantile = LATENCIES[metric]
    values = [_defined(side.series.get(f"{figure}_ms", ())) for side in (before, after)]
    empty = [where for where, found in zip(("there", "here"), values, strict=True) if not found]
    if empty:
        return f"no request has a {FIGURES[figure]} {' and '.join(empty)}"
    return quantile_shift(values[0], values[1], QUANTILES[quantile])


def error_rise(before: Measurement, after: Measurement) -> Rise:
    """How much higher the share of failed requests is than it was.

    Raises:
        ValueError: no request was sent on one side.
    """
    marks = [[math.isinf(value) for value in side.series.get("e2e_ms", ())] for side in (before, after)]
    return rise_of(marks[0], marks[1])


def _throughput_shift(before: Measurement, after: Measurement, metric: str) -> Shift | str:
    rate, _, _ = THROUGHPUTS[metric]
    for side, where in ((before, "there"), (after, "here")):
        if math.isnan(side.throughput.get(rate, math.nan)):
            return f"it is not known {where}"
        if len(side.rates.get(rate, ())) < _LEAST_SLICES and side.throughput[rate] > 0:
            return f"too few answers in the steady window {where}: run longer"
    rates = [side.rates.get(rate, ()) or [0.0] * _LEAST_SLICES for side in (before, after)]
    return mean_shift(rates[0], rates[1])


def _defined(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]
