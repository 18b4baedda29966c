"""How two kept runs differ, as a page of its own: the differences in words, then both runs in each plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_llmserve.reports.html.comparison_plots import pair_plots
from pytest_llmserve.reports.html.figures import figures, placed
from pytest_llmserve.reports.html.markup import Markup, join, tag
from pytest_llmserve.reports.html.plot import Plot
from pytest_llmserve.reports.html.sections.cards import sign, verdict_list
from pytest_llmserve.reports.html.shell import banner, main, whole_page
from pytest_llmserve.reports.html.tables import items, part, table
from pytest_llmserve.reports.html.words import TONES
from pytest_llmserve.reports.pairs_words import (
    HEADS,
    cells,
    headline,
    named_verdicts,
    note,
    run_title,
    sides,
    title,
    warnings,
)
from pytest_llmserve.reports.whole import write_text

Run = Mapping[str, Any]

_QUIET = {None: "?", False: "="}


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_text(comparison_page(document), path)


def comparison_page(document: Mapping[str, Any]) -> str:
    """The whole page of a document "pytest-llmserve/comparison/1"."""
    plots: list[Plot] = []
    runs = [_run(run, place, plots) for place, run in enumerate(document["runs"], 1)]
    return whole_page(
        title(document),
        banner(
            tag("h1", title(document)), tag("p", _sign(document), headline(document)), tone=_tone(document)
        ),
        main(
            part(2, "Verdicts", verdict_list(named_verdicts(document))),
            [part(2, run_title(run), shown) for run, shown in zip(document["runs"], runs, strict=True)],
            part(2, "Not compared", items(list(document["left_out"]))),
        ),
        plots=plots,
    )


def _run(run: Run, place: int, plots: list[Plot]) -> Markup:
    """One pair of runs; its plots are added to `plots`."""
    mine = placed(pair_plots(run), f"run-{place}")
    plots += mine
    rows = [_row(row) for row in run["differences"]]
    return join(
        [tag("p", line, class_="note") for line in warnings(run)],
        items(sides(run)),
        table(f"Differences; {note(run)}", HEADS, rows, words=HEADS[3:]),
        figures(mine),
    )


def _row(row: Mapping[str, Any]) -> list[Markup | str]:
    name, before, after, said = cells(row)
    if not row["seen"]:
        return [name, before, after, join(_QUIET[row["seen"]], " ", said)]
    word = "▲ worse: " if row["worse"] else "▼ better: "
    return [name, before, after, join(tag("strong", word), said)]


def _worst(document: Mapping[str, Any]) -> str | None:
    words = {each["verdict"] for each in document["verdicts"]}
    return next((word for word in ("fail", "undecided", "pass") if word in words), None)


def _tone(document: Mapping[str, Any]) -> str:
    worst = _worst(document)
    return "quiet" if worst is None else TONES[worst]


def _sign(document: Mapping[str, Any]) -> list[Markup | str]:
    """The verdict as sign and word; nothing where nothing was promised."""
    worst = _worst(document)
    return [] if worst is None else [sign(worst), " "]
