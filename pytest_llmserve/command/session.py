"""What the session that kept a file found, beside what is judged now: pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.reports.document import watched_document
from pytest_llmserve.reports.kept_run import SessionTest
from pytest_llmserve.reports.log_text import log_document

RED = ("failed", "error", "interrupted")
"""Outcomes of which each makes the command end with 1."""

NO_LOAD = "no request of it is in the file: this is what its session found"
_ITSELF = {
    "failed": "failed by itself in the session: no limit of it is broken",
    "error": "ended with an error in the session: no limit of it is broken",
    "interrupted": "did not come to its end in the session: only what it had sent until then is judged",
}
_FOUND = {
    "failed": "it failed",
    "error": "it ended with an error",
    "interrupted": "it did not come to its end",
    "xfailed": "it failed as expected",
    "xpassed": "it passed, and was expected to fail",
    "skipped": "it was skipped",
}


def outcome_now(then: str | None, holds: bool, own: bool) -> str:
    """What becomes of a test.

    Args:
        then: what its session found; None = not known.
        holds: no limit that is judged now is broken.
        own: these are the promises of its own markers: then it is never better off than it was.
    """
    if own and then in ("xfailed", "xpassed"):
        return then if holds else "xfailed"
    if own and then == "skipped":
        return then
    if not holds:
        return "failed"
    if then == "interrupted":
        return then
    return then if own and then in _ITSELF else "passed"


def session_text(then: str | None, holds: bool, own: bool) -> str | None:
    """What is to be told of its session, a sentence; None = nothing."""
    if then is None:
        return "what its session found is not in the file: only its limits are judged"
    if own:
        return _ITSELF.get(then) if holds or then == "interrupted" else None
    return f"in its session {_FOUND[then]}: only --check is judged here" if then in _FOUND else None


def found_in(session: Sequence[SessionTest], nodeid: str) -> str | None:
    """What a session found of a test in the end; None = the file does not tell.

    Of the last attempt the last entry counts, or the last that is none of a pass: an error in a teardown
    has one of its own, and so has each copy of a test that several processes ran. A test without one, or
    with one that was to be run again, did not come to its end.
    """
    if not session:
        return None
    mine = [each for each in session if each.nodeid == nodeid]
    last = max((each.attempt for each in mine), default=0)
    found = [each.outcome for each in mine if each.attempt == last]
    red = [outcome for outcome in found if outcome in RED]
    outcome = (red or found or ["rerun"])[-1]
    return outcome if outcome != "rerun" else "interrupted"


def not_the_last(session: Sequence[SessionTest], nodeid: str, attempt: int) -> str | None:
    """What is to be told where a later attempt than the one that is judged sent nothing; or None."""
    last = max((each.attempt for each in session if each.nodeid == nodeid), default=attempt)
    return None if last <= attempt else f"attempt {last} of it sent nothing: attempt {attempt} is judged"


def without_runs(session: Sequence[SessionTest], there: Sequence[str]) -> list[SessionTest]:
    """The last attempt at each test of a session that is not in its file.

    Args:
        session: all attempts, in their order.
        there: names of the tests that are.
    """
    last = {each.nodeid: each for each in session}
    return [each for nodeid, each in last.items() if nodeid not in there]


def document_without_runs(test: SessionTest) -> dict[str, Any]:
    """Such a test as a report has it."""
    return {
        "nodeid": test.nodeid,
        "attempt": test.attempt,
        "outcome": test.outcome,
        "started_at": test.started_at,
        "duration_s": test.duration_s,
        "server": None,
        "runs": [],
        "verdicts": [],
        "not_judged": None,
        "session": NO_LOAD,
        "diagnosis": [],
        "resources": watched_document(ResourceWindow(missing=NO_LOAD), None),
        "log": log_document(LogWindow(missing=NO_LOAD), None, keep_text=False),
        "restarts": [],
        "liveness": None,
        "stacks": [],
        "stacks_missing": None,
    }
