"""Cases of one test against servers of different values, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.markup import Markup
from pytest_llmserve.reports.html.tables import part, table
from pytest_llmserve.reports.html.words import number, whole
from pytest_llmserve.reports.side_by_side import HEADS, cells

_COUNTS = frozenset({"n", "failed", "users"})


def cases(comparisons: Sequence[Mapping[str, Any]]) -> Markup | None:
    """A table for each test that ran against several."""
    tables = [
        table(f"{found['test']}; latencies in ms", ("server", *HEADS[1:]), cells(found["rows"], _figure))
        for found in comparisons
    ]
    return part(2, "Servers side by side", tables)


def _figure(value: float | None, column: str) -> str:
    return whole(value) if column in _COUNTS else number(value)
