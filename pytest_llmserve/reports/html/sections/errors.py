"""Failed requests by kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmserve.reports.html.markup import Child, Markup
from pytest_llmserve.reports.html.tables import part, table
from pytest_llmserve.reports.html.words import number, whole

_NOT_FAILED = frozenset({"ok", "dropped"})


def errors(run: Mapping[str, Any]) -> Markup | None:
    """A row a kind of failure, with when it was seen first and last; None where nothing failed."""
    rows: list[list[Child]] = [
        [
            row["outcome"],
            None if row["status"] is None else str(row["status"]),
            row["error"],
            whole(row["n"]),
            number(row["first_s"]),
            number(row["last_s"]),
            ", ".join(map(str, row["ids"])),
        ]
        for row in run.get("errors") or ()
    ]
    if rows:
        heads = ("outcome", "status", "error", "n", "first, s", "last, s", "such as id")
        told = table(
            "Failed requests by kind; times into the test", heads, rows, words=("error", "such as id")
        )
        return part(5, "Errors", told)
    counted: list[list[Child]] = [
        [outcome, whole(n)]
        for outcome, n in run["counts"]["by_outcome"].items()
        if outcome not in _NOT_FAILED
    ]
    return part(5, "Errors", table("Failed requests by kind", ("outcome", "n"), counted)) if counted else None
