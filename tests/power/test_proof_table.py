"""The table of the proof says what was found, and refuses what breaks the promise."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def table(proof):
    return proof("table")


def cells_of(table, process, requests, claim, passed=0, failed=0, runs=1000):
    """The two cells at the very limit."""
    kinds = [(factor, table.Cell(process, requests, claim, factor)) for factor in table.JUST]
    for _, cell in kinds:
        cell.passed, cell.failed, cell.undecided = passed, failed, runs - passed - failed
    return [cell for _, cell in kinds]


def test_each_family_has_a_row_with_its_worst_process(table):
    """Wrong passes are those with the limit broken, wrong fails those with it kept."""
    cells = cells_of(table, "mm1-50", 300, "p90", passed=20, failed=10)
    cells += cells_of(table, "mm4-80", 300, "p90", passed=31, failed=4)
    assert table.wrong_table(cells).splitlines()[2:] == [
        "| queue, up to 80 % load (2) | 300 |  | 3.1 / 1.0 |  |  |  |"
    ]


def test_what_breaks_the_promise_is_named(table):
    """A rate that chance explains is not; where nothing is promised, nothing is broken."""
    fine = cells_of(table, "exponential", 300, "p90", passed=70)
    wrong = cells_of(table, "exponential", 300, "p50", passed=120)
    free = cells_of(table, "bursts-10", 300, "p50", passed=400)
    (sentence,) = table.broken([*fine, *wrong, *free])
    assert "exponential" in sentence
    assert "p50" in sentence
    assert sentence.endswith("more than 5%")


def test_each_process_has_a_family_of_the_table(table):
    assert {process.family for process in table.PROCESSES.values()} == set(table.FAMILIES)
    assert set(table.TOLD) <= set(table.PROCESSES)


def test_a_small_proof_makes_a_whole_page(table, monkeypatch):
    """From simulation to the words of docs/verdicts.md, with two runs of a few cells."""
    monkeypatch.setattr(table, "TOLD", ("exponential",))
    cells = table.judged(
        [table.Question(name, 1000, 2, ("p50", "p90", "p99"), table.CLEAR) for name in table.TOLD], 1
    )
    cells += table.judged([table.Question("mm1-80", 300, 2, tuple(table.CLAIMS), table.JUST)], 1)
    stopped = table.judged(
        [table.Question("exponential", 200, 2, ("p90",), (*table.JUST, 2.0), "decided")], 1
    )
    text = table.page(cells, stopped, ["one broken"], 2, "\nsessions\n")
    assert "2 runs of each process and limit" in text
    assert "| exponential | p99 |" in text
    assert "- Too often wrong: one broken." in text
    assert text.endswith("sessions\n")


def test_sessions_are_told_in_words(table, tmp_path):
    left = tmp_path / "sessions.json"
    counts = {"sessions": 50, "accused": 0, "decided": 48, "undecided": 2, "red": 1}
    left.write_text(json.dumps({"told": "a suite", **counts, "requests": 700, "seconds": 3}))
    assert table.sessions_text(left) == (
        "\nThe same suite, 50 sessions: a suite. Accused: 0. All limits shown to be kept: 48."
        " Undecided: 2, of which 1 with an estimate over the limit. A session took 700 requests and 3 s"
        " at the median.\n"
    )
    assert table.sessions_text(None) == ""


def test_the_page_has_a_place_for_the_table(table):
    """What is written a second time takes the place of the first."""
    page = table.PAGE.read_text()
    once = table.rewritten(page, "a table")
    assert "a table" in once
    assert table.rewritten(once, "another") == table.rewritten(page, "another")
    with pytest.raises(ValueError, match="the page must hold <!-- proof: begin --> and, after it, "):
        table.rewritten("nothing", "a table")
