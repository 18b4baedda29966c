"""Peaks of what the server takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import Finding, conclude, no_evidence
from pytest_llmserve.checks.wording import Writer, amount, compared, whole_number
from pytest_llmserve.domain.keywords import keyword, positive
from pytest_llmserve.domain.samples import FIGURES, ResourceSample
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.domain.verdict import FAIL, PASS, Verdict

_WORDS: dict[str, tuple[str, str, Writer]] = {
    "rss_mb": ("peak RSS", " MB", amount),
    "uss_mb": ("peak USS", " MB", amount),
    "memory_mb": ("peak memory (USS + swap)", " MB", amount),
    "cpu_percent": ("peak CPU", "%", amount),
    "threads": ("peak threads", "", whole_number),
    "open_files": ("peak open files", "", whole_number),
    "processes": ("peak processes", "", whole_number),
}
"""Keyword -> what it is called, its unit, how it is written."""


def _peak(what: str) -> Any:
    return keyword(positive, doc=f"most {what} at any sample of the test")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Peaks of the server's process tree stay within limits through the whole test.

    A statement about the samples: what happens between two of them is not seen.
    """

    name: ClassVar[str] = "resources"
    stops_early: ClassVar[bool] = False

    rss_mb: float | None = _peak("resident memory, in MB of 1,000,000 bytes")
    uss_mb: float | None = _peak("memory of the server alone (USS), in MB")
    memory_mb: float | None = _peak("USS + swap, in MB")
    cpu_percent: float | None = _peak("CPU, 100 = one core,")
    threads: float | None = _peak("threads")
    open_files: float | None = _peak("open files and sockets")
    processes: float | None = _peak("processes")

    def __post_init__(self) -> None:
        if not list(self.limits()):
            raise ValueError(f"needs at least one limit: {', '.join(_WORDS)}")

    def limits(self) -> Iterator[tuple[str, float]]:
        """(figure, limit) of each limit given: ("rss_mb", 4000.0)."""
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None:
                yield field.name, limit

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each limit."""
        return conclude([_judge(evidence, figure, limit) for figure, limit in self.limits()])


def _judge(evidence: Evidence, figure: str, limit: float) -> Finding | Verdict:
    what, unit, write = _WORDS[figure]
    samples = evidence.resources.samples
    values = evidence.resources.values(figure)
    peak = max(values, default=None)
    lost = evidence.resources.missing
    if peak is None or (peak <= limit and lost is not None):
        return no_evidence(Resources.name, what, limit, _reason(evidence, figure, peak))
    settled = PASS if peak <= limit else FAIL
    when = "" if settled == PASS else f", {_seconds(evidence, _highest(samples, figure)):.1f} s into the test"
    return Finding(
        check=Resources.name,
        what=what,
        limit=limit,
        estimate=peak,
        n=len(values),
        holds=peak <= limit,
        settled=settled,
        head=f"{what} {compared(peak, limit, unit, write=write)}{when}",
        basis=f"n={len(values)} samples",
        gone=next((gone for run in evidence.runs if (gone := run.generator.server_gone)), None),
    )


def _reason(evidence: Evidence, figure: str, peak: float | None) -> str:
    """Why nothing, or not enough, is known of a figure."""
    missing = evidence.resources.missing
    if missing is not None and peak is not None:
        last = evidence.resources.samples[-1]
        return f"watching ended {_seconds(evidence, last):.1f} s into the test: {missing}"
    if missing is not None:
        return f"{missing}; for a server on this machine give --llm-server-pid"
    if evidence.resources.samples:
        return f"the system does not tell {figure} of this process: run as the server's user"
    return "no sample was taken during the test"


def _highest(samples: tuple[ResourceSample, ...], figure: str) -> ResourceSample:
    field = FIGURES[figure].field
    return max((s for s in samples if getattr(s, field) is not None), key=lambda s: float(getattr(s, field)))


def _seconds(evidence: Evidence, sample: ResourceSample) -> float:
    started_ns = evidence.started_ns
    if started_ns is None:
        started_ns = evidence.resources.samples[0].at_ns
    return (sample.at_ns - started_ns) / NS_PER_S
