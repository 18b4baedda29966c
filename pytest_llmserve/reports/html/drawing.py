"""What the page needs for its plots to be drawn: their data for the script, the script, the style."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from pytest_llmserve.reports.html.markup import Markup, raw, tag
from pytest_llmserve.reports.html.plot import Mark, Plot, Series

PLOTS_ID = "llmserve-plots"
SCRIPTS = ("uPlot.iife.min.js", "ticks.js", "marks.js", "lines.js", "options.js", "report.js")
"""In this order; they look for plots when the document has been read."""
STYLES = ("uPlot.min.css", "plots.css")
DIGITS = 5
"""Significant digits of a value; more than any screen shows."""
INERT = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def asset(name: str) -> str:
    """One of our own scripts or styles, or the vendored library."""
    return (resources.files(__package__) / "assets" / name).read_text("utf-8")


def plots_element(plots: Iterable[Plot]) -> Markup:
    """The data of all plots of a page, as the script looks for it."""
    data = json.dumps([plot_data(plot) for plot in plots], separators=(",", ":"), allow_nan=False)
    return tag("script", raw(data.translate(INERT)), type="application/json", id=PLOTS_ID)


def plot_box(plot: Plot) -> Markup:
    """Where the script draws; it stays empty without one."""
    return tag("div", class_="plot-box", data_plot=plot.id)


def plot_scripts() -> Markup:
    """All scripts that plots need, the library first, as one text."""
    return raw("\n".join(asset(name) for name in SCRIPTS))


def plot_styles() -> Markup:
    """All styles that plots need, as one text."""
    return raw("\n".join(asset(name) for name in STYLES))


def plot_data(plot: Plot) -> dict[str, Any]:
    """A plot as the script reads it: plain, short, what is not finite is nothing."""
    return {
        "id": plot.id,
        "title": plot.title,
        "said": plot.said,
        "x": numbers(plot.x, DIGITS + 2),
        "xName": plot.x_name,
        "xUnit": plot.x_unit,
        "xScale": plot.x_scale,
        "yName": plot.y_name,
        "yScale": plot.y_scale,
        "link": plot.link,
        "series": [_series(series) for series in plot.series],
        "marks": [_mark(mark) for mark in plot.marks],
    }


def _series(series: Series) -> dict[str, Any]:
    told = {"name": series.name, "unit": series.unit, "colour": series.colour, "style": series.style}
    own = {"x": numbers(series.x, DIGITS + 2)} if series.x else {}
    endless = [place for place, value in enumerate(series.values) if value == math.inf]
    never = {"never": endless} if endless else {}
    return {**told, "y": numbers(series.values, DIGITS), **own, **never, **_labels(series.labels)}


def _labels(labels: Sequence[str]) -> dict[str, Any]:
    """What all of thousands of labels begin with is told once."""
    if not labels:
        return {}
    low, high = min(labels), max(labels)
    shared = next((n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return {"labels": [label[shared:] for label in labels], "labelled": low[:shared]}


def _mark(mark: Mark) -> dict[str, Any]:
    until = {} if mark.until is None else {"until": round(mark.until, 3)}
    return {"at": round(mark.at, 3), "label": mark.label, "kind": mark.kind, **until}


def numbers(values: Sequence[float | None], digits: int) -> list[float | int | None]:
    """Values with so many significant digits, whole ones without a point; what is not finite is None."""
    return [_number(value, digits) for value in values]


def _number(value: float | None, digits: int) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() else short
