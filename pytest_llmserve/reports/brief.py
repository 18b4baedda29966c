"""A test in brief, for the pages of other plugins: its verdicts, and the figures of its runs in a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.markup import Markup, join, tag

_COLUMNS = ("n", "p50", "p90", "p95", "p99", "max")
_ROWS = (("ttft_ms", "TTFT"), ("itl_ms", "ITL"), ("tpot_ms", "TPOT"), ("e2e_ms", "e2e"))
_COLOURS = {"pass": "#176b2c", "fail": "#a5111f", "undecided": "#7a5200"}
_CELL = "padding: 2px 10px; text-align: right"


def verdict_text(test: Mapping[str, Any]) -> str:
    """A line for each verdict: "fail: p99 e2e latency 2431 ms > 2200 ms (...)"."""
    return "\n".join(f"{verdict['verdict']}: {verdict['sentence']}" for verdict in test["verdicts"])


def run_title(test: Mapping[str, Any], number: int) -> str:
    """A run in a line: its plan and what became of its requests."""
    run = test["runs"][number - 1]
    nth = f"run {number}: " if len(test["runs"]) > 1 else ""
    return f"{nth}{run['plan']['text']}: {run['counts']['ok']} answered, {run['counts']['failed']} failed"


def brief_html(test: Mapping[str, Any]) -> Markup:
    """The same with the figures; styled by itself, as it stands in a page of another.

    Args:
        test: of a document as docs/report.md describes it.
    """
    return tag("div", _verdicts(test["verdicts"]), list(_runs(test)), class_="llmserve")


def _verdicts(verdicts: Sequence[Mapping[str, Any]]) -> Markup | None:
    if not verdicts:
        return None
    lines = [
        tag(
            "li",
            tag("strong", each["verdict"], style=f"color: {_COLOURS[each['verdict']]}"),
            f": {each['sentence']}",
        )
        for each in verdicts
    ]
    return tag("ul", lines)


def _runs(test: Mapping[str, Any]) -> Iterator[Markup]:
    for number, run in enumerate(test["runs"], 1):
        head = tag("tr", [tag("th", name, style=_CELL) for name in ("ms", *_COLUMNS)])
        rows = [_row(title, run["metrics"][name]) for name, title in _ROWS]
        yield join(tag("p", run_title(test, number)), tag("table", tag("thead", head), tag("tbody", rows)))


def _row(title: str, figures: Mapping[str, Any]) -> Markup:
    cells = [tag("td", _figure(figures[name], name), style=_CELL) for name in _COLUMNS]
    return tag("tr", tag("th", title, style=_CELL), cells)


def _figure(value: float | None, column: str) -> str:
    if value is None:
        return "-"
    return str(value) if column == "n" else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
