"""A plot for those who do not see it: a sentence, and a table of a few dozen rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median_low
from typing import TypeVar

from pytest_llmserve.reports.html.plot import Numbers, Series

MOST_ROWS = 24
"""Of a table: enough to read a course, few enough to read."""

Row = tuple[str, ...]
T = TypeVar("T")


def figure_text(value: float | None, unit: str = "") -> str:
    """A figure with three digits or more: "0.42 ms", "38.1 s", "12,345"; "-" for none, "∞" for endless."""
    if value is None:
        return "-"
    if math.isinf(value):
        return "∞"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2
    told = f"{value:,.{digits}f}"
    short = told.rstrip("0").rstrip(".") if "." in told else told
    return f"{short} {unit}" if unit else short


def course_text(x: Sequence[float], series: Series) -> str:
    """How a series goes over time: "p50 from 210 ms to 320 ms, highest 500 ms at 12 s"."""
    own = series.x or x
    known = [(value, at) for value, at in zip(series.values, own, strict=True) if value is not None]
    if not known:
        return f"{series.name}: none"
    (first, _), (last, _) = known[0], known[-1]
    highest, at = max(known, key=lambda pair: pair[0])
    ends = (figure_text(value, series.unit) for value in (first, last, highest))
    begin, end, most = ends
    return f"{series.name} from {begin} to {end}, highest {most} at {figure_text(at, 's')}"


def level_text(x: Sequence[float], series: Series) -> str:
    """What is usual of a series: "answered 20 /s in the median, highest 38 /s at 12 s".

    Where failed requests reach it: "p95 never (failed) in 3 of 10 intervals, else 14 ms in the median, ...".
    """
    known = [(value, at) for value, at in zip(series.values, series.x or x, strict=True) if value is not None]
    if not known:
        return f"{series.name}: none"
    ended = [(value, at) for value, at in known if math.isfinite(value)]
    never = f"never (failed) in {len(known) - len(ended)} of {len(known)} intervals"
    if not ended:
        return f"{series.name} {never}"
    highest, at = max(ended, key=lambda pair: pair[0])
    middle = figure_text(median_low([value for value, _ in ended]), series.unit)
    begin = series.name if len(ended) == len(known) else f"{series.name} {never}, else"
    most = figure_text(highest, series.unit)
    return f"{begin} {middle} in the median, highest {most} at {figure_text(at, 's')}"


def sentences(parts: Iterable[str]) -> str:
    """Parts as one text; those that are empty are left out."""
    told = [part for part in parts if part]
    return "; ".join(told) + "." if told else ""


def few(rows: Sequence[T]) -> list[T]:
    """At most 24 of them, spread over all, the first and the last among them."""
    if len(rows) <= MOST_ROWS:
        return list(rows)
    step = (len(rows) - 1) / (MOST_ROWS - 1)
    return [rows[round(place * step)] for place in range(MOST_ROWS)]


def course_rows(x: Sequence[float], columns: Mapping[str, Numbers]) -> tuple[Row, list[Row]]:
    """Heads and rows of a table over time; instants of which nothing is known are left out."""
    lines = list(columns.values())
    places = few([place for place in range(len(x)) if any(line[place] is not None for line in lines)])
    rows = [(figure_text(x[place]), *(figure_text(line[place]) for line in lines)) for place in places]
    return ("s", *columns), rows
