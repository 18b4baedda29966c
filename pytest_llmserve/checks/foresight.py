"""What is known of a verdict before the first request is sent: how many requests it needs, and gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from pytest_llmserve.checks.error_rate import ErrorRate
from pytest_llmserve.checks.finding import CONFIDENCE
from pytest_llmserve.checks.goodput import Goodput
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.checks.throughput import ANSWERS_A_SLICE, LEAST_SLICES, Throughput
from pytest_llmserve.checks.wording import exactly, percent, sureness
from pytest_llmserve.domain.metrics import QUANTILES
from pytest_llmserve.domain.plan import POISSON, LoadPlan, Stage
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.stats.binomial import requests_needed
from pytest_llmserve.stats.means import FIRST_LOOK
from pytest_llmserve.stats.sequential import TOO_MANY, least_without_bad

if TYPE_CHECKING:
    from pytest_llmserve.checks import Check

_LEAST_ANSWERS = LEAST_SLICES * ANSWERS_A_SLICE
_LEAST_OF_A_MEAN = 2


@dataclass(frozen=True)
class Sending:
    """How many measured requests a plan sends.

    Attributes:
        number: of requests.
        sure: "" = so many, "about" = as many on average, "at most" = no more than that.
    """

    number: int
    sure: str = ""


@dataclass(frozen=True)
class Need:
    """The least number of requests with which a limit can be shown to be kept, if all goes well.

    Attributes:
        limit: as the user wrote it, "latency(p99_ms=2200)".
        least: of requests sent.
        said: what is needed, "p99 at 95% needs 299 requests with none over the limit".
    """

    limit: str
    least: int
    said: str


def too_few(plan: LoadPlan, checks: Iterable[Check]) -> str:
    """Say which limits a plan cannot show to be kept, even if all goes well; "" when there are none.

    A limit that stands here can still fail. Of a load that ends by its duration nothing is
    known, unless a rate or the pauses of its users tell how many requests it sends.
    """
    sending = sent_by(plan)
    if sending is None:
        return ""
    short = [need for check in checks for need in needs(check, plan) if need.least > sending.number]
    if not short:
        return ""
    told = [f"{need.limit}: {need.said}" for need in short]
    number = f"{sending.sure} {sending.number}".strip()
    scale = "" if plan.scale == 1 else f" (--llm-scale {plan.scale:g})"
    subject = "it" if len(short) == 1 else "they"
    end = f"this load sends {number}{scale}, so {subject} can end undecided or fail, not pass"
    return "; ".join([*told, end])


def earliest(plan: LoadPlan, checks: Iterable[Check]) -> str:
    """Say what a load `until="decided"` needs at least, to show all its limits kept; "" of others."""
    wanted = [need for check in checks for need in needs(check, plan)]
    if plan.until is None or not wanted:
        return ""
    most = max(wanted, key=lambda need: need.least)
    return f"{most.limit}: {most.said}; this load goes on until all is decided"


def needs(check: Check, plan: LoadPlan) -> Iterator[Need]:
    """What each limit of a check needs; nothing for those that any number of requests decides."""
    reckon = _NEEDS.get(check.name)
    if reckon is not None:
        yield from reckon(check, plan)


def sent_by(plan: LoadPlan) -> Sending | None:
    """How many measured requests a plan sends, or None where that is not known before."""
    timed = _timed(plan)
    if plan.requests is None:
        return timed
    if timed is not None and timed.number < plan.requests:
        return timed
    timed_users = not plan.is_open and plan.measured_ns is not None
    may_end_before = plan.trace is not None or plan.until is not None or timed_users
    return Sending(plan.requests, "at most" if may_end_before else "")


def _timed(plan: LoadPlan) -> Sending | None:
    """The same by the length of the plan alone."""
    if plan.measured_ns is None or plan.trace is not None:
        return None
    if plan.rate is not None:
        return _scheduled(plan, [Stage(plan.rate, plan.rate, plan.measured_ns)])
    if plan.rate_stages:
        return _scheduled(plan, plan.rate_stages)
    pause_ns = plan.think_time_ns[0]
    if not pause_ns:
        return None
    steps = plan.stages or (Stage(plan.users, plan.users, plan.measured_ns),)
    most = sum(math.ceil(max(s.begin, s.end)) * (s.duration_ns // pause_ns + 1) for s in steps)
    return Sending(most, "at most")


def _scheduled(plan: LoadPlan, steps: Iterable[Stage]) -> Sending:
    number = sum((s.begin + s.end) / 2 * s.duration_ns / NS_PER_S for s in steps)
    return Sending(round(number), "about" if plan.arrival == POISSON else "")


def _latency(check: Latency, plan: LoadPlan) -> Iterator[Need]:
    for field in fields(check):
        limit_ms = getattr(check, field.name)
        figure, _, statistic = field.name.removesuffix("_ms").rpartition("_")
        # How many gaps an answer has is not known before it came.
        if limit_ms is None or statistic == "max" or figure == "itl":
            continue
        limit = f"latency({field.name}={exactly(limit_ms)})"
        if statistic == "mean":
            least = _LEAST_OF_A_MEAN if plan.until is None else FIRST_LOOK
            yield Need(limit, least, f"a mean needs {least} requests")
            continue
        spoken = "p99.9" if statistic == "p999" else statistic
        yield _of_share(limit, spoken, 1 - QUANTILES[statistic], "over the limit", plan)


def _error_rate(check: ErrorRate, plan: LoadPlan) -> Iterator[Need]:
    if check.max:  # of 0: a statement about the sample
        limit = f"error_rate(max={exactly(check.max)})"
        yield _of_share(limit, f"{percent(check.max)}%", check.max, "failing", plan)


def _goodput(check: Goodput, plan: LoadPlan) -> Iterator[Need]:
    if check.min is not None and check.min < 1:
        limit = f"goodput(min={exactly(check.min)})"
        yield _of_share(limit, f"{percent(check.min)}%", 1 - check.min, "over a limit", plan)


def _throughput(check: Throughput, plan: LoadPlan) -> Iterator[Need]:
    """Answers count that ended in the steady window: before the first user found nothing left to begin."""
    under_way = 0
    never_waits = not plan.is_open and not plan.think_time_ns[1] and not plan.ramp_up_ns
    if never_waits and not plan.warm_up_ns and plan.requests is not None and plan.requests > 2 * plan.users:
        under_way = plan.users - 1
    for name, limit in check.limits():
        said = f"{_LEAST_ANSWERS} answers in the steady window are needed"
        if under_way:
            said += f", and at its end {under_way} of the requests are still under way"
        yield Need(f"throughput({name}={exactly(limit)})", _LEAST_ANSWERS + under_way, said)


_NEEDS: dict[str, Callable[..., Iterator[Need]]] = {
    Latency.name: _latency,
    Throughput.name: _throughput,
    Goodput.name: _goodput,
    ErrorRate.name: _error_rate,
}


def _of_share(limit: str, claim: str, allowed: float, bad_ones: str, plan: LoadPlan) -> Need:
    if plan.until is None:
        least = requests_needed(1 - allowed, CONFIDENCE, 0)
    else:  # to be looked at all the time has its price
        shown = least_without_bad(allowed, CONFIDENCE)
        if shown is None:
            said = f"{claim} at {sureness(CONFIDENCE)} needs over {TOO_MANY} requests with none {bad_ones}"
            return Need(limit, TOO_MANY + 1, said)
        least = shown
    said = f"{claim} at {sureness(CONFIDENCE)} needs {least} requests with none {bad_ones}"
    return Need(limit, least, said)
