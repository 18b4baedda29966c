"""The latencies of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmserve.reports.html.markup import Markup
from pytest_llmserve.reports.html.tables import table
from pytest_llmserve.reports.html.words import latency, whole

_NAMES = {
    "ttft_ms": "TTFT",
    "ttft_sent_ms": "TTFT from the send",
    "itl_ms": "ITL",
    "tpot_ms": "TPOT",
    "e2e_ms": "e2e",
    "e2e_sent_ms": "e2e from the send",
}
_COLUMNS = ("mean", "min", "p50", "p90", "p95", "p99", "max")


def metrics(found: Mapping[str, Mapping[str, Any]], of: str = "", merged: str = "") -> Markup:
    """A row each, with their percentiles.

    Args:
        found: "metrics" of a run.
        of: whose they are, where that is not plain.
        merged: what the ITL is worth, `merged_text`; may be empty.
    """
    rows = [
        [title, whole(found[name]["n"]), *(latency(found[name], c, found[name]["n"]) for c in _COLUMNS)]
        for name, title in _NAMES.items()
        if name in found
    ]
    endless = "; ∞: failed requests reach this percentile" if any("∞" in row for row in rows) else ""
    of_itl = f"; ITL: {merged}" if merged and found.get("itl_ms", {}).get("n") else ""
    return table(f"Latencies{of} in ms{endless}{of_itl}", ("metric", "n", *_COLUMNS), rows)
