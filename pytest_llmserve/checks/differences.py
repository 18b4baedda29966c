"""How two runs differ, figure by figure, with how sure that is, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_llmserve.checks.difference import (
    ERROR_RATE,
    LATENCIES,
    THROUGHPUTS,
    error_rise,
    figure_shift,
    metric_words,
)
from pytest_llmserve.checks.finding import CONFIDENCE
from pytest_llmserve.checks.shifted import change, change_spread
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.stats.shift import Shift

LOOKED_AT = (
    *(f"e2e_{quantile}" for quantile in ("p50", "p95", "p99")),
    *(f"ttft_{quantile}" for quantile in ("p50", "p95", "p99")),
    *("tpot_p50", "tpot_p95", ERROR_RATE, *THROUGHPUTS),
)
"""The figures that are told, as far as one of the two runs has them."""

_UNBOUNDED = "not known: too few independent requests to bound it; run longer"

MORE, LESS = {True: "more", False: "slower"}, {True: "less", False: "faster"}
"""Said of a rise, of a fall: whether it is of a rate or share, not of a time."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One figure of two runs.

    Attributes:
        metric: as in the `no_regression` marker.
        name: in a sentence, "p95 e2e latency".
        unit: of `before` and `after`: "ms", "requests/s", "tokens/s", "%".
        before, after: infinite = failed requests reach it; NaN = not known.
        change: in percent of `before`; of the error rate in percentage points; NaN where there is none.
        interval: of `change`; None = nothing can be said. The intervals of all figures that were
            compared hold together with `confidence`: each is that much wider (Bonferroni).
        n: requests, or slices of time, in each run.
        seen: the interval is on one side of 0; None = not known.
        detectable: the least change for the worse, in percent, that would have been seen; None = not known.
        worse: of what is seen, whether it is to the worse.
        sentence: "12% slower (95% interval 8 to 16%)".
    """

    metric: str
    name: str
    unit: str
    before: float
    after: float
    change: float = math.nan
    interval: tuple[float, float] | None = None
    confidence: float = CONFIDENCE
    n: tuple[int, int] = (0, 0)
    seen: bool | None = None
    detectable: float | None = None
    worse: bool | None = None
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Plain data; what has no number is None."""
        return {
            "metric": self.metric,
            "name": self.name,
            "unit": self.unit,
            **{key: _finite(getattr(self, key)) for key in ("before", "after", "change", "detectable")},
            "interval": None if self.interval is None else [_finite(end) for end in self.interval],
            "confidence": self.confidence,
            "n": list(self.n),
            "seen": self.seen,
            "worse": self.worse,
            "sentence": self.sentence,
        }


def differences(
    before: Measurement, after: Measurement, metrics: Sequence[str] = LOOKED_AT
) -> list[Difference]:
    """What can be told of each figure that at least one of the two has."""
    wanted = [metric for metric in metrics if _has(before, metric) or _has(after, metric)]
    among = max(1, len(wanted))
    return [
        _errors(before, after, among) if metric == ERROR_RATE else _figure(before, after, metric, among)
        for metric in wanted
    ]


def spread(interval: tuple[float, float], unit: str) -> str:
    """An interval on one side of 0, without signs: "8 to 16%", "8% and more"."""
    low, high = sorted(abs(end) for end in interval)
    if math.isinf(high):
        return f"{_written(low)[0]}{unit} and more"
    return f"{' to '.join(_written(low, high))}{unit}"


def _written(*percents: float) -> list[str]:
    """Without signs, with digits enough that what differs looks different, and what is not 0 not like 0."""
    texts: list[str] = []
    for least in range(6):
        texts = [_digits(abs(percent), least) for percent in percents]
        if len(set(texts)) == len({abs(percent) for percent in percents}):
            break
    return texts


def _digits(percent: float, least: int) -> str:
    texts = (change(percent, extra).lstrip("+") for extra in range(least, 7))
    return next((text for text in texts if float(text) or not percent), "0")


def _signed(low: float, high: float, unit: str) -> str:
    """An interval that holds 0: "-3.0 to +3.0%", "up to +95%"."""
    if math.isinf(low) or math.isinf(high):
        return change_spread(max(low, -100.0), high, unit)
    if low == high:
        return f"0{unit}"
    below, above = _written(low)[0], _written(high)[0]
    return f"{'-' if low < 0 else ''}{below} to {'+' if high > 0 else ''}{above}{unit}"


def _has(side: Measurement, metric: str) -> bool:
    if metric == ERROR_RATE:
        return bool(side.series.get("e2e_ms"))
    if metric in THROUGHPUTS:
        return not math.isnan(side.throughput.get(THROUGHPUTS[metric][0], math.nan))
    values = side.series.get(f"{LATENCIES[metric][0]}_ms", ())
    return any(math.isfinite(value) for value in values)


def _figure(before: Measurement, after: Measurement, metric: str, among: int) -> Difference:
    rate = metric in THROUGHPUTS
    unit = THROUGHPUTS[metric][2].strip() if rate else "ms"
    shift = figure_shift(before, after, metric)
    if isinstance(shift, str):
        known = (
            [side.throughput.get(THROUGHPUTS[metric][0], math.nan) for side in (before, after)]
            if rate
            else []
        )
        first, second = known or (math.nan, math.nan)
        return _named(metric, unit, first, second, f"not known: {shift}")
    shift = replace(shift, confidence=1 - (1 - CONFIDENCE) / among)
    return _shifted(_named(metric, unit, shift.before, shift.after), shift, rate)


def _named(metric: str, unit: str, before: float, after: float, sentence: str = "") -> Difference:
    return Difference(
        metric=metric, name=metric_words(metric), unit=unit, before=before, after=after, sentence=sentence
    )


def _shifted(known: Difference, shift: Shift, rate: bool) -> Difference:
    known = replace(known, n=(shift.n_before, shift.n_after))
    if math.isinf(shift.before) or math.isinf(shift.after):
        return _reached(known, shift)
    if shift.needed is not None:
        what = "slices of the steady window" if rate else "requests"
        return replace(known, sentence=f"not known: {shift.needed} {what} in each run are needed")
    if math.isnan(shift.ratio):
        return replace(known, sentence="not known: it is 0 in both runs")
    low, high = (math.inf if math.isinf(end) else end for end in (shift.low, shift.high))
    interval = (-math.inf if low <= -1 else 100 * low, 100 * high)
    alpha = (1 - shift.confidence) / 2
    least = shift.detectable_fall_at(alpha) if rate else shift.detectable
    detectable = None if math.isinf(least) or (rate and least >= 1) else 100 * least
    known = replace(known, change=100 * shift.ratio, interval=interval, detectable=detectable)
    return _told(known, "%", higher_is_worse=not rate)


def _reached(known: Difference, shift: Shift) -> Difference:
    """Failures reach the figure, in one run or both."""
    if math.isinf(known.before) and math.isinf(known.after):
        return replace(known, sentence="not known: failed requests reach this figure in both runs")
    worse = math.isinf(known.after)
    said = "failed requests reach this figure now" if worse else "failed requests no longer reach this figure"
    if shift.needed is None and (shift.low > 0 if worse else shift.high < 0):
        return replace(known, seen=True, worse=worse, sentence=said)
    return replace(known, sentence=f"not known: {said}, but that can be chance; more requests would tell")


def _errors(before: Measurement, after: Measurement, among: int) -> Difference:
    sides = [side.series.get("e2e_ms", ()) for side in (before, after)]
    known = _named(ERROR_RATE, "%", _share(sides[0]), _share(sides[1]))
    if not all(map(len, sides)):
        where = "there" if not len(sides[0]) else "here"
        return replace(known, sentence=f"not known: no request was sent {where}")
    rise = error_rise(before, after)
    low, high = rise.interval(1 - (1 - CONFIDENCE) / among)
    interval = max(-100.0, 100 * low), min(100.0, 100 * high)
    known = replace(known, change=100 * rise.points, interval=interval, n=(len(sides[0]), len(sides[1])))
    return _told(known, " percentage points", higher_is_worse=True)


def _share(values: Sequence[float]) -> float:
    return 100 * sum(map(math.isinf, values)) / len(values) if len(values) else math.nan


def _told(known: Difference, unit: str, *, higher_is_worse: bool) -> Difference:
    """With its sentence, and whether anything is seen."""
    assert known.interval is not None
    low, high = known.interval
    rose, fell = low > 0, high < 0
    sure = f"{100 * known.confidence:.0f}% interval"
    if not (rose or fell):
        if math.isinf(low) and math.isinf(high):
            return replace(known, interval=None, sentence=_UNBOUNDED)
        if known.detectable is not None:
            said = f"no difference seen, smallest detectable was {_written(known.detectable)[0]}{unit}"
        else:
            said = f"no difference seen ({sure} {_signed(low, high, unit)})"
        return replace(known, seen=False, sentence=said)
    word = (MORE if rose else LESS)[known.metric in THROUGHPUTS or known.metric == ERROR_RATE]
    said = f"{_written(known.change)[0]}{unit} {word} ({sure} {spread(known.interval, unit)})"
    return replace(known, seen=True, worse=rose == higher_is_worse, sentence=said)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 6)
