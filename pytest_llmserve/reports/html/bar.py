"""A verdict as a line: limit, estimate and interval on one scale, as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_llmserve.reports.html.markup import Markup, tag
from pytest_llmserve.reports.html.words import TONES
from pytest_llmserve.reports.verdict_cells import at_least

_WIDTH = 240.0
_MID = 14.0
_BEYOND = f"M{_WIDTH - 10:.0f} {_MID - 7:.0f}l9 7l-9 7z"
"""An estimate without end: failed requests reach the quantile."""
_ROOM = 1.15
"""The scale goes a little beyond what is farthest on it."""
_FAR = 3.0
"""An end of an interval so many times beyond limit and estimate runs out of the picture."""


@dataclass(frozen=True)
class Places:
    """Where things stand on the line, 0 to 1. `low` and `high` are None without an interval."""

    limit: float
    estimate: float | None
    low: float | None
    high: float | None


def places(verdict: Mapping[str, Any]) -> Places:
    """Limit, estimate and interval of a verdict on a scale of their own."""
    limit, estimate, interval = verdict["limit"], verdict["estimate"], _interval(verdict)
    inner = [0.0, limit, *([] if estimate is None else [estimate])]
    reach = max(map(abs, inner)) or 1.0
    low, high = (None, None) if interval is None else interval
    known = [bound for bound in (low, high) if bound is not None and abs(bound) <= _FAR * reach]
    least, most = min([*inner, *known]), max([*inner, *known])
    least, most = least * _ROOM, (most if most > 0 else 0.0) * _ROOM or reach * (_ROOM - 1)

    def at(value: float) -> float:
        share: float = (value - least) / (most - least)
        return round(min(1.0, max(0.0, share)), 4)

    return Places(
        limit=at(limit),
        estimate=None if estimate is None else at(estimate),
        low=None if interval is None else 0.0 if low is None else at(low),
        high=None if interval is None else 1.0 if high is None else at(high),
    )


def _interval(verdict: Mapping[str, Any]) -> tuple[float | None, float | None] | None:
    """As far as its sentence tells it: none without an end, nor where failed requests broke the limit."""
    low, high = verdict["interval"] or (None, None)
    broken = verdict["estimate"] is None and verdict["verdict"] == "fail"
    return None if broken or low is high is None else (low, high)


def verdict_bar(verdict: Mapping[str, Any]) -> Markup | None:
    """The picture; None where the sentence holds no figure against the limit.

    What it shows stands in the verdict's sentence, so it says nothing to screen readers.
    """
    floor = at_least(verdict)
    if floor is None:
        return None
    found, tone = places(verdict), TONES[verdict["verdict"]]
    limit = found.limit * _WIDTH
    begin, end = (limit, _WIDTH) if floor else (0.0, limit)
    drawn = [
        _box("track", 0, _MID - 3, _WIDTH, 6),
        _box("allowed", begin, _MID - 3, end - begin, 6),
    ]
    if found.low is not None and found.high is not None:
        low, high = found.low * _WIDTH, found.high * _WIDTH
        drawn.append(_box("interval", low, _MID - 5, max(2.0, high - low), 10))
    drawn.append(_box("limit", min(limit, _WIDTH - 2) - 1, _MID - 11, 2, 22))
    if found.estimate is not None:
        drawn.append(tag("circle", cx=_near(found.estimate * _WIDTH), cy=_MID, r=5, class_="estimate"))
    else:
        drawn.append(tag("path", d=_BEYOND, class_="estimate"))
    view = f"0 0 {_WIDTH:.0f} {2 * _MID:.0f}"
    return tag("svg", *drawn, viewBox=view, class_=f"bar {tone}", aria_hidden="true", focusable="false")


def _near(x: float) -> float:
    return round(min(_WIDTH - 5, max(5.0, x)), 1)


def _box(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return tag("rect", x=round(x, 1), y=y, width=round(width, 1), height=height, rx=1, class_=kind)
