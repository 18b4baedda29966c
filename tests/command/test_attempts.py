"""Of a file with several attempts at a test the last one counts, whole and alone; its marks are kept."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.command.promises import promises
from pytest_llmserve.command.report import _tests, judge, last_line, test_document
from pytest_llmserve.command.sides import side_of
from pytest_llmserve.domain.log import LogLine, LogWindow
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.reports.about import run_about, test_about
from pytest_llmserve.reports.kept_requests import read_runs
from pytest_llmserve.reports.kept_run import SessionTest, last_attempts
from pytest_llmserve.reports.request_line import request_lines

NODEID = "test_a.py::test_b"
RESTARTED = {"at_s": 1.5, "until_s": 1.8, "kind": "restart", "label": "the server took no connection"}
SAID = {"at_s": 1.0, "kind": "log", "label": "log: oom: a prompt"}


def a_request(number: int) -> RequestRecord:
    return RequestRecord(
        id=number,
        scheduled_ns=number,
        sent_ns=number,
        first_byte_ns=10**8,
        end_ns=10**9,
        token_ns=(10**8, 10**9),
        status=200,
        outcome="ok",
        error=None,
        input_chars=12,
        output_chars=20,
        output_tokens=2,
        tokens_from="usage",
        finish_reason="stop",
    )


@pytest.fixture
def attempt():
    """Lines of an attempt with so many runs, of one request more each."""

    def lines(runs: int, number: int = 1, ended: str = "complete") -> bytes:
        made = [
            LoadResult(LoadPlan(), list(map(a_request, range(place + 1))), GeneratorHealth(ended=ended))
            for place in range(runs)
        ]
        log = LogWindow(lines=(LogLine(at_ns=10**9, since_ns=0, text="oom: a prompt", pattern="oom"),))
        whole = Evidence(runs=tuple(made), started_ns=0, log=log, keep_text=True)
        document = {"server": None, "verdicts": [], "_marks": [SAID, RESTARTED]}
        found = b""
        for place, run in enumerate(made):
            about = run_about(run, {}, 5, False)
            if place == 0:
                about["test"] = test_about(whole, document, (), {}, [], strict=False)
            found += b"".join(
                request_lines(
                    run, about, str, nodeid=NODEID, attempt=number, number=place + 1, keep_text=False
                )
            )
        return found

    return lines


def test_a_comparison_takes_no_run_of_an_earlier_attempt(attempt, tmp_path):
    """Also where that had more runs than the last."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(attempt(2) + attempt(1, 2))
    side = side_of(str(path), "", ())
    assert list(side.kept) == list(side.runs) == [(NODEID, 1)]
    path.write_bytes(attempt(1, 2) + attempt(2))  # as a worker was lost that had begun to count anew
    assert list(side_of(str(path), "", ()).kept) == [(NODEID, 1)]


def test_two_of_one_attempt_are_two_tests(attempt, tmp_path):
    """As of `--dist each`: each is judged, reported and compared by itself."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(attempt(2) + attempt(1))
    runs = last_attempts(read_runs(path))
    places = [(run.nodeid, run.number) for run in runs]
    assert places == [(NODEID, 1), (NODEID, 2), (f"{NODEID} (copy 2)", 1)]
    assert list(side_of(str(path), "", ()).kept) == places
    assert [*_tests(path, ())[0]] == [NODEID, f"{NODEID} (copy 2)"]
    assert test_document(judge(runs[2:], (), False, "", ()), charts=False)["nodeid"] == f"{NODEID} (copy 2)"


def test_marks_are_those_that_were_kept(attempt, tmp_path):
    """But what the log said stays in the file."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(attempt(1))
    kept = read_runs(path)
    document = test_document(judge(kept, (), False, "", ()), charts=True)
    assert document["_marks"] == [SAID | {"label": "log: oom"}, RESTARTED]


@pytest.mark.parametrize("session", [(), (SessionTest(NODEID, 1, "interrupted"),)])
def test_a_test_that_was_interrupted_is_no_pass(attempt, tmp_path, session):
    """Neither by its own promises nor by others, also where the file does not tell what its session found."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(attempt(1, ended="interrupted"))
    within = judge(read_runs(path), promises(["latency(max_ms=5000)"]), False, "", session)
    assert (within.outcome, within.failure) == ("interrupted", None)
    assert {verdict.verdict for verdict in within.verdicts} == {"undecided"}
    assert last_line([within], [{"outcome": "interrupted"}]) == ("1 of 1 test interrupted", "red")
    two = [{"outcome": "interrupted"}, {"outcome": "failed"}]
    assert last_line([within, within], two) == ("1 of 2 tests failed; 1 interrupted", "red")
    over = judge(read_runs(path), promises(["latency(max_ms=0.001)"]), False, "", session)
    assert over.outcome == "failed"
    assert str(over.failure).startswith("max e2e latency ")
