"""The cliff among the rows of a sweep: where latency jumps, or requests begin to fail."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from pytest_llmserve.checks.lengths import LATENCIES, Cliff, LeastJump, LengthRow
from pytest_llmserve.domain.metrics import Distribution
from pytest_llmserve.stats.paired import Stratum, p_of_drop_within
from pytest_llmserve.stats.step import LEAST_LENGTHS, LEAST_VALUES, Step, least_seen, step_in

_ALPHA = 0.01


def cliff_of(rows: Sequence[LengthRow]) -> tuple[Cliff | None, str | None]:
    """(where requests begin to fail, else the cliff of e2e latency, else of TTFT; why none was judged).

    Args:
        rows: of lengths that were sent in the load, ascending.
    """
    failing = _failing_from(rows)
    if failing is not None:
        return failing, None
    seen = _judged(rows)
    if len(seen) >= LEAST_LENGTHS:
        for metric in LATENCIES:
            step = step_in([row.length_chars for row in seen], [_values(row, metric) for row in seen], _ALPHA)
            if step is not None:
                return _cliff(metric, [row.length_chars for row in seen], step), None
    if any(row.fails for row in rows):
        return None, f"not judged: {', '.join(row.told for row in rows if row.fails)}"
    if len(seen) < LEAST_LENGTHS:
        return None, (
            f"{len(seen)} of {len(rows)} lengths have {LEAST_VALUES} requests or more,"
            f" and it takes {LEAST_LENGTHS} of them to tell a jump from growth: give more lengths or requests"
        )
    return None, None


def least_jumps_of(rows: Sequence[LengthRow]) -> tuple[LeastJump, ...]:
    """How large a jump of end-to-end latency would have been found, where `cliff_of` has looked for one."""
    seen = _judged(rows)
    found = least_seen([row.length_chars for row in seen], [_values(row, "e2e_ms") for row in seen], _ALPHA)
    return tuple(
        LeastJump(above_chars=row.length_chars, times=times if math.isfinite(times) else None)
        for row, times in zip(seen[1:], found, strict=True)
    )


def _judged(rows: Sequence[LengthRow]) -> list[LengthRow]:
    return [row for row in rows if row.n >= LEAST_VALUES and not row.fails]


def _values(row: LengthRow, metric: str) -> list[float]:
    """A failed request is infinitely slow."""
    figure: Distribution = getattr(row, metric)
    return [*figure.values_ms, *[math.inf] * figure.failed]


def _failing_from(rows: Sequence[LengthRow]) -> Cliff | None:
    """The length from which on requests fail, all lengths to the longest, beyond chance; else None.

    Fisher's exact test of the requests below and above, times the places where it could have been.
    """
    found = []
    for at in range(1, len(rows)):
        below, above = rows[:at], rows[at:]
        if not all(row.fails for row in above) or rows[at - 1].fails:
            continue
        asked, failed = sum(row.n for row in above), sum(row.failed for row in above)
        before = sum(row.n for row in below)
        answered = before - sum(row.failed for row in below)
        p = (len(rows) - 1) * p_of_drop_within([Stratum(answered, before, asked - failed, asked)])
        if p <= _ALPHA:
            found.append(_failure(rows[at - 1], above, p))
    return found[0] if found else None


def _failure(below: LengthRow, above: Sequence[LengthRow], p: float) -> Cliff:
    ends = Counter[str]()
    for row in above:
        ends[str(row.outcome)] += row.failed
    return Cliff(
        metric="e2e_ms",
        below_chars=below.length_chars,
        above_chars=above[0].length_chars,
        below_ms=below.e2e_ms.p50,
        above_ms=above[0].e2e_ms.p50,
        expected_ms=math.nan,
        p=p,
        outcome=ends.most_common(1)[0][0],
        failed=sum(row.failed for row in above),
        n=sum(row.n for row in above),
    )


def _cliff(metric: str, lengths: Sequence[int], step: Step) -> Cliff:
    return Cliff(
        metric=metric,
        below_chars=lengths[step.at],
        above_chars=lengths[step.at + 1],
        below_ms=step.below,
        above_ms=step.above,
        expected_ms=step.expected,
        p=step.p,
    )
