"""What a session found and what is judged now, held together."""

from __future__ import annotations

import pytest

from pytest_llmserve.command.session import found_in, not_the_last, outcome_now, session_text, without_runs
from pytest_llmserve.reports.kept_run import SessionTest


@pytest.mark.parametrize(
    ("then", "holds", "broken", "checked"),
    [
        ("passed", "passed", "failed", "passed"),
        ("failed", "failed", "failed", "passed"),
        ("error", "error", "failed", "passed"),
        ("interrupted", "interrupted", "failed", "interrupted"),
        ("xfailed", "xfailed", "xfailed", "passed"),
        ("xpassed", "xpassed", "xfailed", "passed"),
        ("skipped", "skipped", "skipped", "passed"),
        (None, "passed", "failed", "passed"),
    ],
)
def test_a_test_is_never_better_off_by_its_own_promises(then, holds, broken, checked):
    """`holds`, `broken`: what becomes of it by its own; `checked`: by checks of now that hold."""
    assert outcome_now(then, True, True) == holds
    assert outcome_now(then, False, True) == broken
    assert (outcome_now(then, True, False), outcome_now(then, False, False)) == (checked, "failed")


def test_what_is_told_of_the_session():
    """Nothing of a pass; what a limit tells already is not told again."""
    assert session_text("passed", True, True) is None
    assert session_text("failed", False, True) is None
    assert session_text("passed", True, False) is None
    cut = "did not come to its end in the session: only what it had sent until then is judged"
    assert session_text("interrupted", False, True) == cut
    assert session_text(None, True, True) == (
        "what its session found is not in the file: only its limits are judged"
    )


def test_the_last_entry_of_a_test_counts():
    """An error in the teardown comes second; a test that its process took along did not end."""
    session = [
        SessionTest("a", 1, "passed"),
        SessionTest("a", 1, "error"),
        SessionTest("b", 1, "rerun"),
        SessionTest("c", 1, "failed"),
    ]
    assert [found_in(session, name) for name in "abcd"] == ["error", "interrupted", "failed", "interrupted"]
    assert found_in([], "a") is None
    copies = [SessionTest("a", 1, "error"), SessionTest("a", 2, "failed"), SessionTest("a", 2, "passed")]
    assert found_in(copies, "a") == "failed"
    assert without_runs(session, ["a", "b"]) == [session[3]]


def test_an_attempt_that_sent_nothing_is_told():
    """As then an earlier one is judged."""
    session = [SessionTest("a", 1, "rerun"), SessionTest("a", 2, "failed")]
    assert not_the_last(session, "a", 1) == "attempt 2 of it sent nothing: attempt 1 is judged"
    assert not_the_last(session, "a", 2) is not_the_last([], "a", 1) is None
