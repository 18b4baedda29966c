"""The end of a run against its beginning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import Finding, conclude, no_evidence
from pytest_llmserve.checks.generator import bottleneck
from pytest_llmserve.checks.series import FIGURES, begun_ns, in_order, nothing_sent
from pytest_llmserve.checks.shifted import Question, shift_finding
from pytest_llmserve.checks.wording import failures
from pytest_llmserve.domain.keywords import keyword, positive
from pytest_llmserve.domain.metrics import QUANTILES
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.stats.shift import quantile_shift

WHAT = "latency over the run"
PARTS = 4
"""The first and the last of so many equal parts are compared. Of a decay that is steady, quarters show most
of it (20 % over the run are 15 % between them) and still hold a quarter of the requests each."""

_FIGURES = (("e2e", "p50"), ("e2e", "p95"))
_STREAMED = (("ttft", "p50"),)


@dataclass(frozen=True)
class _Stretch:
    """The part of a run through which the load was the same."""

    records: Sequence[RequestRecord]
    where: str
    missing: str | None = None

    @property
    def size(self) -> int:
        """Requests in a quarter."""
        return len(self.records) // PARTS

    @property
    def ends(self) -> tuple[Sequence[RequestRecord], Sequence[RequestRecord]]:
        """Its first and its last quarter."""
        return self.records[: self.size], self.records[len(self.records) - self.size :]


@dataclass(frozen=True, kw_only=True)
class NoDegradation:
    """The last quarter of a run is at most so many percent slower than the first.

    Compared are the p50 of the end-to-end latency, which shows decay, its p95, which shows stalls,
    and the p50 of the TTFT where answers are streamed; a failed request counts as infinitely slow.
    With stages, the quarters are those of the longest stage of one level.
    """

    name: ClassVar[str] = "no_degradation"
    stops_early: ClassVar[bool] = False

    percent: float | None = keyword(positive, doc="most percent by which the end may be slower, such as 10")

    def __post_init__(self) -> None:
        if self.percent is None:
            raise ValueError("needs percent, by how much the end may be slower, such as percent=10")

    @property
    def _most(self) -> float:
        assert self.percent is not None  # __post_init__
        return self.percent

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each run and figure, or one for a run without evidence."""
        if not evidence.runs:
            return [no_evidence(self.name, WHAT, self._most, evidence.no_run)]
        findings: list[Finding | Verdict] = []
        for index, run in enumerate(evidence.runs):
            findings += self._judge_run(run, evidence.label(index), len(evidence.runs))
        return conclude(findings)

    def _judge_run(self, run: LoadResult, label: str, runs: int) -> Iterator[Finding | Verdict]:
        stretch = _same_load(run)
        if stretch.missing is not None:
            yield no_evidence(self.name, WHAT + label, self._most, stretch.missing)
            return
        figures = _figures(run)
        for figure, quantile in figures:
            ask = Question(
                check=self.name,
                what=f"{quantile} {FIGURES[figure]} over {stretch.where}{label}",
                percent=self._most,
                unit=" ms",
                sides="in each quarter",
                path="first to last quarter ",
                among=runs * len(figures),
            )
            values = [_values(records, figure) for records in stretch.ends]
            yield self._judge_figure(run, ask, quantile, values[0], values[1])

    def _judge_figure(
        self, run: LoadResult, ask: Question, quantile: str, first: list[float], last: list[float]
    ) -> Finding | Verdict:
        if not first or not last:
            return no_evidence(self.name, ask.what, self._most, "no answer of a quarter carried a token")
        shift = quantile_shift(first, last, QUANTILES[quantile])
        limit_ms = shift.before * (1 + self._most / 100)
        return shift_finding(
            ask,
            shift,
            note=failures(run.tried) or "",
            spoiled=bottleneck(run.generator, limit_ms, shift.after),
            gone=run.generator.server_gone,
            answered=any(map(math.isfinite, last)),
        )


def _figures(run: LoadResult) -> tuple[tuple[str, str], ...]:
    streamed = run.plan.stream and any(any(r.token_ns.gaps_ns) for r in run.ok)
    return (*_FIGURES, *_STREAMED) if streamed else _FIGURES


def _same_load(run: LoadResult) -> _Stretch:
    """The requests begun in the steady window; with stages, those of the longest of one level."""
    records, where = in_order(run.tried), "the run"
    start_ns, stop_ns = run.steady_ns
    if stop_ns > start_ns:
        records = [r for r in records if start_ns <= begun_ns(r) < stop_ns]
    if run.plan.trace is not None:
        return _Stretch((), where, "a trace sends more at one time than at another: its quarters are unlike")
    if run.plan.steps:
        level = [(s.duration_ns, -i) for i, s in enumerate(run.plan.steps) if s.begin == s.end]
        if not level:
            return _Stretch((), where, "the load changed all the time: it needs a stage of one level")
        number = -max(level)[1]
        records = [r for r in records if r.stage == number]
        where = f"stage {number + 1} of {len(run.plan.steps)}"
    if len(records) < PARTS:
        sent = f"{len(records)} requests over {where} cannot be quartered" if records else nothing_sent(run)
        return _Stretch((), where, sent)
    return _Stretch(records, where)


def _values(records: Sequence[RequestRecord], figure: str) -> list[float]:
    """In the order of sending; infinite = failed. An answer without a token has no TTFT."""
    each = (getattr(r, f"{figure}_ms") if r.ok else math.inf for r in records)
    return [value for value in each if value is not None]
