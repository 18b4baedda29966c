"""A card says why its test is as it is."""

from __future__ import annotations

from html_outline import words

from pytest_llmserve.reports.html.placing import Placed
from pytest_llmserve.reports.html.sections.cards import card
from pytest_llmserve.reports.html.sections.details import details


def one(outcome, word="undecided", **more):
    """A test with one limit."""
    found = {
        "verdict": word,
        "sentence": "s",
        "limit": 1.0,
        "estimate": 2.0,
        "interval": None,
        "check": "c",
        "what": "w",
    }
    verdicts = [found | {"holds": more.pop("holds", True)}]
    return {"nodeid": "t.py::test_a", "attempt": 1, "outcome": outcome, "verdicts": verdicts} | more


def test_card_says_which_undecided_limit_makes_its_test_fail():
    """Of one that passed it is undecided and no more; --llm-strict is told where nothing else fails it."""
    assert words(card(one("failed", holds=False), None)).endswith(
        "? undecided, not within the limit: fails s"
    )
    assert words(card(one("failed", holds=None), None)).endswith("? undecided, no evidence: fails s")
    assert words(card(one("passed"), None)).endswith("? undecided s")
    strict = "Undecided counts as failed here: --llm-strict, or warnings that are errors."
    assert words(card(one("failed"), None)).endswith(f"{strict} ? undecided s")


def test_card_of_a_test_that_failed_by_itself_says_where_and_what_its_inputs_did():
    raised = {"type": "AssertionError", "file": "t.py", "line": 4}
    faults = [{"what": "w", "faults": [clause]} for clause in ("500", "hang", "500", "cut", "leak", "nul")]
    survival = {"cases": 9, "survived": 3, "faults": faults}
    said = words(card(one("failed", "pass", raised=raised, survival=survival), None))
    assert said.startswith(
        "✗ failed test_a t.py Hostile inputs: 9 cases, 3 survived 500 (2 inputs) hang cut and 2 other faults"
        " Failed by itself: AssertionError in t.py, line 4 (--llm-keep-text: with its message) ✓ pass s"
    )
    told = words(card(one("error", raised=raised | {"text": "assert 5 < 1"}), None))
    assert "Error in its setup or teardown: AssertionError in t.py, line 4: assert 5 < 1 ?" in told
    assert "by itself" not in words(card(one("passed", "pass", raised=raised), None))


def test_card_of_an_expected_failure_looks_for_no_cause():
    """And its broken limit is not red."""
    found = card(one("xfailed", "fail", diagnosis=[{"what": "slow", "sentence": "because"}]), None)
    assert words(found).endswith("✗ fail, as expected s")
    assert 'class="outcome quiet"' in found
    assert 'class="outcome bad"' not in found


def test_promise_that_was_not_judged_is_not_green():
    """Neither the card nor the word on it."""
    found = one("passed", verdicts=[], not_judged="no_regression was not judged: give --llm-compare NAME")
    shown = card(found, None)
    assert (
        words(shown)
        == "✓ passed test_a t.py ? not judged no_regression was not judged: give --llm-compare NAME"
    )
    assert 'class="card unsure' in shown
    assert "outcome ok" not in shown
    assert "outcome ok" not in details(found | {"runs": []}, "test-1", Placed(), open_=False)
