"""How a session against a planted fault is counted, and that docs/faults.md tells what is in the code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_llmserve.simulator.faults import FAULTS

LONG = """
import os, sys, signal, time
sys.path.append(sys.argv[1])
import fault_matrix, fault_rows
from fault_left import Left

WRITE = "open(p + 'x', 'w').write(str(os.getpid())); os.replace(p + 'x', p); time.sleep(60)"
NEVER = f"import os, time; p = {sys.argv[2]!r}; " + WRITE
fault_matrix.arguments = lambda *_: []
class Slow(fault_matrix.Sessions):
    def run(self, command, folder):
        return super().run([sys.executable, "-c", NEVER], folder)
fault_matrix.Sessions = Slow
signal.signal(signal.SIGTERM, signal.default_int_handler)
found, over = fault_matrix.judged(fault_matrix.all_sessions(1, 0, 1), 1, Left(None))
print(found, over, "ended")
"""


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
    told = [
        {"check": c, "verdict": v, "sentence": f"{c} said {v}", "holds": v != "fail", "estimate": 1.0}
        for c, v in verdicts
    ]
    return {"nodeid": "test_suite.py::test_load", "outcome": outcome, "verdicts": told, **more}


def counted(matrix, row, *tests):
    count = matrix.Count(row)
    return count, count.add(matrix.of_tests(tests, 1, ""))


def test_every_fault_has_a_row(rows):
    """Either it is found, or it is none."""
    found = set().union(*(row.kinds for row in rows.ROWS))
    harmless = set().union(*(row.kinds for row in rows.LEGAL))
    assert found | harmless == set(FAULTS)
    # By whether it tells a finish_reason; by startup_grace; beside a late first token.
    assert found & harmless == {"missing_end_mark", "startup_errors", "empty_role_chunk"}


def test_a_fault_counts_as_found_by_its_own_check_alone(matrix, rows):
    """Another check's failure does not stand for it."""
    leak = next(row for row in rows.ROWS if row.kinds == {"leak"})
    count, wrong = counted(matrix, leak, reported(("no_leak", "fail"), ("latency", "pass")))
    assert (wrong, count.found, count.wrong, count.sentence) == ([], 1, False, "no_leak said fail")
    count, wrong = counted(matrix, leak, reported(("no_leak", "undecided"), ("latency", "fail")))
    assert wrong == ["latency: latency said fail", "no_leak did not fail"]
    assert (count.found, dict(count.alarms), count.wrong) == (0, {"latency": 1}, True)


def test_an_undecided_limit_that_is_not_kept_counts_as_it_fails_the_build(matrix, rows):
    """For the fault it is to find, and where nothing is wrong; one that is kept so far counts for nothing."""
    leak = next(row for row in rows.ROWS if row.kinds == {"leak"})
    over = reported(("no_leak", "undecided"), ("latency", "undecided"))
    over["verdicts"][0]["holds"] = False
    count, wrong = counted(matrix, leak, over)
    assert (wrong, count.found, count.wrong, count.sentence) == ([], 1, False, "no_leak said undecided")
    (wrong,) = counted(matrix, rows.HEALTHY, over)[1]
    assert wrong.startswith("test_load: no_leak said undecided")


def test_no_figure_is_no_finding_and_missing_evidence_no_alarm(matrix, rows):
    """What a fault takes from other checks, so that they cannot decide, is not held against them."""
    leak = next(row for row in rows.ROWS if row.kinds == {"leak"})
    nothing = reported(("no_leak", "undecided"), ("no_degradation", "undecided"))
    for verdict in nothing["verdicts"]:
        verdict |= {"holds": None, "estimate": None}
    count, wrong = counted(matrix, leak, nothing)
    assert (wrong, count.found, dict(count.alarms)) == (["no_leak did not fail"], 0, {})


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


@pytest.fixture
def kept(matrix, rows, proof, tmp_path, monkeypatch):
    """``kept(1)`` -> counts of three sessions, of which one ends before Ctrl-C."""
    leak = next(row for row in rows.ROWS if row.kinds == {"leak"})
    asked = [matrix.Asked(leak, 1, False), matrix.Asked(leak, 1, True), matrix.Asked(rows.HEALTHY, 1, True)]
    said = {
        ("leak", True): [("no_leak", "fail")],
        ("leak", False): [],
        ("healthy", False): [("latency", "fail")],
    }
    ran = []

    def seen(row, own):
        if len(ran) == seen.stop_after:
            raise KeyboardInterrupt
        ran.append((row.name, own))
        return matrix.of_tests([reported(*said[ran[-1]])], 1, "")

    def run(stop_after=3):
        seen.stop_after = len(ran) + stop_after
        left = proof("fault_left").Left(tmp_path / "build" / "counts.json", resume=True)
        return matrix.judged(asked, 1, left)

    monkeypatch.setattr(matrix, "session", lambda _, row, seed: seen(row, False))
    monkeypatch.setattr(
        matrix, "of_rows", lambda _, asked, seed: {row.name: seen(row, True) for row in asked}
    )
    run.ran, run.place = ran, tmp_path / "build" / "counts.json"
    return run


def test_counts_outlive_an_interruption_and_become_a_table(kept, page):
    """Nothing is run twice; what the whole suite does not find is no miss of the row's own tests."""
    (count,), over = kept(1)
    assert (count.found, count.sessions, count.whole, over) == (1, 1, 0, False)
    assert page.count_table(page.read(kept.place)).count("\n") == 5
    counts, over = kept()
    assert kept.ran == [("leak", True), ("leak", False), ("healthy", False)]
    assert over
    assert [count.wrong for count in counts] == [False, True]
    table = page.count_table(page.read(kept.place)).splitlines()
    assert table[0].startswith("Counted on 20")
    assert table[4:] == [
        "| `leak` | `no_leak` | 1 of 1 | 0 in 2 (1 whole) | `no_leak said fail` |",
        "| `healthy` | nothing |  | latency 1 in 1 (1 whole) |  |",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_the_runner_ends_its_sessions(matrix, number, tmp_path):
    """Nothing is left of them, and what was counted so far is told."""
    script = tmp_path / "sessions.py"
    script.write_text(LONG)
    command = [sys.executable, str(script), str(Path(matrix.__file__).parent), str(tmp_path / "pid")]
    runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        session = int((tmp_path / "pid").read_text())
        runner.send_signal(number)
        assert runner.communicate(timeout=60)[0].endswith("ended\n")
    finally:
        runner.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(session, 0)


def test_the_page_has_a_place_for_both_tables(page):
    """What is written a second time takes the place of the first."""
    text = page.PAGE.read_text()
    once = page.rewritten(text, "matrix", "a table")
    assert page.rewritten(once, "matrix", "other") == page.rewritten(text, "matrix", "other") != once
    with pytest.raises(ValueError, match="the page must hold <!-- faults: begin --> and, after it, "):
        page.rewritten("nothing", "faults", "a table")
