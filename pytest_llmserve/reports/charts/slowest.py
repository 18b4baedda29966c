"""The slowest requests of a run, a row each."""

from __future__ import annotations

import heapq
from typing import Any

from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.stages import level_text
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.reports.charts.axis import begun_ns
from pytest_llmserve.reports.charts.rounding import short

MOST = 20


def slowest(run: LoadResult, zero_ns: int) -> list[dict[str, Any]]:
    """The 20 that took longest from their beginning to their end, answered or not, slowest first.

    Args:
        run: requests that were never sent are left out.
        zero_ns: monotonic clock, from which "at_s" counts.
    """
    ended = [r for r in run.tried if r.e2e_ms is not None]
    return [_row(run, r, zero_ns) for r in heapq.nlargest(MOST, ended, key=lambda r: r.e2e_ms or 0.0)]


def _row(run: LoadResult, record: RequestRecord, zero_ns: int) -> dict[str, Any]:
    steps = run.plan.steps
    return {
        "id": record.id,
        "at_s": round((begun_ns(record) - zero_ns) / NS_PER_S, 3),
        "ttft_ms": short(record.ttft_ms),
        "e2e_ms": short(record.e2e_ms),
        "output_tokens": record.output_tokens,
        "outcome": record.outcome,
        "stage": level_text(run.plan, steps[record.stage]) if steps else None,
        "task": record.task,
        "served_by": record.served_by,
    }
