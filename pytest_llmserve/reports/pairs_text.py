"""A comparison of kept runs on a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from pytest_llmserve.reports.pairs_words import (
    HEADS,
    cells,
    headline,
    note,
    run_title,
    sides,
    verdict_lines,
    warnings,
)

_COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow"}


def comparison_lines(document: Mapping[str, Any], width: int, colour: bool, verbosity: int) -> list[str]:
    """The lines to print; with verbosity below 0 the headline and the verdicts alone."""
    from rich.console import Console

    console = Console(
        file=io.StringIO(),
        width=max(60, width),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
    )
    for run in document["runs"] if verbosity >= 0 else ():
        _print_run(console, run)
    for line in document["left_out"]:
        _plain(console, f"not compared: {line}", "yellow")
    for verdict, line in zip(document["verdicts"], verdict_lines(document), strict=True):
        _plain(console, line, _COLOURS[verdict["verdict"]])
    _plain(console, headline(document), "bold")
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


def _print_run(console: Any, run: Mapping[str, Any]) -> None:
    from rich import box
    from rich.padding import Padding
    from rich.table import Table

    _plain(console, run_title(run), "bold")
    for line in sides(run):
        _plain(console, f"  {line}")
    for line in warnings(run):
        _plain(console, f"  {line}", "yellow")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for place, head in enumerate(HEADS):
        figures = place in (1, 2)
        table.add_column(head, justify="right" if figures else "left", no_wrap=figures, overflow="fold")
    for row in run["differences"]:
        table.add_row(*cells(row), style=_style(row))
    console.print(Padding(table, (0, 0, 0, 2)))
    _plain(console, f"  {note(run)}")


def _style(row: Mapping[str, Any]) -> str | None:
    return None if not row["seen"] else "red" if row["worse"] else "green"


def _plain(console: Any, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, emoji=False, soft_wrap=True)
