"""Single requests to draw: all of few, of many those that matter and an even choice of the others."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from pytest_llmserve.reports.charts.columns import Columns
from pytest_llmserve.reports.charts.rounding import short

MOST, MOST_FAILED, SLOWEST = 2000, 500, 100


def points(columns: Columns) -> dict[str, Any]:
    """{"points": {"at_s", "e2e_ms", "ttft_ms", "id", "outcome", "shown", "of"}, "outcomes": [...]}.

    `outcome` is the place of the word in `outcomes`. Latencies of failed requests are how long those took;
    None where they have none.
    """
    rows = chosen(columns)
    return {
        "points": {
            "at_s": [round(columns.at_s[row], 4) for row in rows],
            "e2e_ms": [short(columns.e2e_ms[row]) for row in rows],
            "ttft_ms": [short(columns.ttft_ms[row]) for row in rows],
            "id": [columns.records[row].id for row in rows],
            "outcome": [columns.outcome[row] for row in rows],
            "shown": len(rows),
            "of": columns.n,
        },
        "outcomes": list(columns.outcomes),
    }


def chosen(columns: Columns) -> Sequence[int]:
    """Their rows, in order: all up to 2,000; else failed ones to 500, the slowest 100 and every k-th."""
    if columns.n <= MOST:
        return range(columns.n)
    failed = [row for row, outcome in enumerate(columns.outcome) if outcome]
    answered = [row for row, outcome in enumerate(columns.outcome) if not outcome]
    slowest = set(heapq.nlargest(SLOWEST, answered, key=columns.e2e_ms.__getitem__))
    kept = [*evenly(failed, MOST_FAILED), *slowest]
    others = [row for row in answered if row not in slowest]
    return sorted([*kept, *evenly(others, MOST - len(kept))])


def evenly(rows: Sequence[int], most: int) -> Sequence[int]:
    """At most so many of them, spread over all."""
    return rows if len(rows) <= most else [rows[place * len(rows) // most] for place in range(most)]
