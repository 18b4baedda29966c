"""A run in equal stretches of time: what was sent and answered in each, and how fast."""

from __future__ import annotations

import math
from array import array
from typing import Any

from pytest_llmserve.domain.outcome import DROPPED, OK
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.reports.charts.axis import Axis, ended_ns
from pytest_llmserve.reports.charts.columns import Columns, numbers
from pytest_llmserve.reports.charts.rounding import short, shorts
from pytest_llmserve.stats.bins import Bins, quantiles_in, spread

MOST_BINS, FEWEST_BINS = 300, 10
_A_BIN = 10
"""So many requests should begin in a stretch on average, as long as there are few."""
_ENOUGH_FOR_P99 = 20
_STEPS_S = (
    *(m * 10**e for e in range(-4, 1) for m in (1, 2, 5)),
    10,
    15,
    20,
    30,
    60,
    120,
    300,
    600,
    1200,
    3600,
)
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_LATENCIES = {"e2e_ms": tuple(_QUANTILES), "ttft_ms": tuple(_QUANTILES), "tpot_ms": ("p50", "p95")}
NEVER = "never"
"""Key of the stretches in which failed requests reach a quantile."""


def over_time(run: LoadResult, columns: Columns, axis: Axis) -> dict[str, Any]:
    """At most 300 stretches: {"bin_s", "at_s": [the middle of each], "sent": [...], ...}.

    Requests count as sent where they were sent, as ok, failed and in tokens where they ended or the tokens
    came, those of a warm-up too; `in_flight` is how many were under way on average. Latencies stand
    where a request began, of measured requests; one that failed is infinitely slow, as in all figures:
    a quantile that it reaches is None, and "never" has the places of these stretches.
    """
    bins = bins_of(axis, columns.n)
    if bins is None:
        return _nothing()
    records = run.everything
    sent_s = numbers(None if r.sent_ns is None else axis.seconds(r.sent_ns) for r in records)
    end_s = numbers(None if r.outcome == DROPPED else axis.seconds(ended_ns(r)) for r in records)
    ok = bins.counts(numbers(end if r.ok else None for r, end in zip(records, end_s, strict=True)))
    failed = bins.counts(numbers(None if r.ok else end for r, end in zip(records, end_s, strict=True)))
    return {
        "bin_s": round(bins.width_s, 6),
        "at_s": shorts(bins.middles),
        "sent": bins.counts(sent_s),
        "ok": ok,
        "failed": failed,
        "in_flight": shorts(bins.under_way(sent_s, end_s)),
        "requests_per_s": [short(count / bins.width_s) for count in ok],
        "output_tokens_per_s": _tokens_per_s(run, bins, axis),
        **_latencies(columns, bins),
    }


def bins_of(axis: Axis, requests: int) -> Bins | None:
    """Stretches of about a round number of seconds, as many as the requests fill; None without any length."""
    length_s = axis.end_s - axis.start_s
    if length_s <= 0:
        return None
    most = min(MOST_BINS, max(FEWEST_BINS, requests // _A_BIN))
    step_s = next((step for step in _STEPS_S if length_s / step <= most), length_s / most)
    return Bins(axis.start_s, axis.end_s, max(1, math.ceil(length_s / step_s - 1e-9)))


def _latencies(columns: Columns, bins: Bins) -> dict[str, Any]:
    told: dict[str, Any] = {NEVER: {}}
    for name, wanted in _LATENCIES.items():
        shares = [_QUANTILES[word] for word in wanted]
        least = [_ENOUGH_FOR_P99 if word == "p99" else 1 for word in wanted]
        lines = quantiles_in(bins, columns.at_s, _endless(columns, name), shares, least)
        told[name] = {word: shorts(line) for word, line in zip(wanted, lines, strict=True)}
        told[NEVER][name] = {
            word: [place for place, value in enumerate(line) if value == math.inf]
            for word, line in zip(wanted, lines, strict=True)
        }
    return told


def _endless(columns: Columns, name: str) -> array[float]:
    """This latency of each request: infinite where it failed, nothing where it was never sent."""
    values = getattr(columns, name)
    failed = {OK: None, DROPPED: math.nan}
    ends = [failed.get(word, math.inf) for word in columns.outcomes]
    rows = zip(values, (ends[place] for place in columns.outcome), strict=True)
    return numbers(value if end is None else end for value, end in rows)


def _tokens_per_s(run: LoadResult, bins: Bins, axis: Axis) -> list[float | None]:
    """None throughout where the tokens of some answer are not known."""
    answered = [r for r in run.everything if r.ok]
    if any(r.output_tokens is None for r in answered):
        return [None] * bins.number
    tokens = spread(
        bins, axis.zero_ns, [r.token_ns for r in answered], [r.output_tokens or 0 for r in answered]
    )
    return [short(count / bins.width_s) for count in tokens]


def _nothing() -> dict[str, Any]:
    flow = ("at_s", "sent", "ok", "failed", "in_flight", "requests_per_s", "output_tokens_per_s")
    told: dict[str, Any] = {"bin_s": 0.0} | {name: [] for name in flow}
    told[NEVER] = {name: {word: [] for word in words} for name, words in _LATENCIES.items()}
    return told | {name: {word: [] for word in words} for name, words in _LATENCIES.items()}
