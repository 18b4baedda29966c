"""Tables of a terminal: figures stand whole in whatever width, long names fold, columns go below."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_llmserve.domain.printable import printable

_LEAST_NAME = 10
_NAME_LINES = 3
_BETWEEN = 1
_INDENT = 2
_BARE_QUANTILE = re.compile(r"p\d+")


def figure_text(value: float | None, column: str) -> str:
    """A figure of a column: counts whole, all else in three digits where it is small; "-" = none."""
    if value is None:
        return "-"
    if column in {"n", "failed", "dropped"}:
        return str(int(value))
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def print_rows(console: Any, heads: Sequence[str], rows: Sequence[Sequence[str]], padding: int = 0) -> None:
    """A table, its first column names and the others figures; several of them where one is too wide.

    Args:
        console: of rich.
        heads: of the columns.
        rows: their texts.
        padding: further blanks beside each figure, where there is room for them.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text  # plain words would be read as markup

    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    room = console.width - _INDENT
    names, parts = _fitted(heads, widths, room)
    if sum(widths) + (len(widths) - 1) * (_BETWEEN + 2 * padding) > room:
        padding = 0
    for columns in parts:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, padding))
        table.add_column(heads[0], overflow="fold", max_width=names)
        for column in columns:
            table.add_column(heads[column], justify="right", no_wrap=True)
        for row in rows:
            table.add_row(
                Text(shortened(printable(row[0]), _NAME_LINES * names)),
                *(Text(row[column]) for column in columns),
            )
        console.print(Padding(table, (0, 0, 0, _INDENT)))


def _fitted(heads: Sequence[str], widths: Sequence[int], room: int) -> tuple[int, list[list[int]]]:
    """Width of the names, and which columns of figures stand in each table."""
    figures = sum(widths[1:]) + _BETWEEN * (len(widths) - 1)
    names = min(widths[0], max(_LEAST_NAME, room - figures))
    return names, list(_filled(heads, widths, room - names))


def _filled(heads: Sequence[str], widths: Sequence[int], room: int) -> Iterator[list[int]]:
    part: list[int] = []
    left = room
    for columns in _together(heads):
        needed = sum(widths[column] + _BETWEEN for column in columns)
        if part and left < needed:
            yield part
            part, left = [], room
        part += columns
        left -= needed
    yield part


def _together(heads: Sequence[str]) -> list[list[int]]:
    """Columns of figures, "p95" beside the "TTFT p50" that it belongs to."""
    groups: list[list[int]] = []
    for column, head in enumerate(heads[1:], 1):
        if groups and _BARE_QUANTILE.fullmatch(head):
            groups[-1].append(column)
        else:
            groups.append([column])
    return groups


def shortened(name: str, width: int) -> str:
    """A name in at most `width` columns: its beginning and its end, where it is longer."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(name) <= width:
        return name
    end, size = "", 0
    for char in reversed(name):
        if size + cell_len(char) > (width - 1) // 2:
            break
        end, size = char + end, size + cell_len(char)
    return f"{set_cell_size(name, width - 1 - size).rstrip()}…{end}"
