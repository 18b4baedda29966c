"""no_log_errors: under the limit of none, over it, and without a log."""

from __future__ import annotations

import re

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.no_log_errors import NoLogErrors
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.log import LogLine, LogWindow
from pytest_llmserve.domain.verdict import FAIL, PASS, UNDECIDED

S = 1_000_000_000
LINE = LogLine(at_ns=12 * S, since_ns=11 * S, text="CUDA out of memory", pattern="out of memory")


def judge(**log):
    (verdict,) = NoLogErrors().judge(Evidence(log=LogWindow(**log), started_ns=10 * S))
    return verdict


@pytest.mark.parametrize(
    ("log", "word", "sentence"),
    [
        ({"read": 40}, PASS, "no error line in the server's log (n=40 lines)"),
        ({}, PASS, "no error line in the server's log (n=0 lines): nothing was written to it"),
        (
            {"read": 40, "allowed": 2, "cut": 1},
            PASS,
            "no error line in the server's log (n=40 lines): 2 allowed lines left out;"
            " of 1 very long lines only the beginning was read",
        ),
        (
            {"read": 40, "lines": (LINE,), "counts": {"out of memory": 3, "crash": 1}},
            FAIL,
            "error lines in the server's log 4 > 0: out of memory 3, crash 1,"
            " from 2.0 s into the test on (n=40 lines)",
        ),
        (
            {"missing": "x.log was not there"},
            UNDECIDED,
            "error lines in the server's log: no evidence, x.log was not there",
        ),
        (
            {"missing": "x.log vanished", "read": 9, "counts": {"crash": 1}},
            FAIL,
            "error lines in the server's log 1 > 0: crash 1 (n=9 lines): x.log vanished",
        ),
    ],
)
def test_a_log_is_judged(log, word, sentence):
    """None passes, one fails also when the log is lost later; a log that is not known is no evidence."""
    verdict = judge(**log)
    assert (verdict.verdict, verdict.sentence) == (word, sentence)
    assert verdict.fails(strict=False) is (word != PASS)


def test_regular_expressions_are_one_or_many_texts_or_compiled():
    """As they are written."""
    slow = re.compile("SLOW", re.IGNORECASE)
    made = build(NoLogErrors, "no_log_errors", (), {"patterns": ["a+", slow], "allow": "b"})
    assert [regex.pattern for regex in (*made.patterns, *made.allow)] == ["a+", "SLOW", "b"]
    assert made.patterns[1].flags & re.IGNORECASE


@pytest.mark.parametrize(
    ("keywords", "fault"),
    [
        (
            {"patterns": ["("]},
            "patterns: '(' is not a regular expression: missing ), ",
        ),
        ({"allow": "x*"}, "allow: 'x*' matches every line"),
        ({"only": []}, "only: [] is not a list of regular expressions"),
        ({"only": [3]}, "only: 3 is not a regular expression of text"),
        ({"only": re.compile(b"x")}, "only: b'x' is not a regular expression of text"),
        ({"only": "a", "patterns": "b"}, "only= and patterns= exclude each other"),
    ],
)
def test_what_is_no_regular_expression_is_refused(keywords, fault):
    """With what is wrong with it."""
    with pytest.raises(MarkerError, match="no_log_errors: ") as caught:
        build(NoLogErrors, "no_log_errors", (), keywords)
    assert caught.value.faults[0].startswith(fault)
