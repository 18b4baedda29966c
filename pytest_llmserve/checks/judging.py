"""All promises of a test, judged together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from pytest_llmserve.domain.verdict import FAIL, UNDECIDED, Verdict

if TYPE_CHECKING:
    from pytest_llmserve.checks import Check
    from pytest_llmserve.checks.evidence import Evidence


def judged(checks: Iterable[Check], evidence: Evidence) -> list[Verdict]:
    """The verdicts of every check; a server that died during the test has kept no promise."""
    verdicts = [verdict for check in checks for verdict in check.judge(evidence)]
    if evidence.death is None:
        return verdicts
    return [_failed(verdict, evidence.death) for verdict in verdicts]


def all_decided(checks: Iterable[Check], evidence: Evidence) -> bool:
    """Nothing that a longer run could decide is open; False without a check that stops early.

    A limit that is kept by the requests that were sent, such as that on a maximum, does not end a run:
    each further one may break it. Nor does it keep one going beside others that are decided.
    """
    verdicts = [verdict for check in checks if check.stops_early for verdict in check.judge(evidence)]
    if any(verdict.verdict == UNDECIDED for verdict in verdicts):
        return False
    return any(verdict.verdict == FAIL or not verdict.about_sample for verdict in verdicts)


def _failed(verdict: Verdict, why: str) -> Verdict:
    fate = why if verdict.fate is None else f"{verdict.fate}; {why}"
    return msgspec.structs.replace(verdict, verdict=FAIL, sentence=f"{verdict.sentence}; {why}", fate=fate)
