"""From how much one figure differs from another to a finding, and its words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_llmserve.checks.finding import (
    ALPHA,
    NOTICED,
    Finding,
    interval_basis,
    no_evidence,
    telling,
)
from pytest_llmserve.checks.wording import amount, compared, exactly
from pytest_llmserve.domain.verdict import FAIL, Verdict
from pytest_llmserve.stats.shift import Shift

NEVER = "never (failed)"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a shift, and the words of the answer.

    Attributes:
        check: name of the marker.
        what: what has changed against what, 'p95 e2e latency against "main"'.
        percent: how much worse it may be.
        unit: of both figures, with its space: " ms".
        sides: where the two were measured, 'in each run'.
        path: said before the two figures: "first to last quarter "; may be empty.
        falls: it is worse when it is less, as a throughput.
        noun: what is counted.
        among: number of figures that are judged together.
    """

    check: str
    what: str
    percent: float
    unit: str
    sides: str
    path: str = ""
    falls: bool = False
    noun: str = "requests"
    among: int = 1


def shift_finding(
    ask: Question,
    shift: Shift,
    *,
    note: str = "",
    spoiled: str | None = None,
    gone: str | None = None,
    answered: bool = True,
) -> Finding | Verdict:
    """Whether a figure is worse by more than so many percent.

    Args:
        ask: the question.
        shift: the answer of the data.
        note: of the `Finding`, as are `spoiled` and `gone`.
        spoiled: likewise.
        gone: likewise.
        answered: False = every request failed where it could be worse.
    """
    if shift.before == shift.after == 0:
        return no_evidence(ask.check, ask.what, _limit(ask), "it is 0 on both sides")
    limit = _limit(ask) / 100
    over, under = shift.p_at_least(limit), shift.p_at_most(limit)
    within = shift.ratio >= limit if ask.falls else shift.ratio <= limit
    low, high = telling(shift.bounds, shift.one_sided, limit, under, over)
    return Finding(
        check=ask.check,
        what=ask.what,
        limit=_limit(ask),
        estimate=math.inf if math.isinf(shift.after) else 100 * shift.ratio,
        interval=(100 * low, 100 * high),
        n=shift.n_before + shift.n_after,
        holds=within or _can_be_chance(ask, shift),
        p_within=over if ask.falls else under,
        p_beyond=under if ask.falls else over,
        settled=None if answered else FAIL,
        head=_head(ask, shift),
        basis=_basis(ask, shift, (low, high)),
        note=note,
        doubt=_doubt(ask, shift),
        spoiled=spoiled,
        gone=gone,
    )


def change(percent: float, extra: int = 0) -> str:
    """A change in percent, with its sign: "+14", "-0.4"."""
    digits = (1 if abs(percent) < 10 else 0) + extra
    return f"{round(percent, digits) + 0.0:+.{digits}f}"  # + 0.0: a change of -0.0 is none


def change_spread(low: float, high: float, unit: str) -> str:
    """An interval of changes in percent: "+6.0 to +23%", "up to +23%"; a fall by all, -100, is no bound."""
    if low <= -100:
        return "unbounded" if math.isinf(high) else f"up to {change(high)}{unit}"
    if math.isinf(high):
        return f"{change(low)}{unit} and above"
    return f"{change(low)} to {change(high)}{unit}"


def counted_both(n: tuple[int, int], worth: tuple[float, float]) -> str:
    """The size of two samples: "n=812 and 790, worth 310 and 290 independent"."""
    text = f"n={n[0]} and {n[1]}"
    if max(n[0] / worth[0], n[1] / worth[1]) < NOTICED:
        return text
    return f"{text}, worth {worth[0]:.0f} and {worth[1]:.0f} independent"


def _limit(ask: Question) -> float:
    return -ask.percent if ask.falls else ask.percent


def _can_be_chance(ask: Question, shift: Shift) -> bool:
    """No difference is seen: a server that is as it was shows one this large often enough.

    Where values are too few, all can be chance, but for a quantile that failures have reached.
    """
    if math.isinf(shift.after):
        return False
    return (shift.p_at_most(0) if ask.falls else shift.p_at_least(0)) > unseen_up_to(ask.among)


def unseen_up_to(among: int) -> float:
    """The p-value from which on a difference can be chance.

    Of several figures each has its part of the 5 % (Bonferroni); of a single one a half, so that the
    interval told beside a difference that is seen never holds 0.
    """
    return ALPHA / max(2, among)


def _head(ask: Question, shift: Shift) -> str:
    if math.isinf(shift.after):
        return f"{ask.what} {ask.path}{_figure(ask, shift.before)} -> {NEVER}"
    found = compared(100 * shift.ratio, _limit(ask), "%", write=change, at_least=ask.falls)
    return f"{ask.what} {found}"


def _figure(ask: Question, value: float) -> str:
    return NEVER if math.isinf(value) else f"{amount(value)}{ask.unit}"


def _basis(ask: Question, shift: Shift, ends: tuple[float, float]) -> str:
    n = counted_both((shift.n_before, shift.n_after), (shift.worth_before, shift.worth_after))
    n += "" if ask.noun == "requests" else f" {ask.noun}"
    interval = interval_basis(change_spread(100 * ends[0], 100 * ends[1], "%"), n)
    if math.isinf(shift.after):
        return interval
    before = amount(shift.before) if math.isfinite(shift.before) else NEVER
    return f"{ask.path}{before} -> {_figure(ask, shift.after)}, {interval}"


def _doubt(ask: Question, shift: Shift) -> str:
    if math.isinf(shift.before) and math.isinf(shift.after):
        return "failures reach this figure on both sides"
    if shift.needed is not None:
        alike = max(shift.n_before / shift.worth_before, shift.n_after / shift.worth_after) >= NOTICED
        because = ", as neighbours are alike" if alike else ""
        return f"{shift.needed} {ask.noun} {ask.sides} are needed{because}"
    if not _can_be_chance(ask, shift):
        return f"a difference is seen, but not whether it is over {exactly(ask.percent)}%: {_more(ask)}"
    return _unseen(ask, shift)


def _unseen(ask: Question, shift: Shift) -> str:
    alpha = unseen_up_to(ask.among)
    detectable = shift.detectable_fall_at(alpha) if ask.falls else shift.detectable_at(alpha)
    if not math.isfinite(detectable) or (ask.falls and detectable >= 1):
        return f"no difference seen, and none could have been: {_more(ask)}"
    text = f"no difference seen, smallest detectable was {change(100 * detectable).lstrip('+')}%"
    allowed = ask.percent / 100
    wanted = _log_ratio(detectable, ask.falls) / _log_ratio(allowed, ask.falls)
    if ask.noun != "requests" or wanted <= 1:
        return f"{text}: {_more(ask)}"
    n = _two_digits(max(shift.n_before, shift.n_after) * wanted**2)
    return f"{text}: {exactly(ask.percent)}% takes about {n} requests {ask.sides}"


def _more(ask: Question) -> str:
    return "send more requests" if ask.noun == "requests" else "a longer run would tell"


def _log_ratio(share: float, falls: bool) -> float:
    return -math.log1p(-min(share, 0.999)) if falls else math.log1p(share)


def _two_digits(n: float) -> int:
    """Rounded up to two digits, as it is a guess."""
    step = int(10 ** max(0, math.floor(math.log10(n)) - 1))
    return math.ceil(n / step) * step
