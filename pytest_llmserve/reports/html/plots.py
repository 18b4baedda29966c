"""The plots of a test and of its runs, from their document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.curve_plots import curve_plots
from pytest_llmserve.reports.html.load_plots import load_plots
from pytest_llmserve.reports.html.plot import Mark, Plot
from pytest_llmserve.reports.html.server_plots import server_plots
from pytest_llmserve.reports.html.stage_plots import stage_plots
from pytest_llmserve.reports.merged import merged_text
from pytest_llmserve.reports.private import CHARTS

TIME = "time"
"""Link of all plots over the time of one test."""
RUN_TIME = "run-time"
"""Of the plots over the time of one run that has an axis of its own."""
_NAMED = 8
"""Runs that are named in a sentence."""


def plots_of_test(test: Mapping[str, Any], *, single_requests: bool = True) -> list[Plot]:
    """What happened in a test over its time: all its runs, and its server. Empty without figures.

    Args:
        test: one of "tests" of the document, with "_charts" in its runs and "_marks".
        single_requests: those that were answered are drawn as points too; failed ones always are.
    """
    placed = [
        (place, run)
        for place, run in enumerate(test.get("runs") or ())
        if on_test_axis(run) and not at_once(test, place)
    ]
    runs = [run for _, run in placed]
    asked = [(run, limits(test, place)) for place, run in placed]
    marks = marks_of([*(row for run in runs for row in run[CHARTS]["marks"]), *(test.get("_marks") or ())])
    resources = test.get("resources") or {}
    return [
        *load_plots(runs, marks, TIME, single_requests=single_requests, asked=asked),
        *server_plots(resources.get("series") or {}, marks, TIME),
    ]


def plots_of_run(test: Mapping[str, Any], place: int, *, single_requests: bool = True) -> list[Plot]:
    """Its percentiles with the test's limits, its distributions, its stages one beside the other.

    First its course, where that is not among the plots of the test.

    Args:
        test: as of `plots_of_test`.
        place: of the run in "runs", from 0.
        single_requests: as of `plots_of_test`.
    """
    run: Mapping[str, Any] = test["runs"][place]
    charts: Mapping[str, Any] | None = run.get(CHARTS)
    if not charts:
        return []
    asked, merged = limits(test, place), merged_text(run.get("generator") or {})
    joined = on_test_axis(run) and not at_once(test, place)
    own = [] if joined else _course(test, run, asked, single_requests)
    return [*own, *stage_plots(run.get("stages") or ()), *curve_plots(charts, asked, merged)]


def _course(
    test: Mapping[str, Any], run: Mapping[str, Any], asked: list[tuple[str, float]], single_requests: bool
) -> list[Plot]:
    """The plots over the time of one run alone."""
    around = (test.get("_marks") or ()) if on_test_axis(run) else ()
    marks = marks_of([*run[CHARTS]["marks"], *around])
    return load_plots([run], marks, RUN_TIME, single_requests=single_requests, asked=[(run, asked)])


def at_once(test: Mapping[str, Any], place: int) -> bool:
    """Whether another run went on during this one: no line over time could join the two."""
    runs = [run if on_test_axis(run) else None for run in test.get("runs") or ()]
    own = runs[place]
    return own is not None and any(
        run[CHARTS]["start_s"] < own[CHARTS]["end_s"] and own[CHARTS]["start_s"] < run[CHARTS]["end_s"]
        for run in runs
        if run is not None and run is not own
    )


def at_once_text(test: Mapping[str, Any]) -> str:
    """Where the plots of such runs are; "" without any."""
    numbers = [str(place + 1) for place in range(len(test["runs"])) if at_once(test, place)]
    if not numbers:
        return ""
    named = f"Runs {', '.join(numbers[:-1])} and {numbers[-1]}"
    told = named if len(numbers) <= _NAMED else f"{len(numbers)} runs"
    return f"{told} overlap in time: the plots over time of each stand with it."


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
