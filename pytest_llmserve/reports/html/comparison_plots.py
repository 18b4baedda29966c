"""The plots of two runs over each other: percentiles, distributions, course, throughput."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.plot import DASHED, LINE, LINEAR, LOG, PERCENTILE, Plot, Series
from pytest_llmserve.reports.html.plot_words import course_rows, few, figure_text
from pytest_llmserve.reports.html.words import number

NAMES = {"e2e_ms": "End-to-end latency", "ttft_ms": "Time to first token", "tpot_ms": "Time per output token"}
RATES = {"requests_per_s": ("Requests", "requests/s"), "output_tokens_per_s": ("Output tokens", "tokens/s")}
_TOLD = (0.5, 0.9, 0.95, 0.99, 0.999)
_BEFORE, _AFTER = "muted", "a"
"""Colours; the line of before is dashed too."""


def pair_plots(run: Mapping[str, Any]) -> list[Plot]:
    """Of one pair of runs, see `reports.overlaid.curves`; ids and links are to be made its own."""
    curves = run["_curves"]
    return [
        *(_percentiles(name, found) for name, found in curves["quantiles"].items()),
        *(_distribution(name, found) for name, found in curves["histograms"].items()),
        *(_course(name, found) for name, found in curves["course"].items()),
        *(_rate(name, found) for name, found in curves["rates"].items()),
    ]


def _percentiles(name: str, found: Mapping[str, Any]) -> Plot:
    rows = [
        [f"p{100 * q:g}", *(number(found[side][place]) for side in ("before", "after"))]
        for place, q in enumerate(found["q"])
        if q in _TOLD
    ]
    return Plot(
        id=f"percentiles-{_slug(name)}",
        title=f"{NAMES[name]} by percentile",
        said="; ".join(f"{word} {a} ms before, {b} ms after" for word, a, b in rows),
        x=found["q"],
        x_name="share of requests",
        x_unit="",
        x_scale=PERCENTILE,
        y_name="ms",
        y_scale=LOG,
        series=_both(found, "ms"),
        heads=("percentile", "before, ms", "after, ms"),
        rows=rows,
    )


def _distribution(name: str, found: Mapping[str, Any]) -> Plot:
    rows = [
        (figure_text(ms), *(f"{found[side][place]:.1f}" for side in ("before", "after")))
        for place, ms in enumerate(found["ms"])
        if found["before"][place] or found["after"][place]
    ]
    return Plot(
        id=f"distribution-{_slug(name)}",
        title=f"{NAMES[name]}, distribution",
        said="How many of the requests took how long.",
        x=found["ms"],
        x_name=NAMES[name],
        x_unit="ms",
        x_scale=LOG,
        y_name="% of requests",
        series=_both(found, "%"),
        heads=("about, ms", "before, %", "after, %"),
        rows=few(rows),
    )


def _course(name: str, found: Mapping[str, Any]) -> Plot:
    series = [
        Series(f"{side} {quantile}", _endless(found, f"{side}_{quantile}"), "ms", colour, style)
        for side, style, colours in (("before", DASHED, ("muted", "f")), ("after", LINE, ("a", "b")))
        for quantile, colour in zip(("p50", "p95"), colours, strict=True)
    ]
    return _over_run(
        f"course-{_slug(name)}",
        f"{NAMES[name]} through the run",
        "Median and p95 of requests sent one after the other.",
        found["at"],
        "ms",
        series,
    )


def _endless(found: Mapping[str, Any], line: str) -> list[float | None]:
    never = set(found["never"][line])
    return [math.inf if place in never else value for place, value in enumerate(found[line])]


def _rate(name: str, found: Mapping[str, Any]) -> Plot:
    title, unit = RATES[name]
    said = f"{title} finished per second through the steady part of the run."
    return _over_run(
        f"rate-{_slug(name)}", f"{title} per second", said, found["at"], unit, _both(found, unit)
    )


def _over_run(
    id_: str, title: str, said: str, at: Sequence[float], unit: str, series: Sequence[Series]
) -> Plot:
    (_, *names), rows = course_rows(at, {each.name: each.values for each in series})
    return Plot(
        id=id_,
        title=title,
        said=said,
        x=at,
        x_name="share of the run",
        x_unit="%",
        x_scale=LINEAR,
        y_name=unit,
        series=series,
        link="course",
        heads=("% of the run", *(f"{each}, {unit}" for each in names)),
        rows=rows,
    )


def _both(found: Mapping[str, Any], unit: str) -> list[Series]:
    return list(_sides(found, unit))


def _sides(found: Mapping[str, Any], unit: str) -> Iterator[Series]:
    yield Series("before", found["before"], unit, _BEFORE, DASHED)
    yield Series("after", found["after"], unit, _AFTER, LINE)


def _slug(name: str) -> str:
    return name.replace("_", "-")
