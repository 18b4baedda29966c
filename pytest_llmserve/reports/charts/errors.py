"""How the requests of a run failed: a row for each kind, with examples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.reports.charts.axis import ended_ns

MOST_ROWS, EXAMPLES = 50, 5
_NUMBER = re.compile(r"[0-9a-f]{8,}|\d+")
"""What tells two requests that failed alike apart: ids, ports, positions."""

Kind = tuple[str, int | None, str]


def errors(run: LoadResult, zero_ns: int) -> list[dict[str, Any]]:
    """One row a kind, the most frequent first; beyond 50 rows the others of an outcome are one.

    Requests failed alike when outcome, status and text are the same but for numbers; the text is that of the
    first.

    Args:
        run: its requests that failed, each try of a retry.
        zero_ns: monotonic clock, from which "first_s" and "last_s" count, of the ends.
    """
    kinds: dict[Kind, list[RequestRecord]] = {}
    for record in run.failed:
        kinds.setdefault(_kind(record), []).append(record)
    ordered = sorted(kinds.values(), key=len, reverse=True)
    if len(ordered) <= MOST_ROWS:
        return [_row(alike, zero_ns) for alike in ordered]
    rest: dict[str, list[RequestRecord]] = {}
    for alike in ordered[MOST_ROWS:]:
        rest.setdefault(alike[0].outcome, []).extend(alike)
    others = [_row(each, zero_ns) | {"status": None, "error": "others"} for each in rest.values()]
    return [*(_row(alike, zero_ns) for alike in ordered[:MOST_ROWS]), *others]


def _kind(record: RequestRecord) -> Kind:
    return record.outcome, record.status, _NUMBER.sub("0", record.error or "")


def _row(alike: Sequence[RequestRecord], zero_ns: int) -> dict[str, Any]:
    ends = [ended_ns(record) for record in alike]
    first = alike[0]
    return {
        "outcome": first.outcome,
        "status": first.status,
        "error": first.error,
        "n": len(alike),
        "first_s": round((min(ends) - zero_ns) / NS_PER_S, 3),
        "last_s": round((max(ends) - zero_ns) / NS_PER_S, 3),
        "ids": [record.id for record in alike[:EXAMPLES]],
    }
