"""How fast memory grows: per hour, or per 1000 requests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_llmserve.checks.finding import (
    ALPHA,
    CONFIDENCE,
    Finding,
    Interval,
    interval_basis,
    no_evidence,
    telling,
)
from pytest_llmserve.checks.memory_series import HOST, MemorySeries, memory_series
from pytest_llmserve.checks.wording import amount, compared, spread
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_S, duration_text
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.stats.growth import LEAST_BINS, LEAST_READINGS

if TYPE_CHECKING:
    from pytest_llmserve.stats.growth import Growth

MOST_TIMES = 20
"""A run so many times as long is no advice."""
OF_A_TOOTH = 3
"""One tooth makes the rise of a line unsure by up to 2.6 times its height, wherever it stands."""
RISES = "it rose in steps and has not rested longer than between them before: a run about 2 times as long"


def judge_rate(
    check: str, what: str, limit: float, run: LoadResult, where: str = HOST, *, hourly: bool
) -> Finding | Verdict:
    """The growth of one run's memory in its steady window, against a limit in MB."""
    series = memory_series(run, where)
    found = series.over_hours() if hourly else series.over_requests(1000)
    if found is None or found.slope is None:
        return no_evidence(check, what, limit, too_little(series, found, hourly=hourly))
    within, beyond = found.p_within(limit), found.p_beyond(limit)
    interval, low, high = interval_of(found)
    interval = telling(interval, (low, high), limit, within, beyond)
    span = duration_text(_rounded_ns(series.span_ns))
    over = span if hourly else f"{series.requests} requests"
    sample = f"n={len(series.mb)} readings over {over}"
    return Finding(
        check=check,
        what=what,
        limit=limit,
        estimate=found.slope.per_x,
        interval=interval,
        n=len(series.mb),
        holds=found.slope.per_x <= limit,
        p_within=within,
        p_beyond=beyond,
        head=f"{what} {compared(found.slope.per_x, limit, ' MB')}",
        basis=f"{series.measure}, {interval_basis(spread(*interval, ' MB'), sample)}",
        note="; ".join(filter(None, (course(found), series.shared, run.resources.part("rss_mb")))),
        doubt=doubt(found, limit, series.span_ns),
        gone=run.generator.server_gone,
    )


def interval_of(found: Growth) -> tuple[Interval, float, float]:
    """Two-sided interval of the growth, then each end as a bound of its own.

    The lower end accuses, so it is corrected for what was chosen on the same readings.
    """
    assert found.slope is not None
    accuse = (1 - CONFIDENCE) / found.looks
    low, high = found.slope.interval(1 - accuse)[0], found.slope.interval(CONFIDENCE)[1]
    return (low, high), found.slope.interval(1 - 2 * accuse)[0], found.slope.interval(2 * CONFIDENCE - 1)[1]


def course(found: Growth) -> str:
    """What was left out of a line through all readings, or nothing."""
    if found.basis == "filling":
        return "memory that filled ever more slowly is left out"
    if found.since > 0:
        return f"judged from {100 * found.since:.0f}% of the run on, when memory had changed its course"
    return ""


def doubt(found: Growth, limit: float, span_ns: int) -> str:
    """What is missing for a verdict."""
    if may_be_given_back(found):
        return (
            f"it had given back {amount(found.given_back)} MB before and may do so again:"
            " a run of several such cycles tells"
        )
    if may_rise_again(found, limit):
        return f"{RISES} ({duration_text(_up_ns(2 * span_ns))}) tells"
    times = longer(found, limit)
    if times > MOST_TIMES:
        return "the readings differ by too much: a quieter machine or a limit farther away is needed"
    return f"a run about {amount_of_times(times)} as long ({duration_text(_up_ns(times * span_ns))}) tells"


def may_be_given_back(found: Growth) -> bool:
    """The rise is that of a tooth, and teeth are what makes it unsure."""
    assert found.slope is not None
    low, high = found.slope.interval(CONFIDENCE)
    unsure = (high - low) / 2 * abs(found.rise / found.slope.per_x) if found.slope.per_x else 0.0
    return found.toothed and OF_A_TOOTH * found.given_back > unsure


def may_rise_again(found: Growth, limit: float) -> bool:
    """Its rest alone would be enough, were it not one of many."""
    assert found.slope is not None
    return found.stepping and found.slope.p_at_most(limit) <= ALPHA


def longer(found: Growth, limit: float) -> float:
    """How many times as long a run would bring the interval clear of the limit.

    The error of a slope falls with the length to the power of 3/2, at the same readings a second.
    """
    assert found.slope is not None
    low, high = found.slope.interval(2 * CONFIDENCE - 1)
    margin = abs(found.slope.per_x - limit)
    if margin <= 0:
        return math.inf
    return float(max(1.25, ((high - low) / 2 * 1.5 / margin) ** (2 / 3)))


def too_little(series: MemorySeries, found: Growth | None, *, hourly: bool) -> str:
    """Why nothing is known of the growth, and how long a run must be."""
    if len(series.mb) < LEAST_READINGS:
        times = 1.5 * LEAST_READINGS / max(1, len(series.mb))
        taken = "1 reading was taken" if len(series.mb) == 1 else f"{len(series.mb)} readings were taken"
        again = (
            f": run for {duration_text(_up_ns(times * series.span_ns))}" if series.span_ns else ": run longer"
        )
        return f"{taken} while the run was steady, {LEAST_READINGS} are needed{again}"
    if found is None:
        return "no time passed between the readings" if hourly else "no request ended between the readings"
    return (
        f"memory changed its course {100 * found.since:.0f}% into the run, too late to tell what came of it:"
        f" run for {duration_text(_up_ns(2 * max(found.since, LEAST_BINS / 60) * series.span_ns))}"
    )


def amount_of_times(times: float) -> str:
    """How many times as long, in words: "1.5 times", "3 times"."""
    return f"{times:.0f} times" if times >= 3 else f"{times:.2g} times"


def _up_ns(ns: float) -> int:
    """A duration rounded up to two digits of seconds."""
    seconds = max(ns / NS_PER_S, 0.1)
    unit = 10 ** (math.floor(math.log10(seconds)) - 1)
    return int(round(math.ceil(seconds / unit - 1e-9) * unit, 9) * NS_PER_S)


def _rounded_ns(ns: int) -> int:
    return round(ns, -9) if ns >= 10 * NS_PER_S else round(ns, -8)
