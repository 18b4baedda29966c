"""The sentence that everybody reads first."""

from __future__ import annotations

import pytest

from pytest_llmserve.reports.html.sections.cards import halves
from pytest_llmserve.reports.html.sections.headline import (
    counted,
    headline,
    reason,
    session_outcome,
    title,
)

SERVER = {"url": "http://h:1", "model": "m"}


def some(*outcomes, **more):
    """Tests a, b, c... with these outcomes."""
    return [
        {"nodeid": f"t.py::test_{name}", "outcome": outcome, "verdicts": [], "server": SERVER} | more
        for name, outcome in zip("abcdefgh", outcomes, strict=False)
    ]


def verdict(word, sentence="s", holds=True):
    return {"verdict": word, "sentence": sentence, "holds": holds, "what": "w"}


@pytest.mark.parametrize(
    ("tests", "said", "outcome"),
    [
        ([], "No test used the server", "skipped"),
        (some("passed"), "The test passed", "passed"),
        (some("passed", "passed"), "All 2 tests passed", "passed"),
        (some("failed"), "The test failed: test_a", "failed"),
        (some("failed", "passed", "error"), "2 of 3 tests failed: test_a, test_c", "failed"),
        (some(*["failed"] * 5), "5 of 5 tests failed: test_a, test_b, test_c and 2 more", "failed"),
        (some("passed", "skipped"), "1 of 2 tests passed, 1 skipped", "passed"),
        (some("xfailed", "passed"), "1 of 2 tests passed, 1 failed as expected", "passed"),
        (some("skipped"), "0 of 1 test passed, 1 skipped", "skipped"),
        (
            some("passed", "interrupted"),
            "Interrupted: 1 of 2 tests passed, 1 interrupted",
            "interrupted",
        ),
        (some("failed", "interrupted"), "Interrupted: 1 of 2 tests failed: test_a", "failed"),
        (
            some("passed", "passed", verdicts=[verdict("undecided"), verdict("pass")]),
            "All 2 tests passed, 2 limits undecided",
            "undecided",
        ),
        (
            some("failed", "passed", verdicts=[verdict("undecided")], not_judged="no_regression was not"),
            "1 of 2 tests failed: test_a; 2 limits undecided, 2 promises not judged",
            "failed",
        ),
        (
            some("xfailed", "passed", not_judged="no_regression was not judged"),
            "1 of 2 tests passed, 1 failed as expected, 2 promises not judged",
            "undecided",
        ),
    ],
)
def test_session_in_a_sentence(tests, said, outcome):
    assert headline(tests) == said
    assert session_outcome(tests) == outcome


def test_a_test_run_again_counts_once():
    """By its last attempt."""
    again = [*some("failed"), *some("passed")]
    assert headline(again) == "The test passed"
    assert counted(again) == "1 passed"


def test_reason_is_the_first_broken_limit():
    """Of failing tests, with the test; else what is undecided; of a session with neither nothing."""
    passing = some("passed", verdicts=[verdict("fail", "of a test that was expected to fail")])
    broken = some("passed", "failed")
    broken[0]["verdicts"] = [verdict("undecided", "not sure")]
    broken[1]["verdicts"] = [verdict("undecided", "nearly"), verdict("fail", "p99 5 ms > 2 ms")]
    assert reason(broken) == ("test_b", "p99 5 ms > 2 ms")
    broken[1]["verdicts"].pop()
    assert reason(broken) == ("test_b", "nearly")
    assert reason(broken[:1]) == ("", "not sure")
    assert reason(passing) is None


def test_reason_of_a_failure_is_never_a_limit_of_a_test_that_passed():
    """What failed by itself says where, or what its input did; a limit beyond which it is goes first."""
    tests = some("passed", "failed", "failed")
    tests[0]["verdicts"] = [verdict("undecided", "of the one that passed")]
    assert reason(tests) is None
    tests[1]["raised"] = {"type": "AssertionError", "file": "t.py", "line": 4}
    assert reason(tests) == ("test_b", "failed by itself: AssertionError in t.py, line 4")
    tests[1]["survival"] = {"faults": [{"faults": ["it answered 500", "it ended"]}]}
    assert reason(tests) == ("test_b", "a hostile input was not survived: it answered 500; it ended")
    tests[2]["verdicts"] = [verdict("undecided", "p50 5 ms > 3 ms, undecided", holds=False)]
    assert reason(tests) == ("test_c", "p50 5 ms > 3 ms, undecided")


def test_reason_of_a_promise_that_was_not_judged():
    tests = some("passed", "passed")
    tests[1]["not_judged"] = "no_regression was not judged: give --llm-compare NAME"
    assert reason(tests) == ("test_b", "no_regression was not judged: give --llm-compare NAME")


def test_title_names_outcome_and_server():
    assert title(some("failed", "passed")) == "1 of 2 failed - m at http://h:1 - pytest-llmserve"
    assert title(some("passed", "passed", "xfailed")) == (
        "2 passed, 1 failed as expected - m at http://h:1 - pytest-llmserve"
    )
    assert title(some("skipped", server=None)) == "1 skipped - pytest-llmserve"


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ("p99 TTFT 2 ms <= 3 ms (95% interval up to 2 ms, n=9)", "p99 TTFT 2 ms <= 3 ms"),
        ("p99 e2e latency never (failed) > 15 ms: 3 failed", "p99 e2e latency never (failed) > 15 ms"),
        (
            "throughput (run 1 of 2) 9 /s >= 2 /s, undecided (n=3)",
            "throughput (run 1 of 2) 9 /s >= 2 /s, undecided",
        ),
        ("isolation: 3 answers carried something; and so on", "isolation"),
        ("nothing to cut", "nothing to cut"),
    ],
)
def test_a_sentence_is_cut_where_the_limit_has_been_told(said, first):
    """Nothing of it is lost."""
    assert halves(said) == (first, said[len(first) :])
