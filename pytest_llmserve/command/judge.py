"""Kept runs, judged again: pure, from what a file has to verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pytest_llmserve.checks import CHECKS, Check, check_class
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import no_evidence
from pytest_llmserve.checks.judging import judged
from pytest_llmserve.checks.no_log_errors import NoLogErrors
from pytest_llmserve.domain.errors import MarkerError, SetupError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.verdict import PASS, UNDECIDED, Verdict
from pytest_llmserve.reports.about import Asked

ISOLATION, LOG, REGRESSION = "isolation", "no_log_errors", "no_regression"
NO_MARKS = "the answers, and the marks that were put into the requests, are not in the file"
OTHER_LINES = (
    "only the lines that count for the test's own marker were looked for, and no others are in the file"
)
INTERRUPTED = "interrupted"
CUT = "undecided, as the test was interrupted before its load ended"
COMPARE = "pytest-llmserve compare holds two files against each other"
NOT_COMPARED = f"{REGRESSION} was not judged: the runs were compared with nothing; {COMPARE}"


def own_checks(asked: Sequence[Asked], nodeid: str) -> list[Check]:
    """The promises of the test's own markers.

    Raises:
        SetupError: this version does not know one, or a keyword of it.
    """
    found: list[Check] = []
    for one in asked:
        try:
            if one.check not in CHECKS:
                raise SetupError(f"no check {one.check!r}")
            found.append(build(check_class(one.check), one.check, (), one.keywords))
        except (SetupError, MarkerError) as error:
            raise SetupError(
                f"the promises of {nodeid} cannot be judged again: {error}; use the version"
                " of pytest-llmserve that kept them, or give --check"
            ) from None
    return found


def verdicts_of(
    checks: Sequence[Check],
    evidence: Evidence,
    against: Evidence | None,
    asked: Sequence[Asked],
    then: Sequence[Mapping[str, Any]],
) -> tuple[list[Verdict], str | None]:
    """What the runs of one test say to these checks, and what was not judged and why.

    Args:
        checks: of the command line, or the test's own.
        evidence: of the file.
        against: the runs of it that were compared with something; None = none was.
        asked: by the test's markers.
        then: verdicts of the session that kept the runs, where its own checks are judged; else empty.
    """
    found: list[Verdict] = []
    not_judged = None
    for check in checks:
        if check.name == ISOLATION:
            found += kept_verdicts(then, ISOLATION) or [no_evidence(ISOLATION, ISOLATION, 0.0, NO_MARKS)]
        elif check.name == LOG and check != _log_check(asked):
            found.append(no_evidence(LOG, "error lines in the log", 0.0, OTHER_LINES))
        elif check.name == REGRESSION:
            found += [] if against is None else judged([check], against)
            not_judged = _not_compared(evidence, against)
        else:
            found += judged([check], evidence)
    return found, not_judged


def _not_compared(evidence: Evidence, against: Evidence | None) -> str | None:
    """Of which runs there is nothing to compare with; None where there is of all."""
    if against is None:
        return NOT_COMPARED
    alone = [
        str(number)
        for number, run in enumerate(evidence.runs, 1)
        if not any(run is each for each in against.runs)
    ]
    if not alone:
        return None
    were = f"run {alone[0]} was" if len(alone) == 1 else f"runs {', '.join(alone)} were"
    return f"{REGRESSION} was not judged: {were} compared with nothing; {COMPARE}"


def was_cut(runs: Sequence[LoadResult], then: Sequence[Mapping[str, Any]]) -> bool:
    """A load did not come to its end, and its session judged nothing."""
    return not then and any(run.generator.ended == INTERRUPTED for run in runs)


def left_open(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Of a test that was interrupted: a limit that is broken stays so, and none is kept for certain."""
    return [
        verdict
        if verdict.verdict != PASS
        else msgspec.structs.replace(verdict, verdict=UNDECIDED, sentence=f"{verdict.sentence}; {CUT}")
        for verdict in verdicts
    ]


def kept_verdicts(then: Sequence[Mapping[str, Any]], check: str) -> list[Verdict]:
    """The verdicts of a check as the session gave them."""
    names = frozenset(Verdict.__struct_fields__) - {"answers"}
    mine = [verdict for verdict in then if verdict["check"] == check]
    return [msgspec.convert({k: v for k, v in each.items() if k in names}, Verdict) for each in mine]


def _log_check(asked: Sequence[Asked]) -> Check:
    """What the log was searched for when the runs were kept."""
    keywords = next((one.keywords for one in asked if one.check == LOG), {})
    check: Check = build(NoLogErrors, LOG, (), keywords)
    return check
