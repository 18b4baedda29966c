"""What came of the load over time: latencies, throughput, requests under way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llmserve.domain.outcome import DROPPED, OK
from pytest_llmserve.reports.charts.over_time import NEVER
from pytest_llmserve.reports.html.curve_plots import FARTHEST
from pytest_llmserve.reports.html.plot import AREA, DASHED, EDGE, LIMIT, LINE, LOG, POINTS, Mark, Plot, Series
from pytest_llmserve.reports.html.plot_words import course_rows, figure_text, level_text, sentences
from pytest_llmserve.reports.private import CHARTS

Run = Mapping[str, Any]
Values = list[float | None]
Limit = tuple[str, float]
"""("p95 TTFT", ms)."""
Asked = Sequence[tuple[Run, Sequence[Limit]]]
"""Runs with the limits that were judged of them."""
WARM_UP = "warm-up"
_ASKED = {"e2e_ms": "e2e latency", "ttft_ms": "TTFT"}
"""How limits call them."""
_EACH = {"e2e_ms": 1, "ttft_ms": 3}
"""Every so many of the single requests is drawn: all of them once."""
LATENCY_LINES = (("p50", "a", LINE), ("p95", "b", LINE), ("p99", "d", DASHED))


@dataclass(frozen=True)
class Course:
    """The runs of a test one after the other on one axis, a gap between two."""

    runs: Sequence[Run]
    at_s: list[float]
    marks: Sequence[Mark]
    link: str
    single_requests: bool
    asked: Asked = ()

    @classmethod
    def of(
        cls, runs: Sequence[Run], marks: Sequence[Mark], link: str, single_requests: bool, asked: Asked = ()
    ) -> Course:
        """In the order of time; runs in which nothing was sent are left out."""
        known = [run for run in runs if run[CHARTS]["over_time"]["at_s"]]
        known.sort(key=lambda run: float(run[CHARTS]["start_s"]))
        at_s: list[float] = []
        for run in known:
            at_s += [max(at_s[-1], run[CHARTS]["start_s"])] if at_s else []
            at_s += run[CHARTS]["over_time"]["at_s"]
        return cls(known, at_s, marks, link, single_requests, asked)

    def line(self, *name: str, each_second: bool = False) -> Values:
        """One figure at each of `at_s`; counts of a stretch as a rate with `each_second`."""
        values: Values = []
        for run in self.runs:
            found = over_time = run[CHARTS]["over_time"]
            for key in name:
                found = found[key]
            width_s = over_time["bin_s"] if each_second else 1.0
            values += [None] if values else []
            values += [None if value is None else value / width_s for value in found]
        return values

    def latency(self, figure: str, quantile: str) -> Values:
        """One quantile at each of `at_s`, infinite where failed requests reach it."""
        values, first = self.line(figure, quantile), 0
        for run in self.runs:
            over_time = run[CHARTS]["over_time"]
            for place in over_time[NEVER][figure][quantile]:
                values[first + place] = math.inf
            first += len(over_time["at_s"]) + 1
        return values

    def plot(self, id_: str, title: str, y_name: str, series: Sequence[Series], **more: Any) -> Plot | None:
        """Over the time of the test, with a table of the series that stand on its axis; None without any."""
        series = [each for each in series if any(value is not None for value in each.values)]
        over_time = [each for each in series if not each.x]
        if not any(value is not None and math.isfinite(value) for each in over_time for value in each.values):
            return None
        heads, rows = course_rows(self.at_s, {each.name: each.values for each in over_time})
        told = {"said": sentences(level_text(self.at_s, each) for each in over_time[:3])} | more
        return Plot(
            id=id_,
            title=title,
            x=self.at_s,
            x_name="time into the test",
            x_unit="s",
            y_name=y_name,
            series=series,
            link=self.link,
            marks=self.marks,
            heads=heads,
            rows=rows,
            **told,
        )


def load_plots(
    runs: Sequence[Run],
    marks: Sequence[Mark],
    link: str,
    *,
    single_requests: bool = True,
    asked: Asked = (),
) -> list[Plot]:
    """All of them; empty where nothing was sent.

    Args:
        runs: on one axis of time, each with "_charts".
        marks: on the same axis.
        link: of plots that share it.
        single_requests: those that were answered are drawn as points too.
        asked: the limits of each run, drawn as long as it took.
    """
    course = Course.of(runs, marks, link, single_requests, asked)
    return [plot for make in _PLOTS if (plot := make(course)) is not None]


def _e2e(course: Course) -> Plot | None:
    return _latency(course, "e2e_ms", "End-to-end latency", LATENCY_LINES)


def _ttft(course: Course) -> Plot | None:
    return _latency(course, "ttft_ms", "Time to first token", LATENCY_LINES)


def _tpot(course: Course) -> Plot | None:
    lines = [
        Series(name, course.latency("tpot_ms", name), "ms", colour, style)
        for name, colour, style in LATENCY_LINES[:2]
    ]
    return course.plot(
        "tpot",
        "Time per output token",
        "ms",
        [*lines, *_limits(course, "TPOT", lines)],
        said=sentences(level_text(course.at_s, each) for each in lines),
    )


def _latency(course: Course, figure: str, title: str, lines: Sequence[tuple[str, str, str]]) -> Plot | None:
    answered, failed = _points(course, figure)
    over_time = [
        Series(name, course.latency(figure, name), "ms", colour, style) for name, colour, style in lines
    ]
    said = sentences([*(level_text(course.at_s, each) for each in over_time[:2]), _failures(course)])
    single = [each for each in (answered, failed) if each.x]
    promised = _limits(course, _ASKED[figure], [answered, *over_time])
    # Points first, so that lines are drawn over them.
    drawn = [*single, *over_time, *promised]
    return course.plot(figure.removesuffix("_ms"), title, "ms", drawn, y_scale=LOG, said=said)


def _limits(course: Course, name: str, drawn: Sequence[Series]) -> list[Series]:
    """Those of this latency, each over the runs that it was judged of; not one that is far above all."""
    values = (value for each in drawn for value in each.values if value is not None)
    highest = max(filter(math.isfinite, values), default=0.0)
    corners: dict[tuple[str, float], list[tuple[float, float | None]]] = {}
    for run, limits in course.asked:
        for what, limit_ms in limits:
            if what.partition(" ")[2] == name and limit_ms <= FARTHEST * highest:
                start_s, end_s = (run[CHARTS][end] for end in ("start_s", "end_s"))
                row = corners.setdefault((what, limit_ms), [])
                row += [(start_s, None)] if row else []
                row += [(start_s, limit_ms), (end_s, limit_ms)]
    return [
        Series(
            f"limit {what} {figure_text(limit_ms, 'ms')}",
            [ms for _, ms in row],
            "ms",
            "fail",
            LIMIT,
            x=[at for at, _ in row],
        )
        for (what, limit_ms), row in corners.items()
    ]


def _points(course: Course, figure: str) -> tuple[Series, Series]:
    """Single requests: those answered, and those that failed, on the upper edge."""
    answered: list[tuple[float, float, str]] = []
    failed: list[tuple[float, str]] = []
    never_sent = True
    for run in course.runs:
        words, points = run[CHARTS]["outcomes"], run[CHARTS]["points"]
        columns = zip(points["at_s"], points[figure], points["id"], points["outcome"], strict=True)
        for at_s, ms, id_, outcome in columns:
            if words[outcome] != OK:
                never_sent = never_sent and words[outcome] == DROPPED
                failed.append((at_s, f"request {id_}: {words[outcome]}"))
            elif ms is not None:
                answered.append((at_s, ms, f"request {id_}"))
    answered = sorted(answered)[:: _EACH[figure]] if course.single_requests else []
    failed.sort()
    at_s = [row[0] for row in answered]
    values, labels = [row[1] for row in answered], [row[2] for row in answered]
    edge = [1.0] * len(failed)
    return (
        Series("requests", values, "ms", "muted", POINTS, labels, at_s),
        Series(
            "never sent" if never_sent else "failed",
            edge,
            "",
            "fail",
            EDGE,
            [row[1] for row in failed],
            [row[0] for row in failed],
        ),
    )


def _failures(course: Course) -> str:
    failed, dropped = (sum(run["counts"][word] for run in course.runs) for word in ("failed", "dropped"))
    never_sent = f", {dropped:,} never sent" if dropped else ""
    return (f"{failed:,} failed" if failed else "none failed") + never_sent


def _throughput(course: Course) -> Plot | None:
    failed = course.line("failed", each_second=True)
    series = [
        Series("sent", course.line("sent", each_second=True), "/s", "muted", DASHED),
        Series("answered", course.line("requests_per_s"), "/s", "c"),
        *([Series("failed", failed, "/s", "fail")] if any(failed) else []),
    ]
    return course.plot("throughput", "Requests per second", "requests/s", series)


def _tokens(course: Course) -> Plot | None:
    series = [Series("output tokens", course.line("output_tokens_per_s"), "/s", "e")]
    return course.plot("tokens", "Output tokens per second", "tokens/s", series)


def _in_flight(course: Course) -> Plot | None:
    series = [Series("under way", course.line("in_flight"), "", "a", AREA), _users(course)]
    return course.plot(
        "in-flight", "Requests under way", "requests", [each for each in series if each.values]
    )


def _users(course: Course) -> Series:
    """The users that were planned, where a run or its stages have a number of them."""
    corners: list[tuple[float, float | None]] = []
    for run in course.runs:
        for stage in run.get("stages") or ():
            users = stage["users"]
            if users is None or stage["label"] == WARM_UP:
                continue
            begin, end = users if isinstance(users, (list, tuple)) else (users, users)
            start_s = run[CHARTS]["start_s"]
            corners += [(start_s + stage["start_s"], begin), (start_s + stage["end_s"], end)]
        corners += [(run[CHARTS]["end_s"], None)]
    planned = corners if any(users is not None for _, users in corners) else []
    return Series(
        "users planned", [users for _, users in planned], "", "b", DASHED, x=[at for at, _ in planned]
    )


_PLOTS: tuple[Callable[[Course], Plot | None], ...] = (_e2e, _ttft, _tpot, _throughput, _tokens, _in_flight)
