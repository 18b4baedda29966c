"""Memory that a run leaves behind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import CONFIDENCE, Finding, conclude, no_evidence
from pytest_llmserve.checks.wording import compared, spread, sureness
from pytest_llmserve.domain.keywords import keyword, not_negative
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import MemoryChange
from pytest_llmserve.domain.units import BYTES_PER_MB, NS_PER_S, duration_ns, duration_text
from pytest_llmserve.domain.verdict import FAIL, PASS, UNDECIDED, Verdict

WHAT = "memory retained"
WAY_OUT = "for a server on this machine give --llm-server-pid"


def _per(value: object) -> str:
    if value != "run":
        raise ValueError(f'{value!r} is not known: write "run", the memory kept after each run')
    return "run"


@dataclass(frozen=True, kw_only=True)
class NoLeak:
    """Memory after each run, once settled, is at most so much above memory before it.

    Retained memory is the median of the readings after the run minus the median of those
    before. Its interval reaches from the least difference between any two readings to the
    greatest. Each set of m readings holds its true median but for 2^-m on either side (the
    sign test's interval; readings taken as independent), so the interval's confidence is
    at least 1 - 2^(1-before) - 2^(1-after), and the verdict needs both sets large enough
    for 95 % on the side in question: 6 readings each.
    """

    name: ClassVar[str] = "no_leak"
    stops_early: ClassVar[bool] = False

    mb: float | None = keyword(not_negative, doc="most memory retained after a run, in MB of 1,000,000 bytes")
    # Nanoseconds: the name is the marker's keyword.
    settle: int = keyword(duration_ns, 5 * NS_PER_S, doc="longest wait after a run for memory to settle")
    per: str = keyword(_per, "run", doc='"run"')

    def __post_init__(self) -> None:
        if self.mb is None:
            raise ValueError("needs mb, the memory in MB that may be retained, such as mb=100")

    @property
    def _most(self) -> float:
        assert self.mb is not None  # __post_init__
        return self.mb

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each run."""
        if not evidence.runs:
            return [no_evidence(self.name, WHAT, self._most, evidence.no_run)]
        return conclude(
            [self._judge_run(run, WHAT + evidence.label(i)) for i, run in enumerate(evidence.runs)]
        )

    def _judge_run(self, run: LoadResult, what: str) -> Finding | Verdict:
        memory = run.memory
        missing = _missing(run)
        if missing is not None or memory is None or memory.retained_bytes is None:
            return no_evidence(self.name, what, self._most, missing or f"memory was not read; {WAY_OUT}")
        retained = memory.retained_bytes / BYTES_PER_MB
        interval = _interval_mb(memory)
        sure_enough = 2.0 ** -len(memory.before) + 2.0 ** -len(memory.after) <= 1 - CONFIDENCE
        return Finding(
            check=self.name,
            what=what,
            limit=self._most,
            estimate=retained,
            interval=interval,
            confidence=_confidence(memory),
            n=len(memory.before) + len(memory.after),
            holds=retained <= self._most,
            settled=_word(interval, self._most) if sure_enough else UNDECIDED,
            head=f"{what} {compared(retained, self._most, ' MB')}",
            basis=_basis(memory, interval),
            doubt=_doubt(sure_enough),
            gone=run.generator.server_gone,
        )


def _missing(run: LoadResult) -> str | None:
    if not run.ok:
        return "no request of the run was answered"
    if run.memory is None:
        reason = run.resources.missing or "memory was not read"
        return f"{reason}; {WAY_OUT}"
    return None if run.memory.missing is None else f"{run.memory.missing}; {WAY_OUT}"


def _interval_mb(memory: MemoryChange) -> tuple[float, float]:
    least = min(memory.after) - max(memory.before)
    greatest = max(memory.after) - min(memory.before)
    return least / BYTES_PER_MB, greatest / BYTES_PER_MB


def _confidence(memory: MemoryChange) -> float:
    sure = 1 - 2.0 ** (1 - len(memory.before)) - 2.0 ** (1 - len(memory.after))
    return min(CONFIDENCE, math.floor(100 * max(0.0, sure)) / 100)


def _word(interval: tuple[float, float], limit: float) -> str:
    if interval[1] <= limit:
        return PASS
    return FAIL if interval[0] > limit else UNDECIDED


def _basis(memory: MemoryChange, interval: tuple[float, float]) -> str:
    before, after = median(memory.before), median(memory.after)
    return (
        f"{memory.measure}, {before / BYTES_PER_MB:.0f} -> {after / BYTES_PER_MB:.0f} MB,"
        f" settled {duration_text(memory.settled_after_ns)} after the load,"
        f" {sureness(_confidence(memory))} interval {spread(*interval, ' MB')},"
        f" n={len(memory.before) + len(memory.after)} readings"
    )


def _doubt(sure_enough: bool) -> str:
    if sure_enough:
        return "the readings differ among themselves by more than is left to the limit"
    return "6 readings before and 6 after are needed"
