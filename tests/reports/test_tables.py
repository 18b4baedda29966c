"""Tables of a terminal, with the widest figures."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from pytest_llmserve.reports.tables import print_rows, shortened

HEADS = ("stage", "n", "failed", "dropped", "req/s", "tok/s", "TTFT p50", "p95", "e2e p50", "p95")
LONG = "a replica/with:a.very long [bold]name[/bold] \N{HIRAGANA LETTER A}" + "x" * 300


def printed(heads, rows, width, **options):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_rows(console, heads, rows, **options)
    return [line.rstrip() for line in console.file.getvalue().split("\n")[:-1]]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("name", ["2 users", LONG])
@pytest.mark.parametrize("figure", ["0.01", "9999999"])
def test_every_figure_stands_whole_in_any_width(width, name, figure):
    """However long the name is, and however many columns there are; none is wider than the terminal."""
    figures = [f"{figure}{number}" for number in range(1, 10)]
    lines = printed(HEADS, [[name, *figures], ["b", *figures]], width, padding=1)
    assert max(map(cell_len, lines)) <= width
    words = " ".join(lines).split()
    assert [words.count(each) for each in figures] == [2] * 9


def test_columns_that_do_not_fit_stand_below_with_their_names():
    """A quantile never without the latency it is of; as few tables as will do."""
    rows = [[name, *["9999999"] * 9] for name in ("1 user", "2 to 2000 requests/s")]
    lines = printed(HEADS, rows, 60)
    assert [" ".join(line.split()) for line in lines if "─" not in line] == [
        "stage n failed dropped req/s tok/s",
        f"1 user{' 9999999' * 5}",
        f"2 to 2000{' 9999999' * 5}",
        "requests/s",
        "stage TTFT p50 p95 e2e p50 p95",
        f"1 user{' 9999999' * 4}",
        f"2 to 2000{' 9999999' * 4}",
        "requests/s",
    ]
    heads = [line.split() for line in printed(HEADS, rows, 80) if line.startswith("  stage")]
    assert heads == [
        ["stage", "n", "failed", "dropped", "req/s", "tok/s", "TTFT", "p50", "p95"],
        ["stage", "e2e", "p50", "p95"],
    ]


def test_a_name_too_long_to_fold_loses_its_middle():
    """Its beginning and its end tell most names apart; none is obeyed by a terminal, or read as markup."""
    assert [shortened("abcdefghij", width) for width in (10, 9, 2)] == ["abcdefghij", "abcd…ghij", "a…"]
    lines = printed(("task", "n"), [["[red]\x1b[31m" + "x" * 500, "1"]], 60)
    assert len(lines) == 5
    assert "[red]\N{REPLACEMENT CHARACTER}[31mxx" in lines[2]
    assert "…" in lines[3]
