"""The server's figures over the time of a test: memory, CPU, GPU, requests it says it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median

from pytest_llmserve.reports.html.plot import AREA, DASHED, LINE, Mark, Numbers, Plot, Series
from pytest_llmserve.reports.html.plot_words import course_rows, course_text, sentences

GAP = 4
"""So many times longer than usual nobody told a figure: a line over that would be an invention."""

Line = tuple[str, str, str, str]
"""Figure of the document, its name in the plot, colour, style."""

PLOTS: tuple[tuple[str, str, str, tuple[Line, ...]], ...] = (
    (
        "queue",
        "Requests in the server",
        "",
        (("running", "in work", "a", LINE), ("queue", "in the queue", "b", LINE)),
    ),
    ("kv-cache", "KV cache in use", "%", (("kv_cache_percent", "KV cache", "d", AREA),)),
    (
        "memory",
        "Memory of the server",
        "MB",
        (
            ("rss_mb", "RSS", "a", LINE),
            ("held_mb", "anonymous and shared", "c", LINE),
            ("memory_mb", "USS + swap", "b", DASHED),
            ("cgroup_mb", "control group", "muted", LINE),
            ("cgroup_limit_mb", "its limit", "fail", DASHED),
        ),
    ),
    (
        "cpu",
        "CPU of the server (100 % = one core)",
        "%",
        (("cpu_percent", "all processes", "a", AREA), ("busiest_percent", "busiest process", "b", LINE)),
    ),
    (
        "host-cpu",
        "CPU of the machine (100 % = all cores)",
        "%",
        (("host_cpu_percent", "machine", "e", AREA),),
    ),
    (
        "gpu",
        "GPU",
        "%",
        (("gpu_percent", "busy", "c", AREA), ("gpu_memory_percent", "memory in use", "d", LINE)),
    ),
    (
        "gpu-memory",
        "GPU memory",
        "MB",
        (("gpu_mb", "of the server", "d", LINE), ("gpu_memory_mb", "by anyone", "muted", DASHED)),
    ),
    (
        "handles",
        "Threads and open files",
        "",
        (("threads", "threads", "a", LINE), ("open_files", "open files", "b", LINE)),
    ),
)
"""Id, title, unit, lines: those drawn of which anything was read."""


def server_plots(series: Mapping[str, Numbers], marks: Sequence[Mark], link: str) -> list[Plot]:
    """One for each kind of figure that was read at two instants or more.

    Args:
        series: of "resources" of a test: "at_s" and figures.
        marks: on the same axis.
        link: of plots that share it.
    """
    at_s = [float(at) for at in series.get("at_s") or () if at is not None]
    found = (_plot(row, series, at_s, marks, link) for row in PLOTS)
    return [plot for plot in found if plot is not None]


def _plot(
    row: tuple[str, str, str, tuple[Line, ...]],
    series: Mapping[str, Numbers],
    at_s: Sequence[float],
    marks: Sequence[Mark],
    link: str,
) -> Plot | None:
    id_, title, unit, lines = row
    read = [line for line in lines if _known(series, line[0]) > 1 and not _far(series, line[0])]
    drawn = [_series(series[figure], name, unit, colour, style, at_s) for figure, name, colour, style in read]
    if not drawn:
        return None
    heads, rows = course_rows(at_s, {name: series[figure] for figure, name, _, _ in read})
    return Plot(
        id=id_,
        title=title,
        said=sentences(course_text(at_s, each) for each in drawn[:3]),
        x=at_s,
        x_name="time into the test",
        x_unit="s",
        y_name=unit or "number",
        series=drawn,
        link=link,
        marks=marks,
        heads=heads,
        rows=rows,
    )


def _series(values: Numbers, name: str, unit: str, colour: str, style: str, at_s: Sequence[float]) -> Series:
    """Joined over stretches without a reading, as long as they are usual for this figure; else a gap."""
    known = [(at, value) for at, value in zip(at_s, values, strict=True) if value is not None]
    if len(known) == len(at_s):
        return Series(name, values, unit, colour, style)
    usual_s = median(after - before for (before, _), (after, _) in pairwise(known))
    points: list[tuple[float, float | None]] = []
    for at, value in known:
        if points and at - points[-1][0] > GAP * usual_s:
            points.append(((points[-1][0] + at) / 2, None))
        points.append((at, value))
    return Series(name, [value for _, value in points], unit, colour, style, x=[at for at, _ in points])


def _known(series: Mapping[str, Numbers], figure: str) -> int:
    return sum(value is not None for value in series.get(figure) or ())


def _far(series: Mapping[str, Numbers], figure: str) -> bool:
    """A limit twice what was used or more would press what was used flat."""
    if figure != "cgroup_limit_mb":
        return False
    used = max((value for value in series.get("cgroup_mb") or () if value is not None), default=0.0)
    return min(value for value in series[figure] if value is not None) > 2 * used
