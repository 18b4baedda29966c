"""The slowest requests of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.markup import Child, Markup
from pytest_llmserve.reports.html.tables import folded, table
from pytest_llmserve.reports.html.words import number, whole

_WHERE_ANY = {"stage": "stage", "task": "task", "served_by": "served by"}
"""Columns of words that are there only where a row has something in them."""


def slowest(rows: Sequence[Mapping[str, Any]]) -> Markup | None:
    """A row a request, the slowest first; None without any."""
    if not rows:
        return None
    wordy = [key for key in _WHERE_ANY if any(row.get(key) is not None for row in rows)]
    heads = ("id", "at, s", "TTFT, ms", "e2e, ms", "tokens", "outcome", *(_WHERE_ANY[key] for key in wordy))
    cells: list[list[Child]] = [
        [
            str(row["id"]),
            *(number(row[key]) for key in ("at_s", "ttft_ms", "e2e_ms")),
            whole(row["output_tokens"]),
            row["outcome"],
            *(None if row[key] is None else str(row[key]) for key in wordy),
        ]
        for row in rows
    ]
    words = ("outcome", *(_WHERE_ANY[key] for key in wordy))
    shown = table("The slowest requests; times into the test", heads, cells, words=words)
    return folded("Slowest requests", shown)
