"""The stages of a run beside each other: what more load brought, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.plot import DASHED, LINE, LOG, Plot, Series
from pytest_llmserve.reports.html.plot_words import Row, figure_text, sentences

FEWEST = 3
"""Of two levels a table says as much."""

Stage = Mapping[str, Any]


def stage_plots(stages: Sequence[Stage]) -> list[Plot]:
    """Throughput and latency by level of load; empty without three levels, each steady, each higher."""
    for key, unit in (("users", "users"), ("rate", "requests/s")):
        steady = [stage for stage in stages if _level(stage, key) is not None and stage["label"] != "warm-up"]
        levels = [float(stage[key]) for stage in steady]
        if len(levels) >= FEWEST and levels == sorted(set(levels)):
            found = (_throughput(steady, levels, unit), _latency(steady, levels, unit))
            return [plot for plot in found if plot is not None]
    return []


def _level(stage: Stage, key: str) -> float | None:
    value = stage.get(key)
    return value if isinstance(value, (int, float)) else None


def _throughput(stages: Sequence[Stage], levels: Sequence[float], unit: str) -> Plot | None:
    answered = [stage["requests_per_s"] for stage in stages]
    series = [Series("answered", answered, "/s", "c", LINE)]
    return _plot("stage-throughput", "Requests per second by load", "requests/s", levels, unit, series)


def _latency(stages: Sequence[Stage], levels: Sequence[float], unit: str) -> Plot | None:
    series = [
        Series("TTFT p95", [stage["ttft_ms"]["p95"] for stage in stages], "ms", "a", DASHED),
        Series("e2e p95", [stage["e2e_ms"]["p95"] for stage in stages], "ms", "b", LINE),
    ]
    return _plot("stage-latency", "p95 latency by load", "ms", levels, unit, series, y_scale=LOG)


def _plot(
    id_: str, title: str, y_name: str, levels: Sequence[float], unit: str, series: list[Series], **more: Any
) -> Plot | None:
    known = [each for each in series if any(value is not None for value in each.values)]
    if not known:
        return None
    rows: list[Row] = [
        (figure_text(level), *(figure_text(each.values[place]) for each in known))
        for place, level in enumerate(levels)
    ]
    said = sentences(
        f"{each.name} {figure_text(each.values[0], each.unit)} at {figure_text(levels[0], unit)}, "
        f"{figure_text(each.values[-1], each.unit)} at {figure_text(levels[-1], unit)}"
        for each in known
    )
    return Plot(
        id=id_,
        title=title,
        said=said,
        x=levels,
        x_name="users" if unit == "users" else "planned rate",
        x_unit="" if unit == "users" else unit,
        y_name=y_name,
        series=known,
        heads=(unit, *(each.name for each in known)),
        rows=rows,
        **more,
    )
