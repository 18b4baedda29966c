"""From evidence on single limits to the verdicts of a marker."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_llmserve.checks.wording import sureness
from pytest_llmserve.domain.liveness import absence
from pytest_llmserve.domain.verdict import FAIL, PASS, UNDECIDED, Verdict

Interval = tuple[float, float]

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE + 1e-12
NOTICED = 1.5
"""Variance inflation from which on a sentence speaks of it."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is known about one limit in one run.

    Attributes:
        p_within, p_beyond: how likely evidence this good (this bad) would be if the limit
            were just not kept (just kept).
        confidence: of the interval.
        settled: the verdict where it is not a matter of chance: a statement about the sample.
        head: promised and found, "p99 e2e latency 2431 ms > 2200 ms".
        basis: what it rests on, "95% interval 2290-2610 ms, n=812"; may be empty.
        note: more of what was seen, said in every case; may be empty.
        doubt: what is missing for a verdict, said when there is none; or what says it for the level
            at which a limit of the marker is shown to be broken.
        spoiled: why no verdict can be given whatever the figures say, or None.
        gone: since when the server was gone, `GeneratorHealth.server_gone`, or None. What a server
            that is gone did before keeps no promise: the verdict is fail whatever the figures say.
        looked_at: evidence counts that was there at any time of the run, not only at its end.
    """

    check: str
    what: str
    limit: float
    estimate: float
    interval: Interval | None = None
    confidence: float = CONFIDENCE
    n: int
    holds: bool
    p_within: float = 1.0
    p_beyond: float = 1.0
    settled: str | None = None
    head: str
    basis: str = ""
    note: str = ""
    doubt: str | Callable[[float], str] = ""
    spoiled: str | None = None
    gone: str | None = None
    looked_at: bool = False


def conclude(findings: Sequence[Finding | Verdict]) -> list[Verdict]:
    """Turn findings into verdicts, verdicts already given kept in their place.

    The marker as a whole is wrong at most 1 - 95 % of the time in either direction: it
    fails when any limit fails, so failing is corrected for the number of limits and runs
    (Holm, 1979); it passes only when every limit passes, which needs no correction
    (intersection-union test: Berger, 1982).
    """
    chances = [f for f in findings if isinstance(f, Finding) and f.settled is None and f.gone is None]
    threshold = holm_threshold([f.p_beyond for f in chances], ALPHA)
    level = ALPHA / max(1, len(chances))
    return [
        f if isinstance(f, Verdict) else _verdict(_orderly(f, threshold), threshold, level) for f in findings
    ]


def holm_threshold(p_values: Sequence[float], alpha: float) -> float:
    """The largest p-value that Holm's step-down procedure rejects; -1 when none."""
    rejected = -1.0
    for place, p in enumerate(sorted(p_values)):
        if p > alpha / (len(p_values) - place):
            break
        rejected = p
    return rejected


def telling(
    two_sided: Interval, one_sided: Interval, limit: float, p_below: float, p_above: float
) -> Interval:
    """The interval to show beside a verdict, so that the two never seem to disagree.

    A verdict is a statement about one side. Where the two-sided interval still holds the
    limit, the bound of that side alone is shown, at the same confidence.

    Args:
        two_sided: the interval.
        one_sided: its two ends as bounds each of its own.
        limit: in the same unit.
        p_below: small = shown to be below the limit.
        p_above: small = shown to be above it.
    """
    low, high = two_sided
    if low <= limit < high and p_below <= ALPHA:
        return -math.inf, one_sided[1]
    if low <= limit < high and p_above <= ALPHA:
        return one_sided[0], math.inf
    return two_sided


def no_evidence(check: str, what: str, limit: float, reason: str) -> Verdict:
    """The verdict when nothing was measured: undecided without an estimate, so never a pass."""
    return Verdict(
        check=check,
        what=what,
        limit=limit,
        estimate=None,
        interval=None,
        confidence=CONFIDENCE,
        n=0,
        verdict=UNDECIDED,
        sentence=f"{what}: no evidence, {reason}",
        holds=None,
    )


def counted(n: int, inflation: float) -> str:
    """The size of a sample, with its worth where neighbours are alike: "n=812, worth 310 independent"."""
    text = f"n={n}"
    return f"{text}, worth {max(1, n / inflation):.0f} independent" if inflation >= NOTICED else text


def _verdict(finding: Finding, threshold: float, level: float) -> Verdict:
    word = _word(finding, threshold)
    of_sample = finding.settled is not None and finding.interval is None
    return Verdict(
        check=finding.check,
        what=finding.what,
        limit=finding.limit,
        estimate=finding.estimate,
        interval=finding.interval,
        confidence=1.0 if of_sample else finding.confidence,
        n=finding.n,
        verdict=word,
        sentence=_sentence(finding, word, threshold, level),
        fate=None if finding.gone is None else gone_text(finding.gone),
        holds=finding.holds,
        about_sample=finding.settled is not None,
        spoiled=word == UNDECIDED and finding.spoiled is not None,
    )


def _word(finding: Finding, threshold: float) -> str:
    if finding.gone is not None:
        return FAIL
    if finding.spoiled is not None:
        return UNDECIDED
    if finding.settled is not None:
        return finding.settled
    if _changed(finding, threshold) is not None:
        return UNDECIDED
    if finding.p_within <= ALPHA:
        return PASS
    return FAIL if finding.p_beyond <= threshold else UNDECIDED


def _changed(finding: Finding, threshold: float) -> str | None:
    """Say so where what was shown at an earlier look is not what is found at the end; None else."""
    if not finding.looked_at or finding.settled is not None:
        return None
    kept, broken = finding.p_within <= ALPHA, finding.p_beyond <= threshold
    if kept and (broken or not finding.holds):
        shown = "kept and later broken" if finding.holds else "kept at first, and is not any more"
    elif broken and finding.holds:
        shown = "broken at first, and is kept since"
    else:
        return None
    return f"the server changed during the run: the limit was shown to be {shown}"


def _orderly(finding: Finding, threshold: float) -> Finding:
    """Without its interval where looks at a server that changed have none in common."""
    inverted = finding.interval is not None and finding.interval[0] > finding.interval[1]
    if not inverted and _changed(finding, threshold) is None:
        return finding
    return replace(finding, interval=None, basis=f"n={finding.n}")


def _sentence(finding: Finding, word: str, threshold: float, level: float) -> str:
    text = finding.head
    after = [finding.note, *([] if finding.gone is None else [gone_text(finding.gone)])]
    if word == UNDECIDED:
        text += ", undecided"
        after.append(finding.spoiled or _changed(finding, threshold) or _doubt(finding, level))
    # "never" has no interval worth telling: what failed says all.
    if finding.basis and not (word == FAIL and math.isinf(finding.estimate)):
        text += f" ({finding.basis})"
    said = "; ".join(part for part in after if part)
    return f"{text}: {said}" if said else text


def gone_text(gone: str) -> str:
    """The end of the sentence on a limit, where the server was gone."""
    return f"the server {absence(gone)}: {gone}"


def _doubt(finding: Finding, level: float) -> str:
    return finding.doubt if isinstance(finding.doubt, str) else finding.doubt(level)


def interval_basis(interval_text: str, sample_text: str) -> str:
    """The basis of a finding: "95% interval 2290-2610 ms, n=812"."""
    return f"{sureness(CONFIDENCE)} interval {interval_text}, {sample_text}"
