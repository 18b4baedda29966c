"""Latencies of a run in the order of sending, failed requests infinite."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

from pytest_llmserve.checks.finding import NO_REQUEST
from pytest_llmserve.checks.wording import failures
from pytest_llmserve.domain import metrics
from pytest_llmserve.domain.metrics import Distribution
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult


@dataclass(frozen=True)
class Series:
    """One latency figure over a run.

    Attributes:
        values_ms: in the order of sending, which dependence is judged by; inf = failed.
        noun: what is counted.
        failures: failed requests by kind, in words, or None.
        missing: why there is nothing to judge, or None.
    """

    values_ms: tuple[float, ...]
    noun: str = "requests"
    failures: str | None = None
    missing: str | None = None

    @cached_property
    def ordered(self) -> list[float]:
        """Smallest first."""
        return sorted(self.values_ms)

    @cached_property
    def failed(self) -> int:
        """Number of infinite values."""
        return sum(1 for value in self.values_ms if math.isinf(value))

    @cached_property
    def distribution(self) -> Distribution:
        """The values that are finite, beside the number of the others."""
        return Distribution(tuple(self.ordered[: len(self.ordered) - self.failed]), self.failed)


FIGURES: dict[str, str] = {
    "e2e": "e2e latency",
    "ttft": "TTFT",
    "itl": "ITL",
    "tpot": "TPOT",
}
"""Prefix of a keyword -> the figure's name in a sentence."""


def begun_ns(record: RequestRecord) -> int:
    """When a request was sent, or should have been where it never was."""
    return record.scheduled_ns if record.sent_ns is None else record.sent_ns


def in_order(records: Sequence[RequestRecord]) -> list[RequestRecord]:
    """Requests in the order of sending, in which neighbours are alike."""
    return sorted(records, key=begun_ns)


def series_of(run: LoadResult, figure: str) -> Series:
    """The values of one figure of a run."""
    records = in_order(run.requests)
    missing = _missing(records, figure)
    if missing is not None:
        return Series((), missing=missing)
    if not any(r.ok for r in records):  # what a failed answer had before it failed is no figure
        return Series((math.inf,) * len(records), failures=failures(records))
    if figure == "itl":
        return Series(tuple(_gaps(records)), noun="gaps", failures=failures(records))
    value: Callable[[RequestRecord], float | None] = attrgetter(f"{figure}_ms")
    each = (value(r) if r.ok else math.inf for r in records)
    return Series(tuple(v for v in each if v is not None), failures=failures(records))


def _gaps(records: Sequence[RequestRecord]) -> list[float]:
    """Gaps in request order. Those a failed request had do count, and its failure as one endless gap."""
    gaps: list[float] = []
    for record in records:
        gaps.extend(metrics.itl_ms(record))
        if not record.ok:
            gaps.append(math.inf)
    return gaps


def _missing(records: Sequence[RequestRecord], figure: str) -> str | None:
    if not records:
        return NO_REQUEST
    answered = [r for r in records if r.ok]
    if not answered or figure == "e2e":
        return None
    if not any(r.token_ns for r in answered):
        return "no answer carried a token"
    if figure == "itl" and all(len(r.token_ns) < 2 for r in answered):
        return "no answer came in more than one chunk: is streaming on?"
    return uncounted(answered) or _single(answered) if figure == "tpot" else None


def uncounted(answered: Sequence[RequestRecord]) -> str | None:
    """Why TPOT is not known for these answers, or None."""
    unknown = sum(1 for r in answered if r.output_tokens is None)
    return f"{unknown} of {len(answered)} answers came without a token count" if unknown else None


def _single(answered: Sequence[RequestRecord]) -> str | None:
    return "no answer had more than one token" if all(r.tpot_ms is None for r in answered) else None
