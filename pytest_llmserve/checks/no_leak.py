"""Memory that a server takes and does not give back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from pytest_llmserve.checks.counts_kept import WORDS, judge_count
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import Finding, conclude, no_evidence
from pytest_llmserve.checks.memory_rate import judge_rate
from pytest_llmserve.checks.memory_retained import judge_retained
from pytest_llmserve.checks.memory_series import GPU, HOST
from pytest_llmserve.domain.keywords import keyword, not_negative, whole
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_S, duration_ns
from pytest_llmserve.domain.verdict import Verdict

RESTARTED = "the server was restarted during the run"
BY_TURNS = "a comparison is not read for leaks: use a load of its own"
RUN, HOUR, REQUESTS = "run", "hour", "1000 requests"
WHAT = {
    RUN: "memory retained",
    HOUR: "memory growth per hour",
    REQUESTS: "memory growth per 1000 requests",
}
"""`per` -> what is judged."""
OF = {HOST: "", GPU: "GPU "}


def _per(value: object) -> str:
    if value not in WHAT:
        raise ValueError(
            f'{value!r} is not known: write "run", the memory kept after each run,'
            ' or the growth per "hour" or "1000 requests"'
        )
    return str(value)


@dataclass(frozen=True, kw_only=True)
class NoLeak:
    """Memory does not grow by more than so much a run, an hour or 1000 requests; nor do files and threads.

    Growth that has come to rest is no leak: a cache that filled, a step, a saw-tooth. With `per="run"`
    memory after each run, once settled, is held against memory before it; where it is over the limit, the
    course of memory during the run tells whether it was still growing. Open files and threads are counted
    before a run and after it.
    """

    name: ClassVar[str] = "no_leak"
    stops_early: ClassVar[bool] = False

    mb: float | None = keyword(not_negative, doc="most growth of memory, in MB of 1,000,000 bytes")
    gpu_mb: float | None = keyword(not_negative, doc="most growth of GPU memory, in MB")
    # Nanoseconds: the name is the marker's keyword.
    settle: int = keyword(duration_ns, 5 * NS_PER_S, doc="longest wait after a run for memory to settle")
    per: str = keyword(_per, RUN, doc='"run", "hour" or "1000 requests"')
    open_files: int | None = keyword(whole, doc="most open files and sockets more after a run than before")
    threads: int | None = keyword(whole, doc="most threads more after a run than before")

    def __post_init__(self) -> None:
        if self.mb is None and self.gpu_mb is None and not self.counted:
            raise ValueError(
                "needs mb or gpu_mb, the growth of memory in MB that is allowed, such as mb=100,"
                " or open_files or threads, how many more may be left after a run"
            )
        if self.counted and self.per != RUN:
            raise ValueError(
                f"{' and '.join(self.counted)} can be counted for each run only, not per={self.per!r}:"
                " give them in a no_leak of another test, or leave out per"
            )

    @property
    def gpu(self) -> bool:
        """GPU memory is judged."""
        return self.gpu_mb is not None

    @property
    def counted(self) -> tuple[str, ...]:
        """What is counted before a run and after it: names of figures."""
        return tuple(figure for figure in WORDS if getattr(self, figure) is not None)

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each limit and run."""
        limits = list(self._limits())
        if not evidence.runs:
            return [
                no_evidence(self.name, self._what(where), limit, evidence.no_run) for where, limit in limits
            ]
        return conclude(
            [
                self._judge_run(run, where, limit, evidence.label(index))
                for index, run in enumerate(evidence.runs)
                for where, limit in limits
            ]
        )

    def _limits(self) -> Iterator[tuple[str, float]]:
        counts = [(figure, getattr(self, figure)) for figure in WORDS]
        for where, limit in ((HOST, self.mb), (GPU, self.gpu_mb), *counts):
            if limit is not None:
                yield where, limit

    def _what(self, where: str) -> str:
        return WORDS[where] if where in WORDS else OF[where] + WHAT[self.per]

    def _judge_run(self, run: LoadResult, where: str, limit: float, label: str) -> Finding | Verdict:
        what = self._what(where) + label
        if where in WORDS:
            why = _void(run)
            if why is not None:
                return no_evidence(self.name, what, limit, why)
            return judge_count(self.name, what, int(limit), run, where)
        missing = _missing(run, where, self.per)
        if missing is not None:
            return no_evidence(self.name, what, limit, missing)
        if self.per == RUN:
            return judge_retained(self.name, what, limit, run, where)
        return judge_rate(self.name, what, limit, run, where, hourly=self.per == HOUR)


def _void(run: LoadResult) -> str | None:
    """Why the run tells nothing of leaks of any kind, or None."""
    if run.rounds is not None:
        return BY_TURNS
    if run.resources.renewed_ns:
        return RESTARTED
    return None if run.ok else "no request of the run was answered"


def _missing(run: LoadResult, where: str, per: str) -> str | None:
    """Why nothing can be said, or None."""
    void = _void(run)
    if void is not None:
        return void
    if where == GPU:
        return _gpu_missing(run, per)
    if per != RUN:
        return run.resources.missing
    if run.memory is None:
        return run.resources.missing or "memory was not read"
    if run.memory.missing is not None:
        return run.memory.missing
    return None if run.memory.retained_bytes is not None else "memory was not read"


def _gpu_missing(run: LoadResult, per: str) -> str | None:
    lost = run.resources.gpu_missing
    if lost is not None:
        return lost
    if per != RUN:
        seen = any(sample.gpu_bytes is not None for sample in run.resources.samples)
        return None if seen else run.resources.missing or "GPU memory was not read"
    change = run.memory.gpu if run.memory is not None else None
    if change is None:
        return run.resources.missing or "GPU memory was not read"
    return change.missing or (None if change.retained_bytes is not None else "GPU memory was not read")
