"""Tables, and the page that holds them."""

from __future__ import annotations

import dataclasses
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
    pace = benchmark_module("figures").Pace(hot_us=250.0, slept_us=400.0, awake_us=255.0)
    found = report.Found({"before": pace}, starts, rows, None, ["httpx, from A: it broke"])
    day = datetime.date(2026, 1, 2)
    text = report.page(found, findings, "--only A", day, "a machine")
    assert text.startswith("Measured on 2026-01-02: a machine.\n\n    python benchmarks/bench.py --only A\n")
    assert "| engine |    0.25 |        0.20 |" in text
    assert "### A: 64 streams" in text
    assert "| A        | CPU of a chunk | engine / aiohttp | 1.000 |" in text
    assert (
        "| before |     250 |                     400 |                           255 |        1.60 |" in text
    )
    assert "### Left out, for it failed\n\n- httpx, from A: it broke.\n\n### Bounds" in text
    assert "### M" not in text
    assert text.endswith("- Out of bounds: A: too dear.\n- Not judged: B: too noisy.\n")
    kept = benchmark_module("bounds").Findings((), ())
    text = report.page(report.Found({}, starts, rows, None, []), kept, "", day, "a machine")
    assert text.endswith("### Bounds\n\nAll bounds hold.\n")
    assert "Left out" not in text


def test_memory_on_the_page(report, benchmark_module):
    """Peaks by phase, what was found beside what it may be."""
    peaks = {"load": 412.4, "document": 230.0}
    memory = benchmark_module("figures").Memory(200_000, 100, 0, 341.0, peaks, 1.26)
    found = report.Found({}, {}, {}, memory, [])
    text = report.page(found, benchmark_module("bounds").Findings((), ()), "", datetime.date(2026, 1, 2), "m")
    assert "### M: memory of 200,000 requests of 100 chunks\n" in text
    assert "| load     |                       412 |\n| document |                       230 |\n" in text
    assert (
        "\nPeak 412 MB, at most 600. The load workers grew by 1.3 MB after the first quarter of the run,"
        " at most 15. 0 requests failed. Load and merge took 341 s.\n"
    ) in text


def test_workers_and_stamps_on_the_page(report, row, benchmark_module):
    """What W compares and how far its pairs lie apart; where T's stamps came from."""
    table = benchmark_module("scenarios").SCENARIOS
    one, two = (
        dataclasses.replace(row("engine"), each_us_per_request=each) for each in ((40.0, 44.0), (40.0, 40.0))
    )
    rows = {
        s: [figures] for s, figures in zip([s for s in table if s.letter == "W"], (one, two), strict=True)
    }
    assert report.ratio_table(rows).endswith(
        "\nW compares requests by second of CPU, times the workers, as medians of runs in turns."
        " Of the 2 pairs of runs one by one: 2.000 to 2.200.\n"
    )
    tls = [s for s in table if s.letter == "T"][1]
    told = report.scenario_table(tls, [dataclasses.replace(row("engine"), clock="kernel")])
    assert told.endswith("\nengine: stamps are kernel.\n")


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
