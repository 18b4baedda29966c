"""Requests and tokens per second in the steady window."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import ClassVar

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import (
    ALPHA,
    CONFIDENCE,
    Finding,
    conclude,
    interval_basis,
    no_evidence,
    telling,
)
from pytest_llmserve.checks.generator import bottleneck
from pytest_llmserve.checks.series import nothing_sent, uncounted
from pytest_llmserve.checks.wording import compared, failures, spread
from pytest_llmserve.domain.keywords import keyword, positive
from pytest_llmserve.domain.metrics import answers_reaching
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_S, duration_text
from pytest_llmserve.domain.verdict import FAIL, Verdict
from pytest_llmserve.stats.means import LOOK_GROWTH, Mean, MeanCourse, mean_of

MOST_SLICES = 20
LEAST_SLICES = 5
ANSWERS_A_SLICE = 5
FIRST_LOOK_NS = 2 * NS_PER_S

_WHAT = {"min_rps": "throughput", "min_tokens_per_s": "token throughput"}
_UNIT = {"min_rps": " requests/s", "min_tokens_per_s": " tokens/s"}


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """The server answers at least so many requests, or tokens, per second.

    Judged over the steady window, cut into 5 to 20 equal slices with 5 answers or more in
    each on average; Student's t over the rates of the slices.
    """

    name: ClassVar[str] = "throughput"
    stops_early: ClassVar[bool] = True

    min_rps: float | None = keyword(positive, doc="least answered requests per second")
    min_tokens_per_s: float | None = keyword(positive, doc="least output tokens per second")

    def __post_init__(self) -> None:
        if self.min_rps is None and self.min_tokens_per_s is None:
            raise ValueError("needs at least one of min_rps, min_tokens_per_s")

    def limits(self) -> Iterator[tuple[str, float]]:
        """(keyword, limit) of each limit given."""
        for keyword_name in _WHAT:
            limit = getattr(self, keyword_name)
            if limit is not None:
                yield keyword_name, limit

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each run and limit."""
        if not evidence.runs:
            return [
                no_evidence(self.name, _WHAT[kind], limit, evidence.no_run) for kind, limit in self.limits()
            ]
        return conclude(
            [
                _judge(run, kind, _WHAT[kind] + evidence.label(index), limit)
                for index, run in enumerate(evidence.runs)
                for kind, limit in self.limits()
            ]
        )


def _judge(run: LoadResult, kind: str, what: str, limit: float) -> Finding | Verdict:
    missing = _missing(run, kind)
    if missing is not None:
        return no_evidence(Throughput.name, what, limit, missing)
    answered = _answered_within(run)
    rates = _rates(run, kind)
    figures = run.throughput
    estimate = figures.requests_per_s if kind == "min_rps" else figures.output_tokens_per_s
    if not run.ok:
        estimate = 0.0  # the last answers of the warm-up are no evidence then
    sample = f"n={len(answered)}" + _source(run, kind)
    interval = None if rates is None else _interval(rates, limit)
    return Finding(
        check=Throughput.name,
        what=what,
        limit=limit,
        estimate=estimate,
        interval=interval,
        n=len(answered),
        holds=estimate >= limit,
        p_within=1.0 if rates is None else rates.p_at_least(limit),
        p_beyond=1.0 if rates is None else rates.p_at_most(limit),
        settled=None if run.ok else FAIL,
        head=f"{what} {compared(estimate, limit, _UNIT[kind], at_least=True)}",
        basis=sample if interval is None else interval_basis(spread(*interval, _UNIT[kind]), sample),
        note=failures(run.tried) or "",
        doubt=partial(_doubt, run, rates, limit),
        spoiled=bottleneck(run.generator),
        gone=run.generator.server_gone,
        looked_at=run.plan.until is not None,
    )


def _rates(run: LoadResult, kind: str) -> Mean | MeanCourse | None:
    """The mean of the rates in slices, or one at each look; None of too few."""
    ends_ns = [run.steady_ns[1]] if run.plan.until is None else list(_looks_ns(run))
    found = [mean_of(rates) for rates in slice_rates(run, kind, ends_ns) if rates]
    if not found:
        return None
    return found[0] if run.plan.until is None else MeanCourse(tuple(found))


def _looks_ns(run: LoadResult) -> Iterator[int]:
    """When the steady window is looked at: after its first 2 s, then after half as much more each time."""
    start_ns, stop_ns = run.steady_ns
    length_ns = FIRST_LOOK_NS
    while start_ns + length_ns <= stop_ns:
        yield start_ns + length_ns
        length_ns = round(length_ns * LOOK_GROWTH)


def _interval(rates: Mean | MeanCourse, limit: float) -> tuple[float, float]:
    one_sided = rates.interval(2 * CONFIDENCE - 1)
    p_below, p_above = rates.p_at_most(limit), rates.p_at_least(limit)
    low, high = telling(rates.interval(CONFIDENCE), one_sided, limit, p_below, p_above)
    return (max(0.0, low) if math.isfinite(low) else low), high


def _missing(run: LoadResult, kind: str) -> str | None:
    if not run.tried:
        return nothing_sent(run)
    if run.throughput.window_s <= 0:
        return "the steady window is empty: run longer, or with less warm_up and ramp_up"
    if kind != "min_tokens_per_s" or not run.ok:
        return None
    return uncounted(answers_reaching(run.everything, run.steady_ns[0]) or run.ok)


def _source(run: LoadResult, kind: str) -> str:
    estimated = kind == "min_tokens_per_s" and run.throughput.tokens_from == "estimated"
    return ", tokens estimated from the number of chunks" if estimated else ""


def _doubt(run: LoadResult, rates: Mean | MeanCourse | None, limit: float, level: float) -> str:
    looked_at = run.plan.until is not None
    if rates is None:
        least = f"{LEAST_SLICES * ANSWERS_A_SLICE} answers in the steady window are needed"
        return f"{least}, and {duration_text(FIRST_LOOK_NS)} of it" if looked_at else least
    last = rates.looks[-1] if isinstance(rates, MeanCourse) else rates
    # A longer window has longer slices, of a steadier rate; their number stays near what it is.
    times = rates.times_needed(limit, level if last.mean < limit else ALPHA, most_freedom=last.freedom)
    if times is None:
        return "no longer run would tell if rate and spread stay"
    start_ns, stop_ns = run.steady_ns
    if looked_at:
        *_, looked_ns = _looks_ns(run)
        times *= (looked_ns - start_ns) / (stop_ns - start_ns)
    times = math.ceil(10 * times) / 10
    window = duration_text(round(times * (stop_ns - start_ns)))
    more = f"a steady window {times:.1f} times as long, {window}, would tell if rate and spread stay"
    return f"{more}: raise max_duration or requests" if looked_at else more


def _answered_within(run: LoadResult) -> list[int]:
    """Ends in the steady window, of warm-up requests too, smallest first; none without a measured answer."""
    start_ns, stop_ns = run.steady_ns
    answered = answers_reaching(run.everything, start_ns) if run.ok else []
    return sorted(r.end_ns for r in answered if r.end_ns is not None and r.end_ns < stop_ns)


def slice_rates(run: LoadResult, kind: str, ends_ns: Sequence[int]) -> list[list[float]]:
    """For each part of the steady window, from its start to an end, the rates per second in equal slices.

    None for a part with too few answers for five slices. A token counts where its chunk
    arrived, as in `domain.metrics.throughput`.
    """
    start_ns, answered = run.steady_ns[0], _answered_within(run)
    cuts = [_cuts(start_ns, end_ns, bisect_left(answered, end_ns)) for end_ns in ends_ns]
    edges = sorted({edge for part in cuts for edge in part})
    if kind == "min_rps":
        by_then: Sequence[float] = [bisect_left(answered, edge) for edge in edges]
    else:
        by_then = _tokens_by(answers_reaching(run.everything, start_ns), edges)
    so_far = dict(zip(edges, by_then, strict=True))
    return [
        [(so_far[after] - so_far[before]) * NS_PER_S / (after - before) for before, after in pairwise(part)]
        for part in cuts
    ]


def _cuts(start_ns: int, stop_ns: int, answers: int) -> list[int]:
    """Edges of 5 to 20 equal slices with 5 answers or more in each on average; none with too few answers."""
    slices = min(MOST_SLICES, answers // ANSWERS_A_SLICE)
    if slices < LEAST_SLICES:
        return []
    return [start_ns + (stop_ns - start_ns) * number // slices for number in range(slices + 1)]


def _tokens_by(records: Sequence[RequestRecord], edges_ns: Sequence[int]) -> list[float]:
    """Tokens that had come by each edge; each chunk carries its even share of the request's."""
    new = [0.0] * (len(edges_ns) + 1)  # between an edge and the one before it; the last after all of them
    for record in records:
        if not record.output_tokens or not record.token_ns:
            continue
        share = record.output_tokens / len(record.token_ns)
        stamps = sorted(record.token_ns)  # the wall clock behind the stamps may have been set meanwhile
        first, last = bisect_right(edges_ns, stamps[0]), bisect_right(edges_ns, stamps[-1])
        counted = 0
        for place in range(first, last):
            before = bisect_left(stamps, edges_ns[place])
            new[place] += share * (before - counted)
            counted = before
        new[last] += share * (len(stamps) - counted)
    return list(accumulate(new[:-1]))
