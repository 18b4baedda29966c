"""How a session against a planted fault is counted, and that docs/faults.md tells what is in the code."""

from __future__ import annotations

import pytest

from pytest_llmserve.simulator.faults import FAULTS


@pytest.fixture(scope="module")
def matrix(proof):
    return proof("fault_matrix")


@pytest.fixture(scope="module")
def rows(proof):
    return proof("fault_rows")


@pytest.fixture(scope="module")
def page(proof):
    return proof("fault_page")


def reported(*verdicts, outcome="failed", **more):
    told = [{"check": c, "verdict": v, "sentence": f"{c} said {v}"} for c, v in verdicts]
    return {"nodeid": "test_suite.py::test_load", "outcome": outcome, "verdicts": told, **more}


def counted(matrix, row, *tests):
    count = matrix.Count(row)
    return count, count.add(matrix.of_tests(tests, 1, ""))


def test_every_fault_has_a_row(rows):
    """Either it is found, or it is none."""
    found = set().union(*(row.kinds for row in rows.ROWS))
    harmless = set().union(*(row.kinds for row in rows.LEGAL))
    assert found | harmless == set(FAULTS)
    assert found & harmless == {"missing_end_mark"}  # by whether it tells a finish_reason


def test_a_fault_counts_as_found_by_its_own_check_alone(matrix, rows):
    """Another check's failure does not stand for it."""
    leak = next(row for row in rows.ROWS if row.kinds == {"leak"})
    count, wrong = counted(matrix, leak, reported(("no_leak", "fail"), ("latency", "pass")))
    assert (wrong, count.found, count.wrong, count.sentence) == ([], 1, False, "no_leak said fail")
    count, wrong = counted(matrix, leak, reported(("no_leak", "undecided"), ("latency", "fail")))
    assert wrong == ["latency: latency said fail", "no_leak did not fail"]
    assert (count.found, dict(count.alarms), count.wrong) == (0, {"latency": 1}, True)


def test_what_the_fault_breaks_too_is_no_false_alarm(matrix, rows):
    slow = next(row for row in rows.ROWS if row.kinds == {"slow_tail"})
    count, wrong = counted(matrix, slow, reported(("latency", "fail"), ("goodput", "fail")))
    assert (wrong, count.wrong) == ([], False)


def test_nothing_may_fail_where_nothing_is_wrong(matrix, rows):
    """Neither a check, nor a test for want of a verdict, nor one that broke."""
    healthy = rows.HEALTHY
    assert counted(matrix, healthy, reported(("latency", "undecided"), outcome="passed"))[1] == []
    for test, said in (
        (reported(("latency", "fail")), "latency: latency said fail"),
        (reported(("latency", "undecided")), "test_load: latency said undecided"),
        (reported(outcome="error"), "test_load: error"),
    ):
        count, wrong = counted(matrix, healthy, test)
        assert wrong == [said]
        assert count.wrong


def test_calls_that_judge_count_as_checks(matrix, rows):
    """`survives` and `recovers_from_disconnects` have no verdict of a marker."""
    survived = reported(outcome="passed", survival={"faults": []}, disconnects=[{"faults": []}])
    assert counted(matrix, rows.HEALTHY, survived)[1] == []
    harmed = reported(survival={"faults": [{"what": "it hung"}]})
    left = reported(disconnects=[{"faults": ["a slot"], "what": "a slot is lost"}])
    assert counted(matrix, rows.HEALTHY, harmed, left)[1] == [
        "recovers_from_disconnects: a slot is lost",
        "survives: it hung",
    ]


def test_the_page_names_the_faults_of_the_code(page):
    """With their keys, what they do, and what finds them: ``python tests/power/fault_page.py`` writes it."""
    text = page.PAGE.read_text()
    assert page.rewritten(text, "faults", page.fault_table()) == text


def test_the_page_tells_of_every_row(page, rows):
    """What was counted of it stands there."""
    section = page.PAGE.read_text().partition("<!-- matrix: begin -->")[2]
    missing = [
        row.name for row in (*rows.ROWS, *rows.LEGAL, rows.HEALTHY) if f"| `{row.name}` |" not in section
    ]
    assert missing == []


def test_counts_become_a_table(matrix, rows, page, tmp_path):
    """Of a fault that was found once and of a healthy server that was accused once."""
    leak = next(row for row in rows.ROWS if row.kinds == {"leak"})
    first, _ = counted(matrix, leak, reported(("no_leak", "fail")))
    second, _ = counted(matrix, rows.HEALTHY, reported(("latency", "fail")))
    matrix.leave([first, second], tmp_path / "build" / "counts.json")
    table = page.count_table(page.read(tmp_path / "build" / "counts.json")).splitlines()
    assert table[0].startswith("Counted on 20")
    assert table[4:] == [
        "| `leak` | `no_leak` | 1 of 1 | 0 in 1 | `no_leak said fail` |",
        "| `healthy` | nothing |  | latency 1 in 1 |  |",
    ]


def test_the_page_has_a_place_for_both_tables(page):
    """What is written a second time takes the place of the first."""
    text = page.PAGE.read_text()
    once = page.rewritten(text, "matrix", "a table")
    assert page.rewritten(once, "matrix", "other") == page.rewritten(text, "matrix", "other") != once
    with pytest.raises(ValueError, match="the page must hold <!-- faults: begin --> and, after it, "):
        page.rewritten("nothing", "faults", "a table")
