"""Why a test failed, as its document tells it: undecided limits, an error of its own, hostile inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pytest_llmserve.reports.verdict_cells import fails, why_undecided_fails

BAD = frozenset({"failed", "error"})
"""Outcomes of a test that make a session red."""


def is_undecided(verdict: Mapping[str, Any]) -> bool:
    """As said."""
    return bool(verdict["verdict"] == "undecided")


def why_it_fails(verdict: Mapping[str, Any]) -> str | None:
    """Why an undecided limit makes its test fail, as "over the limit"; None = it does not by itself."""
    return why_undecided_fails(verdict) if is_undecided(verdict) and fails(verdict) else None


def error_text(test: Mapping[str, Any]) -> str | None:
    """What a test ended with that failed by itself: "AssertionError in test_a.py, line 4: assert 5 < 1".

    None where it did not, or nothing was kept of it.
    """
    found = test.get("raised")
    if not found:
        return None
    where = f" in {found['file']}, line {found['line']}" if found["file"] else ""
    return f"{found['type']}{where}{': ' + found['text'] if found.get('text') else ''}"


def unsurvived(test: Mapping[str, Any]) -> list[str]:
    """What became of its hostile inputs that were not survived, and how often, the most frequent first."""
    found = Counter("; ".join(each["faults"]) for each in (test.get("survival") or {}).get("faults") or ())
    return [f"{said} ({n} inputs)" if n > 1 else said for said, n in found.most_common()]
