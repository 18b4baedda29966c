"""The requests of a run as columns of numbers, a pass over them once."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_llmserve.domain.outcome import OK
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.reports.charts.axis import Axis, begun_ns


@dataclass(frozen=True)
class Columns:
    """The measured requests, in the order of their beginning.

    Attributes:
        records: one a row.
        at_s: when each began for its user, on the axis.
        ttft_ms, e2e_ms, tpot_ms: of each, failed or not; NaN where it has none.
        outcome: place of its word among `outcomes`, in which "ok" is first.
    """

    records: Sequence[RequestRecord]
    at_s: array[float]
    ttft_ms: array[float]
    e2e_ms: array[float]
    tpot_ms: array[float]
    outcome: array[int]
    outcomes: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.records)


def columns_of(run: LoadResult, axis: Axis) -> Columns:
    """Its measured requests."""
    records = sorted(run.requests, key=begun_ns)
    outcomes = tuple(dict.fromkeys([OK, *run.by_outcome]))
    place = {word: number for number, word in enumerate(outcomes)}
    return Columns(
        records=records,
        at_s=array("d", [(begun_ns(r) - axis.zero_ns) / NS_PER_S for r in records]),
        ttft_ms=numbers(r.ttft_ms for r in records),
        e2e_ms=numbers(r.e2e_ms for r in records),
        tpot_ms=numbers(r.tpot_ms for r in records),
        outcome=array("B", [place[r.outcome] for r in records]),
        outcomes=outcomes,
    )


def numbers(values: Iterable[float | None]) -> array[float]:
    """Values in eight bytes each; None becomes NaN."""
    return array("d", [math.nan if value is None else value for value in values])
