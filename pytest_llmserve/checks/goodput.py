"""The share of requests that meet all limits at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import (
    ALPHA,
    Finding,
    conclude,
    counted,
    interval_basis,
    no_evidence,
)
from pytest_llmserve.checks.generator import bottleneck
from pytest_llmserve.checks.series import in_order, nothing_sent, unpaced
from pytest_llmserve.checks.shares import Share, share_of
from pytest_llmserve.checks.wording import compared, percent, spread
from pytest_llmserve.domain.keywords import keyword, positive, share
from pytest_llmserve.domain.metrics import within_all
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.verdict import FAIL, PASS, Verdict


@dataclass(frozen=True, kw_only=True)
class Goodput:
    """At least this share of requests meets all limits at once; a failed request meets none.

    A request of unknown TPOT, as its answer came in one piece, counts as bad where the
    share is shown to be kept and as good where it is shown to be missed.
    """

    name: ClassVar[str] = "goodput"
    stops_early: ClassVar[bool] = True

    min: float | None = keyword(share, doc="least share of good requests, such as 0.99")
    ttft_ms: float | None = keyword(positive, doc="most time to first token of a good request")
    tpot_ms: float | None = keyword(positive, doc="most time per output token of a good request")
    e2e_ms: float | None = keyword(positive, doc="most end-to-end latency of a good request")

    def __post_init__(self) -> None:
        if self.min is None:
            raise ValueError("needs min, the share of requests that must be good, such as min=0.99")
        if self.min == 0:
            raise ValueError("min=0 would hold whatever happens")
        if not self._limits():
            raise ValueError("needs at least one of ttft_ms, tpot_ms, e2e_ms")

    def _limits(self) -> dict[str, float]:
        return {name: limit for name, limit in self._all().items() if limit is not None}

    def _all(self) -> dict[str, float | None]:
        return {"ttft_ms": self.ttft_ms, "tpot_ms": self.tpot_ms, "e2e_ms": self.e2e_ms}

    @property
    def _least(self) -> float:
        assert self.min is not None  # __post_init__
        return self.min

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each run."""
        if not evidence.runs:
            return [no_evidence(self.name, "goodput", self._least, evidence.no_run)]
        runs = enumerate(evidence.runs)
        return conclude([self._judge_run(run, "goodput" + evidence.label(index)) for index, run in runs])

    def _judge_run(self, run: LoadResult, what: str) -> Finding | Verdict:
        missing = self._missing(run)
        if missing is not None:
            return no_evidence(self.name, what, self._least, missing)
        records = in_order(run.tried)
        nearness = [self._nearness(r) for r in records]
        good = [within_all(r, self.ttft_ms, self.tpot_ms, self.e2e_ms) for r in records]
        worst = bad = self._bad(run, [not each for each in good], nearness)
        possible = [_may_be_within(r, **self._all()) for r in records]
        if unknown := sum(possible) - sum(good):
            bad = self._bad(run, [not each for each in possible], nearness)
        estimate = sum(good) / (len(good) - unknown)
        interval = (1 - worst.interval[1], 1 - bad.interval[0])
        sample = counted(bad.n, bad.caution)
        return Finding(
            check=self.name,
            what=what,
            limit=self._least,
            estimate=estimate,
            interval=interval,
            n=bad.n,
            holds=estimate >= self._least,
            p_within=worst.p_within,
            p_beyond=bad.p_beyond,
            settled=self._settled(run, bad.bad, unknown),
            head=f"{what} {compared(estimate, self._least, '%', write=percent, at_least=True, scale=100)}",
            basis=interval_basis(spread(*interval, "%", percent), sample),
            note=self._note(records, bad.bad),
            doubt=lambda level: self._doubt(bad, worst, unknown, level),
            spoiled=self._spoiled(run, nearness),
            gone=run.generator.server_gone,
            looked_at=run.plan.until is not None,
        )

    def _bad(self, run: LoadResult, marks: Sequence[bool], nearness: Sequence[float]) -> Share:
        """The share of bad ones; how near each request was to a limit shows how alike neighbours are."""
        return share_of(marks, 1 - self._least, nearness, limit=1.0, sequential=run.plan.until is not None)

    def _spoiled(self, run: LoadResult, nearness: Sequence[float]) -> str | None:
        """Why the generator leaves no verdict, but where too many requests are over limits all the same."""
        limit_ms = min(self._limits().values())
        if bottleneck(run.generator, limit_ms) is None:
            return None
        return bottleneck(run.generator, limit_ms, self._plainly_over(run, nearness))

    def _nearness(self, record: RequestRecord) -> float:
        """The largest of its latencies over their limits: over 1 is bad; infinite for a failed request."""
        if not record.ok:
            return math.inf
        found = ((getattr(record, name), limit) for name, limit in self._limits().items())
        return max((value / limit for value, limit in found if value is not None), default=0.0)

    def _plainly_over(self, run: LoadResult, nearness: Sequence[float]) -> float | None:
        """Infinite when too many requests are bad even with each limit longer by what sends were late."""
        lag_ms = run.generator.send_lag_ms.get("p99", 0.0)
        longer = {name: limit and limit + lag_ms for name, limit in self._all().items()}
        bad = [not _may_be_within(r, **longer) for r in in_order(run.tried)]
        return math.inf if self._bad(run, bad, nearness).p_beyond <= ALPHA else None

    def _missing(self, run: LoadResult) -> str | None:
        if not run.tried:
            return nothing_sent(run)
        return unpaced(run.ok) if self.tpot_ms is not None else None

    def _doubt(self, bad: Share, worst: Share, unknown: int, level: float) -> str:
        if unknown and (self._least == 1 or min(bad.p_within, worst.p_beyond) <= ALPHA):
            return f"{unknown} of {bad.n} answers came in one piece, so their TPOT is not known"
        return bad.doubt(f"{percent(self._least)}%", "requests", "over a limit", level=level)

    def _settled(self, run: LoadResult, bad: int, unknown: int) -> str | None:
        if not run.ok:
            return FAIL
        if self._least < 1:
            return None
        if bad:
            return FAIL
        return None if unknown else PASS

    def _note(self, records: Sequence[RequestRecord], bad: int) -> str:
        """How many requests missed which limit; one may miss several."""
        if not bad:
            return ""
        answered = [r for r in records if r.ok]
        misses = {
            f"{name} > {limit:.12g}": sum(not _may_be_within(r, **_only(name, limit)) for r in answered)
            for name, limit in self._limits().items()
        }
        misses["failed"] = len(records) - len(answered)
        said = ", ".join(f"{name}: {n}" for name, n in misses.items() if n)
        return f"{bad} of {len(records)} requests over a limit ({said})"


def _may_be_within(
    record: RequestRecord, ttft_ms: float | None, tpot_ms: float | None, e2e_ms: float | None
) -> bool:
    """The limits that can be held against a request are met."""
    return within_all(record, ttft_ms, None if record.tpot_ms is None else tpot_ms, e2e_ms)


def _only(name: str, limit_ms: float) -> dict[str, float | None]:
    return {"ttft_ms": None, "tpot_ms": None, "e2e_ms": None, name: limit_ms}
