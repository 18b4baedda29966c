"""A run by who served it, in the JSON report and on the terminal."""

from __future__ import annotations

import pytest

from pytest_llmserve.reports.document import run_document
from pytest_llmserve.reports.replicas import HEADS, replica_cells, replica_documents, unnamed

METRICS = ("ttft_ms", "e2e_ms")


@pytest.fixture
def served(make):
    return lambda *names: make.run([make.record(place, served_by=name) for place, name in enumerate(names)])


def test_a_row_for_each_with_its_own_figures(make):
    own = [make.record(number, 100.0, served_by="a:1") for number in range(3)]
    assert replica_documents(make.run([*own, make.failed(3)]), METRICS) == []  # one alone has a name
    others = [make.record(4, 200.0, served_by="b:2"), make.record(5, 300.0, served_by="b:2")]
    rows = replica_documents(make.run([*own, make.failed(3), *others]), METRICS)
    assert [(row["name"], row["share"], row["counts"]["sent"], row["counts"]["failed"]) for row in rows] == [
        ("a:1", 0.5, 3, 0),
        ("b:2", 0.333333, 2, 0),
        ("not told", 0.166667, 1, 1),
    ]
    assert rows[0]["metrics"]["e2e_ms"]["p50"] == 100.0
    assert rows[1]["metrics"]["e2e_ms"]["p95"] == 300.0
    cells = replica_cells(rows, lambda value, column: "-" if value is None else f"{value:.0f}")
    assert len(HEADS) == len(cells[0])
    assert cells[1] == ["b:2", "2", "0", "33 %", "20", "20", "200", "300"]


def test_the_report_has_no_rows_where_one_served_all(served):
    assert "served_by" not in run_document(served("a", "a"), keep_text=False)
    assert "served_by" not in run_document(served(None), keep_text=False)
    several = run_document(served("a", "b"), keep_text=True)
    assert [row["name"] for row in several["served_by"]] == ["a", "b"]
    assert [row["served_by"] for row in several["requests"]] == ["a", "b"]


def test_more_names_than_are_told_share_a_row(served):
    rows = replica_documents(served(*(f"pod-{number:02}" for number in range(40)), "others"), METRICS)
    assert len(rows) == 33
    assert (rows[-1]["name"], rows[-1]["counts"]["sent"]) == ("others", 9)


def test_a_header_that_no_answer_has_is_told(served):
    why = "who served is not available, because no answer had the header x-pod (--llm-replica-header)"
    assert unnamed(served(None, None), "x-pod") == why
    assert unnamed(served("a", None), "x-pod") is None
    assert unnamed(served(None), None) is None
    assert unnamed(served(), "x-pod") is None


def test_the_requests_of_one_or_some_by_name(served):
    run = served("a", "b", None, "c")
    assert run.replicas == ("a", "b", "c", None)
    assert [record.id for record in run.by_replica("b").requests] == [1]
    assert [record.id for record in run.by_replica("a", None).requests] == [0, 2]
    with pytest.raises(ValueError, match=r"^no replica 'd' in this run: served by a, b, c, None$"):
        run.by_replica("d")
    with pytest.raises(ValueError, match=r"^no replica 'd' in this run: one served all$"):
        served(None).by_replica("d")
