"""Whether what a load sees is worth looking into the server now, while it happens. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pytest_llmserve.domain.metrics import QUANTILES
from pytest_llmserve.domain.outcome import REFUSED, TIMED_OUT
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S, duration_text

MOST_DUMPS = 3
"""In a test; the last of them is kept for a request that hangs."""
EVERY_NS = 10 * NS_PER_S
"""At least, from one to the next."""

HANG = "hang"
_UNANSWERED = {TIMED_OUT: "ran out of time", REFUSED: "got no connection"}
HANGING_TIMES = 5
LEAST_HANG_NS = 2 * NS_PER_S
"""A request hangs that has taken so many times its limit, and so long: one that is only late does not."""
NEAR_TIMEOUT = 0.9
"""Without a limit on latency, a request hangs that has taken so much of its time limit."""
SURE_NATS = 7.0
"""More requests are over a limit than it allows by chance in less than one of a thousand such runs (e^-7)."""


class Mark(NamedTuple):
    """A limit on a quantile or maximum.

    Attributes:
        figure: "e2e" or "ttft".
        share: of the requests that may be over it.
    """

    figure: str
    share: float
    limit_ms: float
    what: str


Over = Callable[[str, float], tuple[int, int]]
"""(figure, limit in ms) -> how many requests were over it, of how many."""


def marks_of(limits: Iterable[tuple[str, str, float]]) -> tuple[Mark, ...]:
    """The limits on latency that tell when to look; those on ITL, TPOT and means do not.

    Args:
        limits: (figure, statistic, limit in ms), as `checks.latency.Latency.limits` gives them.
    """
    return tuple(
        Mark(figure, 0.0 if statistic == "max" else 1 - QUANTILES[statistic], limit_ms, statistic)
        for figure, statistic, limit_ms in limits
        if figure in {"e2e", "ttft"} and (statistic == "max" or statistic in QUANTILES)
    )


class Reason(NamedTuple):
    """Why to look into the server now.

    Attributes:
        kind: of what was seen.
        known: of what was seen, and of how many, since the load began.
        text: "a request had gone without its full answer for 6 s".
    """

    kind: str
    known: Count
    text: str


Count = tuple[int, int]
"""So many, of so many."""


def failures(now: LoadProgress) -> dict[str, Count]:
    """Requests that went unanswered and are over, by kind of reason: old news as soon as it was told."""
    return {outcome: (now.by_outcome.get(outcome, 0), now.ended) for outcome in _UNANSWERED}


def alarm(
    now: LoadProgress, plan: LoadPlan, marks: Sequence[Mark], over: Over | None, seen: Mapping[str, Count]
) -> Reason | None:
    """Why to look into the server now, or None.

    Never while all goes as it may: a share of slow requests that a limit allows is none, nor is a
    request that is over a limit only for a while.

    Args:
        now: the load as last told.
        plan: of the load.
        marks: limits that are judged.
        over: counts answers over a limit; None = only a request that hangs is a reason.
        seen: kind of a reason -> what was known of it before; only what came since then counts.
    """
    return next(_reasons(now, plan, marks, over, seen), None)


def _reasons(
    now: LoadProgress, plan: LoadPlan, marks: Sequence[Mark], over: Over | None, seen: Mapping[str, Count]
) -> Iterator[Reason]:
    if now.oldest_ns is not None and now.oldest_ns >= hang_ns(plan, marks):
        long = duration_text(round(now.oldest_ns, -8))
        yield Reason(HANG, (1, now.active), f"a request had gone without its full answer for {long}")
    if over is None:
        return
    for outcome, count in failures(now).items():
        number = count[0]
        if number > seen.get(outcome, (0, 0))[0]:
            said = f"{number} request{'' if number == 1 else 's'} {_UNANSWERED[outcome]}"
            yield Reason(outcome, count, said)
    for mark in marks:
        slow, n = over(mark.figure, mark.limit_ms)
        what = _what(mark)
        slow_before, n_before = seen.get(what, (0, 0))
        if surely_over(slow - slow_before, n - n_before, mark.share):
            text = f"{slow} of {n} requests were over the limit of {mark.limit_ms:.12g} ms on {what}"
            yield Reason(what, (slow, n), text)


def hang_ns(plan: LoadPlan, marks: Sequence[Mark]) -> int:
    """So long a request may be under way before it counts as one that hangs."""
    limits = [round(NEAR_TIMEOUT * plan.timeout_ns)]
    for mark in marks:
        limit_ns = mark.limit_ms * NS_PER_MS
        if mark.figure == "e2e":  # an answer may take long after its first token
            limits.append(round(max(HANGING_TIMES * limit_ns, LEAST_HANG_NS)))
    return min(limits)


def surely_over(slow: int, n: int, share: float) -> bool:
    """More than a share is over the limit, and not by chance.

    By Chernoff's bound: of n independent requests, k or more are over with a probability of at most
    exp(-n * D(k/n || share)), D being the Kullback-Leibler divergence.
    """
    if n <= 0 or slow <= share * n:
        return False
    if share <= 0:
        return True
    found = min(1.0, slow / n)
    rest = (1 - found) * math.log((1 - found) / (1 - share)) if found < 1 else 0.0
    return n * (found * math.log(found / share) + rest) > SURE_NATS


def due(taken_ns: Sequence[int], now_ns: int, hang: bool) -> bool:
    """Another dump may be taken.

    Args:
        taken_ns: when those of this test were.
        now_ns: monotonic.
        hang: because a request hangs.
    """
    most = MOST_DUMPS if hang else MOST_DUMPS - 1
    return len(taken_ns) < most and (not taken_ns or now_ns - taken_ns[-1] >= EVERY_NS)


def _what(mark: Mark) -> str:
    statistic = {"max": "the maximum", "p999": "p99.9"}.get(mark.what, mark.what)
    return f"{statistic} of {'time to first token' if mark.figure == 'ttft' else 'end-to-end latency'}"
