"""A plot as plain data: what the script of the report draws, and the same as words and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Numbers = Sequence[float | None]

LINE, DASHED, POINTS, BARS, AREA = "line", "dashed", "points", "bars", "area"
EDGE = "edge"
"""Points on the upper edge, wherever the y axis ends: requests that failed have no latency."""
LIMIT = "limit"
"""A dotted line with its name beside it."""
LINEAR, LOG, PERCENTILE = "linear", "log", "percentile"
"""Scales. `PERCENTILE` spreads shares towards 1 as HdrHistogram's plots do: -log10(1 - q)."""


@dataclass(frozen=True)
class Series:
    """One line of a plot.

    Attributes:
        values: one for each of the plot's `x`; None = nothing there, infinite = failed requests reach it:
            there the line goes to the upper edge.
        colour: name of a colour of the style sheet: "a" to "f", "ok", "fail", "muted".
        style: LINE, DASHED, POINTS, BARS, AREA, EDGE or LIMIT. A bar reaches from its x to the next.
        labels: a word for each value, shown beside it; empty = none.
        x: its own, rising, where its values do not stand at the plot's; empty = they do.
    """

    name: str
    values: Numbers
    unit: str
    colour: str = "a"
    style: str = LINE
    labels: Sequence[str] = ()
    x: Sequence[float] = ()


@dataclass(frozen=True)
class Mark:
    """An instant, or a stretch, on the x axis: a restart, a line in the log, a stage.

    Attributes:
        until: where the stretch ends; None = an instant.
        kind: "restart", "log", "stage", "warm-up", "ramp-up", "gone", "ended", "stall".
    """

    at: float
    label: str
    kind: str
    until: float | None = None


@dataclass(frozen=True)
class Plot:
    """One figure.

    Attributes:
        id: of the element, unlike any other of the page: letters, digits, dashes.
        said: what it shows in a sentence, for those who do not see it.
        x_name, x_unit: of the x axis: "time into the test", "s".
        link: plots of one link share pointer and zoom of the x axis; "" = none.
        heads, rows: the figures as a table of text, of at most a few dozen rows; first column = row headers.
    """

    id: str
    title: str
    said: str
    x: Sequence[float]
    x_name: str
    x_unit: str
    y_name: str
    series: Sequence[Series]
    x_scale: str = LINEAR
    y_scale: str = LINEAR
    link: str = ""
    marks: Sequence[Mark] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default=())
