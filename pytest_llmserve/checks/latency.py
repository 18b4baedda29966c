"""Quantiles, mean and maximum of latencies against limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import (
    ALPHA,
    CONFIDENCE,
    Finding,
    Interval,
    conclude,
    counted,
    interval_basis,
    no_evidence,
    telling,
)
from pytest_llmserve.checks.generator import bottleneck, stamps_note
from pytest_llmserve.checks.series import FIGURES, Series, series_of
from pytest_llmserve.checks.shares import Share, share_of
from pytest_llmserve.checks.wording import about, compared, spread
from pytest_llmserve.domain.keywords import keyword, positive
from pytest_llmserve.domain.metrics import QUANTILES
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.verdict import FAIL, PASS, Verdict
from pytest_llmserve.stats.dependence import inflation_of, reach_of
from pytest_llmserve.stats.ergodic import lower_value
from pytest_llmserve.stats.means import FIRST_LOOK, Mean, MeanCourse, course_of_mean, look_sizes, mean_of
from pytest_llmserve.stats.quantile import quantile_interval
from pytest_llmserve.stats.sums import over


def _limit(statistic: str, figure: str) -> Any:
    return keyword(positive, doc=f"most {statistic} {figure} in milliseconds")


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Each named latency is within its limit; a failed request counts as infinitely slow.

    A quantile is judged by the share of requests over the limit (exact binomial,
    neighbours discounted), a mean by Student's t, a maximum by the sample alone.
    """

    name: ClassVar[str] = "latency"
    stops_early: ClassVar[bool] = True

    p50_ms: float | None = _limit("p50", "end-to-end latency")
    p90_ms: float | None = _limit("p90", "end-to-end latency")
    p95_ms: float | None = _limit("p95", "end-to-end latency")
    p99_ms: float | None = _limit("p99", "end-to-end latency")
    p999_ms: float | None = _limit("p99.9", "end-to-end latency")
    mean_ms: float | None = _limit("mean", "end-to-end latency")
    max_ms: float | None = _limit("maximum", "end-to-end latency")

    e2e_p50_ms: float | None = _limit("p50", "end-to-end latency")
    e2e_p90_ms: float | None = _limit("p90", "end-to-end latency")
    e2e_p95_ms: float | None = _limit("p95", "end-to-end latency")
    e2e_p99_ms: float | None = _limit("p99", "end-to-end latency")
    e2e_p999_ms: float | None = _limit("p99.9", "end-to-end latency")
    e2e_mean_ms: float | None = _limit("mean", "end-to-end latency")
    e2e_max_ms: float | None = _limit("maximum", "end-to-end latency")

    ttft_p50_ms: float | None = _limit("p50", "time to first token")
    ttft_p90_ms: float | None = _limit("p90", "time to first token")
    ttft_p95_ms: float | None = _limit("p95", "time to first token")
    ttft_p99_ms: float | None = _limit("p99", "time to first token")
    ttft_p999_ms: float | None = _limit("p99.9", "time to first token")
    ttft_mean_ms: float | None = _limit("mean", "time to first token")
    ttft_max_ms: float | None = _limit("maximum", "time to first token")

    itl_p50_ms: float | None = _limit("p50", "inter-token latency")
    itl_p90_ms: float | None = _limit("p90", "inter-token latency")
    itl_p95_ms: float | None = _limit("p95", "inter-token latency")
    itl_p99_ms: float | None = _limit("p99", "inter-token latency")
    itl_p999_ms: float | None = _limit("p99.9", "inter-token latency")
    itl_mean_ms: float | None = _limit("mean", "inter-token latency")
    itl_max_ms: float | None = _limit("maximum", "inter-token latency")

    tpot_p50_ms: float | None = _limit("p50", "time per output token")
    tpot_p90_ms: float | None = _limit("p90", "time per output token")
    tpot_p95_ms: float | None = _limit("p95", "time per output token")
    tpot_p99_ms: float | None = _limit("p99", "time per output token")
    tpot_p999_ms: float | None = _limit("p99.9", "time per output token")
    tpot_mean_ms: float | None = _limit("mean", "time per output token")
    tpot_max_ms: float | None = _limit("maximum", "time per output token")

    def __post_init__(self) -> None:
        given = [f.name for f in fields(self) if getattr(self, f.name) is not None]
        if not given:
            raise ValueError("needs at least one limit, such as p99_ms=2200")
        twice = [name for name in given if f"e2e_{name}" in given]
        if twice:
            raise ValueError(
                "; ".join(f"{name} and e2e_{name} are the same limit: give one" for name in twice)
            )

    def limits(self) -> Iterator[tuple[str, str, float]]:
        """(figure, statistic, limit in ms) of each limit given: ("ttft", "p95", 300.0)."""
        for field in fields(self):
            limit_ms = getattr(self, field.name)
            if limit_ms is not None:
                figure, _, statistic = field.name.removesuffix("_ms").rpartition("_")
                yield figure or "e2e", statistic, limit_ms

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each run and limit."""
        if not evidence.runs:
            return [
                no_evidence(self.name, _what(figure, statistic), limit_ms, evidence.no_run)
                for figure, statistic, limit_ms in self.limits()
            ]
        findings: list[Finding | Verdict] = []
        for index, run in enumerate(evidence.runs):
            findings += self._judge_run(run, evidence.label(index))
        return conclude(findings)

    def _judge_run(self, run: LoadResult, label: str) -> Iterator[Finding | Verdict]:
        known: dict[str, Series] = {}
        for figure, statistic, limit_ms in self.limits():
            if figure not in known:
                known[figure] = series_of(run, figure)
            what = _what(figure, statistic) + label
            missing = known[figure].missing
            if missing is not None:
                yield no_evidence(self.name, what, limit_ms, missing)
            else:
                yield _finding(known[figure], what, statistic, limit_ms, run)


@dataclass(frozen=True, kw_only=True)
class _Statistic:
    """A quantile, mean or maximum found; the words are those of `Finding`."""

    estimate: float
    interval: tuple[float, float] | None = None
    p_within: float = 1.0
    p_beyond: float = 1.0
    settled: str | None = None
    basis: str = ""
    doubt: str | Callable[[float], str] = ""


def _finding(series: Series, what: str, statistic: str, limit_ms: float, run: LoadResult) -> Finding:
    generator = run.generator
    found = _statistic(series, statistic, limit_ms, sequential=run.plan.until is not None)
    return Finding(
        check=Latency.name,
        what=what,
        limit=limit_ms,
        estimate=found.estimate,
        interval=found.interval,
        n=len(series.values_ms),
        holds=found.estimate <= limit_ms,
        p_within=found.p_within,
        p_beyond=found.p_beyond,
        settled=FAIL if series.failed == len(series.values_ms) else found.settled,
        head=f"{what} {compared(found.estimate, limit_ms, ' ms')}",
        basis=found.basis,
        note="; ".join(part for part in (series.failures, stamps_note(generator)) if part),
        doubt=found.doubt,
        spoiled=bottleneck(generator, limit_ms, found.estimate),
        gone=generator.server_gone,
        looked_at=run.plan.until is not None,
    )


def _statistic(series: Series, statistic: str, limit_ms: float, sequential: bool) -> _Statistic:
    if statistic == "max":
        return _maximum(series, limit_ms)
    if statistic == "mean":
        return _mean(series, limit_ms, sequential)
    return _quantile(series, statistic, limit_ms, sequential)


def _maximum(series: Series, limit_ms: float) -> _Statistic:
    largest = series.ordered[-1]
    verdict = PASS if largest <= limit_ms else FAIL
    return _Statistic(estimate=largest, settled=verdict, basis=f"n={len(series.values_ms)}")


def _mean(series: Series, limit_ms: float, sequential: bool) -> _Statistic:
    if series.failed:
        return _Statistic(estimate=math.inf, settled=FAIL)
    mean = mean_of(series.values_ms)
    known = course_of_mean(series.values_ms) if sequential else mean
    p_within, p_beyond = known.p_at_most(limit_ms), known.p_at_least(limit_ms)
    one_sided = known.interval(2 * CONFIDENCE - 1)
    interval = telling(known.interval(CONFIDENCE), one_sided, limit_ms, p_within, p_beyond)
    sample = counted(len(series.values_ms), mean.inflation)
    return _Statistic(
        estimate=mean.mean,
        interval=interval,
        p_within=p_within,
        p_beyond=p_beyond,
        basis=interval_basis(spread(*interval, " ms"), sample),
        doubt=partial(_doubt_of_mean, series, known, limit_ms),
    )


def _doubt_of_mean(series: Series, known: Mean | MeanCourse, limit_ms: float, level: float) -> str:
    n, looked_at = len(series.values_ms), isinstance(known, MeanCourse)
    least = FIRST_LOOK if looked_at else 2
    if n < least:
        return f"a mean needs {least} {series.noun}"
    mean = known.looks[-1] if isinstance(known, MeanCourse) else known
    times = known.times_needed(limit_ms, level if mean.mean > limit_ms else ALPHA)
    if times is None:
        return f"no number of {series.noun} would tell if mean and spread stay"
    size = [*look_sizes(n)][-1] if looked_at else n
    more = f"{about(size * times)} {series.noun} would tell if mean and spread stay"
    return f"{more}: raise max_duration or requests" if looked_at else more


def _quantile(series: Series, statistic: str, limit_ms: float, sequential: bool) -> _Statistic:
    q = QUANTILES[statistic]
    values_ms, level = series.values_ms, min(q, 0.9)
    marks = over(values_ms, limit_ms)
    beyond = share_of(marks, 1 - q, values_ms, level, series.ordered, limit_ms, sequential=sequential)
    interval = telling(*_intervals(series, q, beyond, limit_ms), limit_ms, beyond.p_within, beyond.p_beyond)
    sample = counted(len(values_ms), beyond.caution)
    return _Statistic(
        estimate=series.quantile(q),
        interval=interval,
        p_within=beyond.p_within,
        p_beyond=beyond.p_beyond,
        basis=interval_basis(spread(*interval, " ms"), sample),
        doubt=lambda level: beyond.doubt(
            _spoken(statistic), series.noun, "over the limit", level=level, told=False
        ),
    )


def _intervals(series: Series, q: float, beyond: Share, limit_ms: float) -> tuple[Interval, Interval]:
    """Two-sided, and one-sided bounds that stand beyond the limit exactly when the share over it decides."""
    values_ms, ordered = series.values_ms, series.ordered
    around = inflation_of(over(values_ms, series.quantile(q), or_at=True), values_ms, min(q, 0.9), ordered)
    # Where neighbours are alike and nothing was discounted all the same, no more is shown than the reach.
    reach = reach_of(values_ms, ordered) if around.bold > 1 else None

    def bounds(confidence: float, inflation: float, caution: float) -> Interval:
        if beyond.course is not None:
            low, high = beyond.course.value_bounds(series.values_ms, confidence)
        else:
            low, _ = quantile_interval(series.ordered, q, 2 * confidence - 1, inflation)
            _, high = quantile_interval(series.ordered, q, 2 * confidence - 1, caution)
        if reach is not None and limit_ms >= reach.high:
            high = max(high, reach.high)
        if reach is not None and limit_ms <= reach.low:
            low = min(low, reach.low)
        return max(low, lower_value(series.ordered, 1 - q, confidence)), high

    wide = max(beyond.caution, around.bold)
    return bounds((1 + CONFIDENCE) / 2, wide, wide), bounds(CONFIDENCE, beyond.inflation, beyond.caution)


def _what(figure: str, statistic: str) -> str:
    return f"{_spoken(statistic)} {FIGURES[figure]}"


def _spoken(statistic: str) -> str:
    return "p99.9" if statistic == "p999" else statistic
