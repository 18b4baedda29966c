"""Kept runs, judged again: what the file cannot tell is undecided, and says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.isolation import Isolation
from pytest_llmserve.checks.no_log_errors import NoLogErrors
from pytest_llmserve.checks.no_regression import NoRegression
from pytest_llmserve.command.judge import NOT_COMPARED, left_open, own_checks, verdicts_of, was_cut
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.reports.about import Asked

LOG = LogWindow(files=("server.log",), read=40, counts={"traceback": 2})
QUIET = LogWindow(files=("server.log",), read=40)


def judged(check, evidence=None, against=None, asked=(), then=()):
    return verdicts_of([check], evidence or Evidence(log=LOG), against, asked, then)


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
    """As in a session without --llm-compare; those beside them that were compared are."""
    assert judged(NoRegression(percent=10)) == ([], NOT_COMPARED)
    runs = tuple(LoadResult(LoadPlan(), [], GeneratorHealth()) for _ in range(3))
    evidence, against = Evidence(runs=runs), Evidence(runs=runs[1:2], baselines=("it is damaged",))
    (verdict,), not_judged = judged(NoRegression(percent=10), evidence, against)
    assert verdict.sentence == "regression: no evidence, it is damaged"
    assert not_judged == (
        "no_regression was not judged: runs 1, 3 were compared with nothing; pytest-llmserve compare holds"
        " two files against each other"
    )
    _, not_judged = judged(NoRegression(percent=10), replace(evidence, runs=runs[:2]), against)
    assert not_judged == (
        "no_regression was not judged: run 1 was compared with nothing; pytest-llmserve compare holds two"
        " files against each other"
    )
    assert judged(NoRegression(percent=10), against, against)[1] is None


def test_nothing_is_kept_for_certain_by_a_test_that_was_interrupted():
    """What is broken stays so."""
    found = [build(NoLogErrors, "no_log_errors", (), {}).judge(Evidence(log=log))[0] for log in (LOG, QUIET)]
    assert [verdict.verdict for verdict in found] == ["fail", "pass"]
    broken, opened = left_open(found)
    assert broken is found[0]
    assert (opened.verdict, opened.fails(strict=False), opened.fails(strict=True)) == (
        "undecided",
        False,
        True,
    )
    assert opened.sentence == (
        f"{found[1].sentence}; undecided, as the test was interrupted before its load ended"
    )
    cut = LoadResult(LoadPlan(), [], GeneratorHealth(ended="interrupted"))
    whole = LoadResult(LoadPlan(), [], GeneratorHealth())
    assert was_cut([whole, cut], ())
    assert not was_cut([whole], ())
    assert not was_cut([cut], [{"verdict": "pass"}])  # as by a test that cancels a load of its own
