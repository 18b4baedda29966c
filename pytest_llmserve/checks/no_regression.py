"""A run against an earlier one, or against a second server."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pytest_llmserve.checks.difference import (
    ERROR_RATE,
    METRICS,
    THROUGHPUTS,
    error_rise,
    figure_shift,
    metric_words,
)
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import (
    CONFIDENCE,
    Finding,
    conclude,
    interval_basis,
    no_evidence,
    telling,
)
from pytest_llmserve.checks.generator import bottleneck
from pytest_llmserve.checks.likeness import elsewhere, unlike
from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.checks.series import NOTHING_SENT
from pytest_llmserve.checks.shifted import (
    Question,
    change,
    change_spread,
    counted_both,
    shift_finding,
    unseen_up_to,
)
from pytest_llmserve.checks.wording import compared, failures, percent
from pytest_llmserve.domain.keywords import keyword, positive
from pytest_llmserve.domain.liveness import absence
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.verdict import FAIL, Verdict
from pytest_llmserve.stats.binomial import requests_needed

WHAT = "regression"
NOT_NAMED = "nothing was named to compare with: keep a run with --llm-save NAME, then give --llm-compare NAME"
ENDED_AS_PLANNED = ("complete", "decided")
POINTS_A_PERCENT = 0.1
"""How many percentage points the error rate may rise for each percent of `percent`."""

_EVERY_RUN = ("e2e_p50", "e2e_p95")
_STREAMED = ("ttft_p95",)


def _metrics(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else None
    if not names:
        raise ValueError(f'{value!r} is not a list of metrics, such as ["e2e_p95", "error_rate"]')
    unknown = [repr(name) for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"no metric {', '.join(unknown)}; known: {', '.join(METRICS)}")
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True, kw_only=True)
class NoRegression:
    """Each figure is at most so many percent worse than that of the run it is compared with.

    Latencies and throughputs are compared as ratios. An error rate, which is often 0, is compared
    in percentage points, a tenth of `percent`: at most 1 more with `percent=10`. Each try of a retry counts.
    """

    name: ClassVar[str] = "no_regression"
    stops_early: ClassVar[bool] = False

    percent: float | None = keyword(positive, doc="most change for the worse, such as 10")
    metrics: tuple[str, ...] | None = keyword(
        _metrics, None, doc="what is compared; default: e2e p50 and p95, TTFT p95, error rate, throughput"
    )

    def __post_init__(self) -> None:
        if self.percent is None:
            raise ValueError("needs percent, by how much a figure may be worse, such as percent=10")

    @property
    def _most(self) -> float:
        assert self.percent is not None  # __post_init__
        return self.percent

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each run and metric, or one for a run that cannot be compared."""
        if not evidence.runs:
            return [no_evidence(self.name, WHAT, self._most, evidence.no_run)]
        return self.judge_held([_held(evidence, index) for index in range(len(evidence.runs))])

    def judge_held(self, held: Sequence[Held]) -> list[Verdict]:
        """The same of runs of one test of which perhaps no more than measurements are kept; at least one."""
        findings: list[Finding | Verdict] = []
        for index, one in enumerate(held):
            label = f" (run {index + 1} of {len(held)})" if len(held) > 1 else ""
            findings += self._judge_one(one, label, len(held))
        return conclude(findings)

    def _judge_one(self, held: Held, label: str, runs: int) -> Iterator[Finding | Verdict]:
        there = held.there
        reason = there if isinstance(there, str) else _incomparable(there, held.here)
        if reason is not None or isinstance(there, str):
            yield no_evidence(self.name, WHAT + label, self._most, str(reason))
            return
        metrics = self.metrics or _default_metrics(held.streamed)
        for metric in metrics:
            pair = _Pair(there, held.here, held, f'against "{there.name}"{label}', len(metrics) * runs)
            yield self._judge_errors(pair) if metric == ERROR_RATE else self._judge_shift(metric, pair)

    def _judge_shift(self, metric: str, pair: _Pair) -> Finding | Verdict:
        what = f"{metric_words(metric)} {pair.against}"
        shift = figure_shift(pair.there, pair.here, metric)
        if isinstance(shift, str):
            return no_evidence(self.name, what, self._most, shift)
        falls = metric in THROUGHPUTS
        ask = Question(
            check=self.name,
            what=what,
            percent=self._most,
            unit=THROUGHPUTS[metric][2] if falls else " ms",
            sides="in each run",
            falls=falls,
            noun="slices" if falls else "requests",
            among=pair.among,
        )
        limit_ms = None if falls else shift.before * (1 + self._most / 100)
        ours = pair.held.bottleneck(limit_ms, None if falls else shift.after)
        return shift_finding(
            ask,
            shift,
            note=pair.note,
            spoiled=ours or pair.spoiled,
            gone=pair.here.gone,
            answered=pair.held.answered,
        )

    def _judge_errors(self, pair: _Pair) -> Finding:
        rise, most = error_rise(pair.there, pair.here), self._most * POINTS_A_PERCENT
        p_within, p_beyond = rise.p_at_most(most / 100), rise.p_at_least(most / 100)
        ends = telling(rise.interval(CONFIDENCE), rise.bounds(CONFIDENCE), most / 100, p_within, p_beyond)
        low, high = max(-100.0, 100 * ends[0]), min(100.0, 100 * ends[1])
        n, what = pair.n, f"error rate {pair.against}"
        seen = rise.p_at_least(0) <= unseen_up_to(pair.among)
        shares = f"{percent(rise.before)}% -> {percent(rise.after)}%"
        spread = change_spread(low, high, "")
        return Finding(
            check=self.name,
            what=what,
            limit=most,
            estimate=100 * rise.points,
            interval=(low, high),
            n=sum(n),
            holds=pair.held.answered and (100 * rise.points <= most or not seen),
            p_within=p_within,
            p_beyond=p_beyond,
            settled=None if pair.held.answered else FAIL,
            head=f"{what} {compared(100 * rise.points, most, '', write=change)} percentage points",
            basis=f"{shares}, {interval_basis(spread, counted_both(n, (rise.n1, rise.n2)))}",
            note=pair.note,
            doubt=_errors_doubt(most, n, seen),
            gone=pair.here.gone,
        )


@dataclass(frozen=True)
class Held:
    """A run, and what it is held against.

    Attributes:
        there: what it is held against, or a clause that says why there is nothing.
        here: the run as a measurement.
        run: the run itself, where it is there: its failures are then told by kind, and whether the load
            generator spoiled it is asked limit by limit.
    """

    there: Measurement | str
    here: Measurement
    run: LoadResult | None = None

    @property
    def answered(self) -> bool:
        """At least one request was."""
        return any(map(math.isfinite, self.here.series.get("e2e_ms", ())))

    @property
    def streamed(self) -> bool:
        """Answers came in several pieces."""
        if self.run is not None:
            return self.run.plan.stream and any(any(r.token_ns.gaps_ns) for r in self.run.ok)
        tpot = self.here.series.get("tpot_ms", ())
        return bool(self.here.plan.get("stream")) and any(
            math.isfinite(value) and value > 0 for value in tpot
        )

    @property
    def failures(self) -> str:
        """What failed; empty = nothing."""
        if self.run is not None:
            return failures(self.run.tried) or ""
        failed = self.here.counts.get("failed", 0)
        return f"{failed} of {self.here.counts.get('sent', 0)} requests failed" if failed else ""

    def bottleneck(self, limit_ms: float | None, estimate: float | None) -> str | None:
        """Why the load generator spoils this figure, or None."""
        return self.here.spoiled if self.run is None else bottleneck(self.run.generator, limit_ms, estimate)


@dataclass(frozen=True)
class _Pair:
    """A run, and what it is compared with.

    Attributes:
        here: the run as a measurement.
        against: said after a metric: 'against "main"'.
        among: number of figures that are judged together.
    """

    there: Measurement
    here: Measurement
    held: Held
    against: str
    among: int

    @property
    def n(self) -> tuple[int, int]:
        """Requests of both."""
        return len(self.there.series["e2e_ms"]), len(self.here.series["e2e_ms"])

    @property
    def note(self) -> str:
        """What failed, and what else is not the same."""
        others = elsewhere(self.there, self.here)
        told = f"not the same surroundings: {', '.join(others)}" if others else ""
        return "; ".join(part for part in (self.held.failures, told) if part)

    @property
    def spoiled(self) -> str | None:
        """Why what it is compared with cannot be trusted."""
        return None if self.there.spoiled is None else f'of "{self.there.name}", {self.there.spoiled}'


def _held(evidence: Evidence, index: int) -> Held:
    there = evidence.baselines[index] if index < len(evidence.baselines) else _no_baseline(evidence)
    run = evidence.runs[index]
    return Held(there, measurement_of(run, environment=evidence.environment, server=evidence.server), run)


def _no_baseline(evidence: Evidence) -> str:
    if not evidence.baselines:
        return NOT_NAMED
    return f"what it is compared with has {len(evidence.baselines)} of the {len(evidence.runs)} runs"


def _incomparable(there: Measurement, here: Measurement) -> str | None:
    differences = unlike(there, here)
    if differences:
        return f'cannot be compared with "{there.name}": {"; ".join(differences)}'
    if there.gone is not None:
        return f'cannot be compared with "{there.name}": its server {absence(there.gone)}: {there.gone}'
    if there.ended not in ENDED_AS_PLANNED:
        return f'cannot be compared with "{there.name}": its run ended early ({there.ended})'
    if not here.series["e2e_ms"]:
        return NOTHING_SENT
    if not there.series.get("e2e_ms"):
        return f'cannot be compared with "{there.name}": no request was sent there'
    if all(map(math.isinf, there.series["e2e_ms"])):
        return f'cannot be compared with "{there.name}": every request failed there'
    return None


def _default_metrics(streamed: bool) -> tuple[str, ...]:
    return (*_EVERY_RUN, *(_STREAMED if streamed else ()), ERROR_RATE, "throughput")


def _errors_doubt(most: float, n: tuple[int, int], rise_seen: bool) -> str:
    needed = requests_needed(1 - most / 100, CONFIDENCE, 0) if most < 100 else 1
    seen = "a rise is seen, but not whether it is over the limit" if rise_seen else "no rise seen"
    if min(n) < needed:
        return f"{seen}: at least {needed} requests in each run are needed"
    return f"{seen}: send more requests"
