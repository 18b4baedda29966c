"""Where a plot stands in the page: its words, the box it is drawn in, and its figures as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_llmserve.reports.html.drawing import plot_box
from pytest_llmserve.reports.html.markup import Markup, tag
from pytest_llmserve.reports.html.plot import Plot
from pytest_llmserve.reports.html.tables import table


def figure(plot: Plot) -> Markup:
    """The figure. Without script its words and its table are there."""
    title, said = f"{plot.id}-title", f"{plot.id}-said"
    rows = table(plot.title, plot.heads, plot.rows) if plot.rows else None
    return tag(
        "figure",
        tag("figcaption", tag("span", plot.title, id=title, class_="title"), tag("span", plot.said, id=said)),
        plot_box(plot),
        tag("details", tag("summary", "Figures as a table"), rows, class_="as-table") if rows else None,
        class_="plot",
        id=plot.id,
        aria_labelledby=title,
        aria_describedby=said,
    )


def figures(plots: Sequence[Plot]) -> Markup | None:
    """Several, side by side where there is room; None where there is none."""
    return tag("div", [figure(plot) for plot in plots], class_="plots") if plots else None


def placed(plots: Sequence[Plot], place: str) -> list[Plot]:
    """The same under names of their own: ids, and links, are of one part of the page.

    Args:
        plots: of one part.
        place: name of the part, unlike any other of the page.
    """
    return [
        replace(plot, id=f"{place}-{plot.id}", link=f"{place}-{plot.link}" if plot.link else "")
        for plot in plots
    ]
