"""Latency by length of the input, and where the server changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.markup import Child, Markup
from pytest_llmserve.reports.html.tables import items, part, table
from pytest_llmserve.reports.html.words import latencies, whole


def sweeps(found: Sequence[Mapping[str, Any]]) -> list[Markup | None]:
    """Each sweep of a test."""
    return [_sweep(each) for each in found]


def _sweep(found: Mapping[str, Any]) -> Markup | None:
    rows: list[list[Child]] = [
        [
            whole(row["length_chars"]),
            whole(row["input_tokens"]),
            whole(row["n"]),
            whole(row["failed"]),
            *latencies(row, "p50", "p90", "p99"),
            row.get("error"),
        ]
        for row in found["rows"]
    ]
    quantiles = ("TTFT p50", "p90", "p99", "e2e p50", "p90", "p99")
    heads = ("characters", "tokens", "n", "failed", *quantiles, "error")
    caption = f"{found['plan']}; latencies in ms"
    return part(4, "Lengths by turns", items(found["said"]), table(caption, heads, rows, words=("error",)))
