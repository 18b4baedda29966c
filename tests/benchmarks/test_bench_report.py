"""Tables, and the page that holds them."""

from __future__ import annotations

import datetime

import pytest


@pytest.fixture
def report(benchmark_module):
    return benchmark_module("report")


@pytest.fixture
def row(benchmark_module):
    """Figures of one client, by position."""
    return lambda client: benchmark_module("figures").Figures(
        client, 1280, 50.5, 0.01, 0.123, float("nan"), 12.34, 800.0, 48.6, 53.2, 1.25
    )


@pytest.fixture
def scenario(benchmark_module):
    return benchmark_module("scenarios").SCENARIOS[0]


TITLE = "\n### A: 64 streams (64 tokens, TTFT 50 ms, ITL 20 ms, 20 s)\n\n"
HEAD = (
    "| client | requests | TTFT p99 of the server, ms | error p50, ms | error p99, ms | worst error, ms |"
    " CPU us/chunk | requests/s | peak memory, MB | core used by others, % |\n"
)
RULE = (
    "| ------ | -------- | -------------------------- | ------------- | ------------- | --------------- |"
    " ------------ | ---------- | --------------- | ---------------------- |\n"
)
ROW = (
    "| engine |    1,280 |                      50.50 |         0.010 |         0.123 |               - |"
    "         12.3 |         49 |              53 |                    1.2 |\n"
)


def test_table_of_a_scenario(report, row, scenario):
    """A line a client, aligned; what a client cannot say is a dash."""
    assert report.scenario_table(scenario, [row("engine")]) == TITLE + HEAD + RULE + ROW


def test_page(report, row, scenario, benchmark_module):
    """Date, machine and command, the tables, and what does not hold."""
    findings = benchmark_module("bounds").Findings(("A: too dear",), ("B: too noisy",))
    starts = {"engine": benchmark_module("figures").StartUp(cpu_s=0.2, wall_s=0.25)}
    rows = {scenario: [row("engine"), row("aiohttp")]}
    day = datetime.date(2026, 1, 2)
    text = report.page(starts, rows, findings, "--only A", day, "a machine")
    assert text.startswith("Measured on 2026-01-02: a machine.\n\n    python benchmarks/bench.py --only A\n")
    assert "| engine |    0.25 |        0.20 |" in text
    assert "### A: 64 streams" in text
    assert "| A        | CPU of a chunk | engine / aiohttp | 1.000 |" in text
    assert text.endswith("- Out of bounds: A: too dear.\n- Not judged: B: too noisy.\n")
    kept = benchmark_module("bounds").Findings((), ())
    assert report.page(starts, rows, kept, "", day, "a machine").endswith("### Bounds\n\nAll bounds hold.\n")


def test_only_the_tables_of_the_page_are_rewritten(report):
    """What stands around the markers stays, and writing twice is writing once."""
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    new = report.rewritten(page, "\nnew\n")
    assert new == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    assert report.rewritten(new, "\nnew\n") == new


@pytest.mark.parametrize("page", ["", "{end} {begin}", "{begin} {begin} {end}"])
def test_a_page_without_its_markers_is_refused(report, page):
    """Rather than growing or losing text."""
    with pytest.raises(
        ValueError,
        match="the page must hold <!-- tables: begin --> and, after it, <!-- tables: end -->, once each",
    ):
        report.rewritten(page.format(begin=report.BEGIN, end=report.END), "new")


def test_the_project_page_has_its_markers(report, benchmark_module):
    """`make bench` can write it."""
    text = benchmark_module("bench").PAGE.read_text()
    before, after = text.split(report.BEGIN)[0], text.split(report.END)[1]
    assert report.rewritten(text, "new") == f"{before}{report.BEGIN}\n\nnew\n\n{report.END}{after}"
