"""Kept runs, judged again: what the file cannot tell is undecided, and says why."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.isolation import Isolation
from pytest_llmserve.checks.no_log_errors import NoLogErrors
from pytest_llmserve.checks.no_regression import NoRegression
from pytest_llmserve.command.judge import NOT_COMPARED, own_checks, unsent, verdicts_of
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.reports.about import Asked

LOG = LogWindow(files=("server.log",), read=40, counts={"traceback": 2})


def judged(check, evidence=None, asked=(), then=()):
    return verdicts_of([check], evidence or Evidence(log=LOG), asked, then)


def test_promises_are_built_as_they_were_written():
    """From the marker and its keywords."""
    asked = [Asked("latency", {"p99_ms": 100}), Asked("isolation"), Asked("error_rate", {"max": 0.1})]
    assert [check.name for check in own_checks(asked, "t")] == ["latency", "isolation", "error_rate"]


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        (Asked("speed", {"max": 1}), "no check 'speed'"),
        (
            Asked("error_rate", {"most": 1}),
            "error_rate: no keyword 'most', known: max, startup_grace, retries",
        ),
    ],
)
def test_a_promise_that_is_not_known_is_not_left_out(asked, fault):
    """Of a later version, perhaps: told, with what to do."""
    with pytest.raises(SetupError) as error:
        own_checks([asked], "a.py::t")
    assert str(error.value) == (
        f"the promises of a.py::t cannot be judged again: {fault}; use the version of pytest-llmserve that"
        " kept them, or give --check"
    )


def test_isolation_needs_what_is_not_in_the_file():
    """Never a pass of its own; the session's verdict stands where its own promises are judged."""
    (verdict,), _ = judged(Isolation())
    assert verdict.fails(strict=False)
    assert verdict.sentence == (
        "isolation: no evidence, the answers, and the marks that were put into the requests, are not in"
        " the file"
    )
    session = verdict.as_json() | {"verdict": "pass", "holds": True, "sentence": "no answer carried", "n": 60}
    (kept,), _ = judged(Isolation(), then=[session | {"answers": {}}, session | {"check": "latency"}])
    assert (kept.verdict, kept.sentence, kept.fails(strict=True)) == ("pass", "no answer carried", False)


def test_the_log_is_judged_as_it_was_searched():
    """By the marker's own patterns; for others its lines are no longer there."""
    own = build(NoLogErrors, "no_log_errors", (), {"allow": ["deprecated"]})
    asked = [Asked("no_log_errors", {"allow": ["deprecated"]})]
    (verdict,), _ = judged(own, asked=asked)
    assert verdict.verdict == "fail"
    (other,), _ = judged(NoLogErrors(), asked=asked)
    assert (other.verdict, other.holds) == ("undecided", None)
    assert other.sentence == (
        "error lines in the log: no evidence, only the lines that count for the test's own marker were looked"
        " for, and no others are in the file"
    )
    (usual,), _ = judged(NoLogErrors())
    assert usual.verdict == "fail"


def test_runs_that_were_compared_with_nothing_are_not_judged_for_a_regression():
    """As in a session without --llm-compare."""
    assert judged(NoRegression(percent=10)) == ([], NOT_COMPARED)


def test_a_run_without_a_request_keeps_no_promise():
    """It is not in the file, but that there was one is."""
    check = build(NoLogErrors, "no_log_errors", (), {})
    assert unsent([check], [1, 2], [5, 5]) == []
    (verdict,) = unsent([check], [1, 3], [5, 0, 5])
    assert verdict.fails(strict=False)
    assert verdict.sentence == "no_log_errors (run 2 of 3): no evidence, not one request of it was sent"
