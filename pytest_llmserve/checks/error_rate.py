"""The share of requests that fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import (
    Finding,
    conclude,
    counted,
    interval_basis,
    no_evidence,
)
from pytest_llmserve.checks.series import begun_ns, in_order, nothing_sent
from pytest_llmserve.checks.shares import Share, share_of
from pytest_llmserve.checks.wording import compared, failures, percent, spread
from pytest_llmserve.domain.keywords import keyword, share, whole
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import duration_ns, duration_text
from pytest_llmserve.domain.verdict import FAIL, PASS, Verdict

TOLD_RESENT_SHARE = 0.01
"""Requests sent again are told from this share on."""
EACH_CLOSED_SHARE = 0.8
SEEN_IDLE_SHARE = 0.1
"""A server that closes so many connections, one for each answer, and so many of them seen to be idle, does
so as a habit: that it meets the next request on its way says nothing of faults."""


@dataclass(frozen=True, kw_only=True)
class ErrorRate:
    """At most this share of requests fails, the last try of each counted.

    With `max=0` the verdict is about the sample: one failure fails it.
    """

    name: ClassVar[str] = "error_rate"
    stops_early: ClassVar[bool] = True

    max: float | None = keyword(share, doc="most share of failed requests, such as 0.002")
    # Nanoseconds: the name is the marker's keyword.
    startup_grace: int = keyword(duration_ns, 0, doc="failures this early in a run are told but not judged")
    retries: int = keyword(whole, 0, doc="how often the load sends a failed request again")

    def __post_init__(self) -> None:
        if self.max is None:
            raise ValueError("needs max, the share of requests that may fail, such as max=0.002")
        if self.max == 1:
            raise ValueError("max=1 would hold whatever happens")

    @property
    def _most(self) -> float:
        assert self.max is not None  # __post_init__
        return self.max

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each run."""
        if not evidence.runs:
            return [no_evidence(self.name, "error rate", self._most, evidence.no_run)]
        runs = enumerate(evidence.runs)
        return conclude([self._judge_run(run, "error rate" + evidence.label(index)) for index, run in runs])

    def _judge_run(self, run: LoadResult, what: str) -> Finding | Verdict:
        early, judged = self._parted(run)
        if not judged:
            missing = self._all_early(run) if early else nothing_sent(run)
            return no_evidence(self.name, what, self._most, missing)
        failed = share_of([not r.ok for r in judged], self._most, sequential=run.plan.until is not None)
        sample = counted(failed.n, failed.caution)
        doubtful = self._doubtful(run, failed)
        return Finding(
            check=self.name,
            what=what,
            limit=self._most,
            estimate=failed.estimate,
            interval=failed.interval,
            n=failed.n,
            holds=failed.estimate <= self._most,
            p_within=failed.p_within,
            p_beyond=failed.p_beyond,
            settled=self._settled(failed.bad, failed.n),
            head=f"{what} {compared(failed.estimate, self._most, '%', write=percent, scale=100)}",
            basis=interval_basis(spread(*failed.interval, "%", percent), sample),
            note=self._note(run, early, judged, resends_matter=doubtful is not None),
            doubt=lambda level: failed.doubt(f"{percent(self._most)}%", "requests", "failing", level=level),
            spoiled=doubtful,
            gone=run.generator.server_gone,
            looked_at=run.plan.until is not None,
        )

    def _parted(self, run: LoadResult) -> tuple[list[RequestRecord], list[RequestRecord]]:
        """Requests sent within the grace of the run's first send, warm-up counted, and the others."""
        everything = [*run.warm_up, *run.requests]
        if not everything:
            return [], []
        first_ns = min(map(begun_ns, everything))
        end_ns = first_ns + self._grace_ns(run)
        records = in_order(run.judged)
        early = [r for r in records if begun_ns(r) < end_ns]
        return early, records[len(early) :]

    def _doubtful(self, run: LoadResult, failed: Share) -> str | None:
        """Why requests sent again leave no pass: counted as failed they would break the limit."""
        worst = min(failed.n, failed.bad + resent_in_doubt(run)) / failed.n
        if failed.estimate > self._most or worst <= self._most:
            return None
        return (
            f"as failures, {compared(worst, self._most, '%', write=percent, scale=100)}: the server's log"
            " tells whether it closed idle connections or broke on these requests"
        )

    def _settled(self, failed: int, n: int) -> str | None:
        if failed == n:
            return FAIL
        if self._most > 0:
            return None
        return FAIL if failed else PASS

    def _grace_ns(self, run: LoadResult) -> int:
        """As much shorter as the run is: else it would leave nothing of a short one."""
        return round(self.startup_grace * run.plan.scale)

    def _grace(self, run: LoadResult) -> str:
        return f"the first {duration_text(self._grace_ns(run))}"

    def _all_early(self, run: LoadResult) -> str:
        return f"no request was sent after {self._grace(run)}: run longer, or with less startup_grace"

    def _note(
        self,
        run: LoadResult,
        early: Sequence[RequestRecord],
        judged: Sequence[RequestRecord],
        resends_matter: bool,
    ) -> str:
        said = failures(judged) or ""
        failed_early = sum(1 for r in early if not r.ok)
        if failed_early:
            said = said or f"0 of {len(judged)} requests failed"
            said += f", and {failed_early} of {len(early)} in {self._grace(run)}, not judged"
        return "; ".join(part for part in (said, _retried(run), _resent(run, resends_matter)) if part)


def resent_in_doubt(run: LoadResult) -> int:
    """Requests that the server may have read before it closed their connection, and that were sent again.

    None of a server that closes a connection after each answer.
    """
    generator = run.generator
    habit = generator.reopened >= EACH_CLOSED_SHARE * (len(run.tried) + len(run.warm_up))
    if habit and generator.reopened - generator.resent >= SEEN_IDLE_SHARE * generator.reopened:
        return 0
    return generator.resent


def _resent(run: LoadResult, matters: bool) -> str:
    resent = resent_in_doubt(run)
    if not matters and resent <= TOLD_RESENT_SHARE * len(run.tried):
        return ""
    told = "1 request was" if resent == 1 else f"{resent} requests were"
    return f"{told} sent again, as the server closed their kept connection just then"


def _retried(run: LoadResult) -> str:
    """First tries told from the last: "3 failed at the first try, 0 after 1 retry"."""
    if not run.plan.retries:
        return ""
    first = sum(1 for r in run.tried if r.attempt == 1 and not r.ok)
    last = sum(1 for r in run.judged if not r.ok)
    retries = f"{run.plan.retries} {'retry' if run.plan.retries == 1 else 'retries'}"
    return f"{first} failed at the first try, {last} after {retries}"
