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
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.reports.about import Asked

ISOLATION, LOG, REGRESSION = "isolation", "no_log_errors", "no_regression"
NOTHING_SENT = "not one request of it was sent"
NO_MARKS = "the answers, and the marks that were put into the requests, are not in the file"
OTHER_LINES = (
    "only the lines that count for the test's own marker were looked for, and no others are in the file"
)
NOT_COMPARED = (
    f"{REGRESSION} was not judged: the runs were compared with nothing; pytest-llmserve compare holds two"
    " files against each other"
)


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
    checks: Sequence[Check], evidence: Evidence, asked: Sequence[Asked], then: Sequence[Mapping[str, Any]]
) -> tuple[list[Verdict], str | None]:
    """What the runs of one test say to these checks, and what was not judged and why.

    Args:
        checks: of the command line, or the test's own.
        evidence: of the file.
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
        elif check.name == REGRESSION and not evidence.baselines:
            not_judged = NOT_COMPARED
        else:
            found += judged([check], evidence)
    return found, not_judged


def unsent(checks: Sequence[Check], there: Sequence[int], runs: Sequence[int]) -> list[Verdict]:
    """A verdict for each run that is not in the file, as it had no request; none where all are.

    Args:
        checks: that are judged.
        there: numbers of the runs that are in the file, from 1.
        runs: how many requests each run of the test had.
    """
    missing = [number for number in range(1, len(runs) + 1) if number not in there]
    return [
        no_evidence(check.name, f"{check.name} (run {number} of {len(runs)})", 0.0, NOTHING_SENT)
        for number in missing
        for check in checks
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
