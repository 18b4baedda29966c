"""Two servers by turns in one run: how far apart they are, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmserve.reports.html.markup import Markup, tag
from pytest_llmserve.reports.html.sections.metrics import metrics
from pytest_llmserve.reports.html.tables import part, table
from pytest_llmserve.reports.html.words import change, count, number, percent, whole
from pytest_llmserve.reports.merged import merged_text

NAMES = {
    "e2e_p50": "e2e p50, ms",
    "e2e_p95": "e2e p95, ms",
    "ttft_p50": "TTFT p50, ms",
    "ttft_p95": "TTFT p95, ms",
    "throughput": "requests/s",
}


def shifts(found: Mapping[str, Any] | None) -> Markup | None:
    """The comparison of a run; None without one."""
    if found is None:
        return None
    a, b = found["a"], found["b"]
    rounds = (
        count(found["rounds"], "round")
        if found["rounds"] == found["planned"]
        else f"{found['rounds']} of {count(found['planned'], 'round')}"
    )
    said = (
        f"a = {a['name']} ({a['url']}), b = {b['name']} ({b['url']}: {whole(b['counts']['sent'])} sent,"
        f" {whole(b['counts']['failed'])} failed), {rounds} by turns."
    )
    ended = f"No further round: {found['ended']}" if found["ended"] is not None else None
    return part(
        5,
        "Side by side",
        tag("p", said),
        tag("p", ended, class_="note") if ended else None,
        _table(found["shifts"]),
        metrics(b["metrics"], f" of b, {b['name']},", merged_text(b.get("generator") or {})),
    )


def _table(found: Mapping[str, Mapping[str, Any]]) -> Markup | None:
    rows = [
        [
            NAMES.get(metric, metric),
            *(number(shift[side]) for side in ("a", "b")),
            change(shift["ratio"]),
            *(change(bound) for bound in shift["interval"]),
            percent(shift["confidence"]),
        ]
        for metric, shift in found.items()
    ]
    heads = ("", "a", "b", "a over b", "from", "to", "sure")
    return table("How much more a has than b, with the interval of it", heads, rows) if rows else None
