"""The turns of conversations in the summary: a table, a row a turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

MOST = 20
"""Turns in the table; the report has all."""

HEADS = ("turn", "n", "failed", "characters", "TTFT p50", "p95", "e2e p50", "p95")


def table_rows(
    turns: Sequence[Mapping[str, Any]], figure: Callable[[float | None, str], str]
) -> list[list[str]]:
    """The rows under `HEADS`; the first turns where there are more than `MOST`.

    Args:
        turns: as the report has them.
        figure: writes a figure of a column.
    """
    rows = [
        [
            str(turn["turn"]),
            *(figure(turn["counts"][name], column) for name, column in (("sent", "n"), ("failed", "failed"))),
            f"{turn['input_chars']:.0f}",
            *(
                figure(turn["metrics"][latency][q], q)
                for latency in ("ttft_ms", "e2e_ms")
                for q in ("p50", "p95")
            ),
        ]
        for turn in turns[:MOST]
    ]
    left = len(turns) - MOST
    return rows if left <= 0 else [*rows, [f"and {left} more", *[""] * (len(HEADS) - 1)]]
