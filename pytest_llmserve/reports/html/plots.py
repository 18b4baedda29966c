"""The plots of a test and of its runs, from their document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.curve_plots import curve_plots
from pytest_llmserve.reports.html.load_plots import load_plots
from pytest_llmserve.reports.html.plot import Mark, Plot
from pytest_llmserve.reports.html.server_plots import server_plots
from pytest_llmserve.reports.html.stage_plots import stage_plots
from pytest_llmserve.reports.private import CHARTS

TIME = "time"
"""Link of all plots over the time of one test."""
RUN_TIME = "run-time"
"""Of the plots over the time of one run that has an axis of its own."""


def plots_of_test(test: Mapping[str, Any], *, single_requests: bool = True) -> list[Plot]:
    """What happened in a test over its time: all its runs, and its server. Empty without figures.

    Args:
        test: one of "tests" of the document, with "_charts" in its runs and "_marks".
        single_requests: those that were answered are drawn as points too; failed ones always are.
    """
    placed = [(place, run) for place, run in enumerate(test.get("runs") or ()) if on_test_axis(run)]
    runs = [run for _, run in placed]
    asked = [(run, limits(test, place)) for place, run in placed]
    marks = marks_of([*(row for run in runs for row in run[CHARTS]["marks"]), *(test.get("_marks") or ())])
    resources = test.get("resources") or {}
    return [
        *load_plots(runs, marks, TIME, single_requests=single_requests, asked=asked),
        *server_plots(resources.get("series") or {}, marks, TIME),
    ]


def plots_of_run(test: Mapping[str, Any], place: int) -> list[Plot]:
    """Its percentiles with the test's limits, its distributions, its stages one beside the other.

    Args:
        test: as of `plots_of_test`.
        place: of the run in "runs", from 0.
    """
    run: Mapping[str, Any] = test["runs"][place]
    charts: Mapping[str, Any] | None = run.get(CHARTS)
    if not charts:
        return []
    asked = limits(test, place)
    marks = marks_of(charts["marks"])
    own = [] if on_test_axis(run) else load_plots([run], marks, RUN_TIME, asked=[(run, asked)])
    return [*own, *stage_plots(run.get("stages") or ()), *curve_plots(charts, asked)]


def on_test_axis(run: Mapping[str, Any]) -> bool:
    """The rounds of a comparison were moved together: their time is not that of the test."""
    charts: Mapping[str, Any] = run.get(CHARTS) or {}
    return bool(charts) and charts.get("axis", "test") == "test"


def marks_of(rows: Sequence[Mapping[str, Any]]) -> list[Mark]:
    """Marks in the order of time, each once."""
    marks = {Mark(row["at_s"], row["label"], row["kind"], row.get("until_s")): None for row in rows}
    return sorted(marks, key=lambda mark: mark.at)


def limits(test: Mapping[str, Any], place: int) -> list[tuple[str, float]]:
    """("p95 TTFT", limit in ms) of the limits of latency that were judged of a run."""
    label = f" (run {place + 1} of {len(test['runs'])})" if len(test["runs"]) > 1 else ""
    return [
        (verdict["what"].removesuffix(label), verdict["limit"])
        for verdict in test.get("verdicts") or ()
        if verdict["check"] == "latency" and verdict["what"].endswith(label) and verdict["limit"] is not None
    ]
