"""Cases of a test, each with a server of other values, in one table."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.reports.document import run_document
from pytest_llmserve.reports.side_by_side import cells, comparisons
from pytest_llmserve.reports.terminal import summary_lines

OF = "test_a.py::test_it"


def case(make: Any, workers: Any, latencies: list[tuple[int, ...]], **changes: Any) -> dict[str, Any]:
    runs = [make.run([make.record(i, ms) for i, ms in enumerate(each)]) for each in latencies]
    return {
        "nodeid": f"{OF}[workers={workers}]",
        "outcome": "passed",
        "attempt": 1,
        "variant": {"of": OF, "values": {"workers": workers}},
        "runs": [run_document(run, keep_text=False) for run in runs],
        "verdicts": [],
    } | changes


def figure(value: float | None, _: str) -> str:
    return "-" if value is None else f"{value:g}"


def test_each_run_of_each_case_is_a_row(make):
    """With what users choose by: users, latencies, throughput, failures, memory."""
    (found,) = comparisons([case(make, 1, [(100, 200, 300)]), case(make, 2, [(50,), (60,)])])
    assert found["test"] == OF
    assert [(row["values"]["workers"], row["run"], row["n"]) for row in found["rows"]] == [
        (1, 1, 3),
        (2, 1, 1),
        (2, 2, 1),
    ]
    row = found["rows"][0]
    assert (row["e2e_p50_ms"], row["e2e_p99_ms"], row["failed"]) == (200.0, 300.0, 0)
    assert (row["users"], row["ttft_p95_ms"], row["rss_mb_peak"]) == (2, 20.0, 130.0)
    labels = [line[0] for line in cells(found["rows"], figure)]
    assert labels == ["workers=1 run 1", "workers=2 run 1", "workers=2 run 2"]


def test_of_attempts_the_last_counts_and_a_case_without_a_run_is_not_left_out(make):
    """What did not start is seen beside what did."""
    tests = [
        case(make, 1, [(999,)], outcome="rerun"),
        case(make, 1, [(100,)], attempt=2),
        case(make, ["--eager", "-x"], [], outcome="error"),
        case(make, 7, [(100,)]) | {"variant": {"of": "other", "values": {}}, "nodeid": "other"},
        {"nodeid": "plain", "outcome": "passed", "attempt": 1, "runs": [], "verdicts": []},
    ]
    (found,) = comparisons(tests)
    assert [row["e2e_p50_ms"] for row in found["rows"]] == [100.0, None]
    assert [line[0] for line in cells(found["rows"], figure)] == ["workers=1", "workers=--eager -x (error)"]
    assert set(cells(found["rows"], figure)[1][1:]) == {"-"}


def test_one_value_alone_and_cases_without_loads_are_no_comparison(make):
    """There is nothing to see beside it."""
    assert comparisons([case(make, 1, [(100,)])]) == []
    assert comparisons([case(make, 1, []), case(make, 2, [])]) == []


def test_the_table_fits_80_columns(make):
    """Large figures too."""
    tests = [case(make, workers, [(9_999_999, 1)]) for workers in (1, 16)]
    lines = [line.rstrip() for line in summary_lines(tests, 80, False, 0)]
    table = lines[lines.index(f"{OF}: side by side") + 1 :]
    assert [line.split()[0] for line in table[2:]] == ["workers=1", "workers=16"]
    assert max(map(len, table)) <= 80


def test_a_long_name_of_a_case_leaves_the_headings_whole(make):
    """It goes on in the next line; each figure keeps its unit."""
    latencies = [(9_999_999, 1)]
    tests = [case(make, 1, latencies), case(make, "three and more", latencies, outcome="error")]
    lines = [line.rstrip() for line in summary_lines(tests, 80, False, 0)]
    table = lines[lines.index(f"{OF}: side by side") + 1 :]
    assert table[0].endswith(" failed RSS MB")
    assert max(map(len, table)) <= 80
    assert "".join("".join(line[:14].split()) for line in table[3:]) == "workers=threeandmore(error)", table
