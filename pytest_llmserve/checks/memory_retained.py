"""Memory that a run leaves behind, and whether it had come to rest."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from pytest_llmserve.checks.finding import ALPHA, CONFIDENCE, Finding, Interval
from pytest_llmserve.checks.memory_rate import (
    MOST_TIMES,
    RISES,
    amount_of_times,
    interval_of,
    longer,
    may_be_given_back,
    may_rise_again,
    too_little,
)
from pytest_llmserve.checks.memory_series import GPU, MemorySeries, memory_series, shared_rise
from pytest_llmserve.checks.wording import amount, compared, spread, sureness
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import HELD, MemoryChange
from pytest_llmserve.domain.units import BYTES_PER_MB, duration_text
from pytest_llmserve.domain.verdict import FAIL, PASS, UNDECIDED
from pytest_llmserve.stats.growth import Growth
from pytest_llmserve.stats.medians import difference_confidence, difference_interval, one_side_sure

RISING = 0.1
"""Memory over the limit was still rising when a run as long would surely add this share of the limit."""


@dataclass(frozen=True)
class Retained:
    """Memory after a run against memory before it, in MB.

    Attributes:
        shared: what is said of the part of it that is shared memory.
    """

    what: str
    limit: float
    memory: MemoryChange
    mb: float
    interval: Interval
    shared: str = ""

    @property
    def n(self) -> int:
        """Readings on both sides."""
        return len(self.memory.before) + len(self.memory.after)

    @property
    def word(self) -> str:
        """The verdict by itself: what was retained is within the limit, over it, or neither is sure."""
        if not one_side_sure(len(self.memory.before), len(self.memory.after), CONFIDENCE):
            return UNDECIDED
        if self.interval[1] <= self.limit:
            return PASS
        return FAIL if self.interval[0] > self.limit else UNDECIDED

    @property
    def doubt(self) -> str:
        """Why it is not sure."""
        if one_side_sure(len(self.memory.before), len(self.memory.after), CONFIDENCE):
            return "the readings differ among themselves by more than is left to the limit"
        return "6 readings before and 6 after are needed"


def judge_retained(check: str, what: str, limit: float, run: LoadResult, where: str) -> Finding:
    """Memory after one run, once settled; both sides must have been read."""
    memory = run.memory.gpu if run.memory is not None and where == GPU else run.memory
    assert memory is not None
    assert memory.retained_bytes is not None
    interval = difference_interval(memory.before, memory.after, CONFIDENCE)
    mb = memory.retained_bytes / BYTES_PER_MB
    kept = Retained(
        what=what,
        limit=limit,
        memory=memory,
        mb=mb,
        interval=(interval[0] / BYTES_PER_MB, interval[1] / BYTES_PER_MB),
        shared="; ".join(
            filter(
                None,
                (
                    shared_rise(run.resources.samples, mb) if memory.measure == HELD else "",
                    run.resources.part("rss_mb"),
                ),
            )
        ),
    )
    gone = run.generator.server_gone
    if kept.word != FAIL:
        return _as_it_is(check, kept, kept.word, kept.doubt, gone)
    series = memory_series(run, where)
    found = series.over_requests(max(1, series.requests))
    if found is not None and found.p_beyond(RISING * limit) <= ALPHA:
        return _as_it_is(check, kept, FAIL, "", gone, _growing(found))
    if found is not None and found.p_within(limit) <= ALPHA:
        late = late_rise_mb(kept, series)
        if late <= limit:
            return _at_rest(check, kept, found, gone)
        told = f"it had grown by {amount(late)} MB after the load, so whether it rests is not known"
        return _as_it_is(check, kept, UNDECIDED, told, gone)
    return _as_it_is(check, kept, UNDECIDED, _unknown(found, kept, series), gone)


def late_rise_mb(kept: Retained, series: MemorySeries) -> float:
    """What came on top after the last readings under load."""
    return median(kept.memory.after) / BYTES_PER_MB - series.last_mb


def _as_it_is(
    check: str, kept: Retained, word: str, doubt: str, gone: str | None, growing: str = ""
) -> Finding:
    return Finding(
        check=check,
        what=kept.what,
        limit=kept.limit,
        estimate=kept.mb,
        interval=kept.interval,
        confidence=_confidence(kept),
        n=kept.n,
        holds=kept.mb <= kept.limit,
        settled=word,
        head=f"{kept.what} {compared(kept.mb, kept.limit, ' MB')}",
        basis=f"{_levels(kept, growing)}, {sureness(_confidence(kept))} interval"
        f" {spread(*kept.interval, ' MB')}, n={kept.n} readings",
        note=kept.shared,
        doubt=doubt,
        gone=gone,
    )


def _at_rest(check: str, kept: Retained, found: Growth, gone: str | None) -> Finding:
    """More than the limit was taken, and then no more: what a run like it would add is what is judged."""
    assert found.slope is not None
    interval, _, high = interval_of(found)
    rested = f"{100 * (1 - found.since):.0f}% of the run"
    course = f"stayed flat for {rested}" if interval[0] <= 0 else f"grew on by less for {rested}"
    added = compared(max(round(high, 6), 0.0), kept.limit, " MB")
    noun = kept.what.replace("memory retained", "memory")
    return Finding(
        check=check,
        what=kept.what,
        limit=kept.limit,
        estimate=found.slope.per_x,
        interval=interval,
        n=kept.n,
        holds=found.slope.per_x <= kept.limit,
        settled=PASS,
        head=f"{noun} grew by {amount(kept.mb)} MB and then {course}",
        basis=f"{_levels(kept)}, a run as long adds at most {added}",
        note=kept.shared,
        gone=gone,
    )


def _growing(found: Growth) -> str:
    assert found.slope is not None
    if found.since > 0:
        return f" still growing in the last {100 * (1 - found.since):.0f}% of the run,"
    return " still growing when the run ended,"


def _unknown(found: Growth | None, kept: Retained, series: MemorySeries) -> str:
    """Why it is not known whether memory had come to rest, and what tells."""
    if found is None or found.slope is None:
        return f"whether it had come to rest is not known: {too_little(series, found, hourly=False)}"
    if may_be_given_back(found):
        return (
            f"it had given back {amount(found.given_back)} MB during the run and may do so again:"
            " a run of several such cycles tells"
        )
    if may_rise_again(found, kept.limit):
        return f"{RISES} tells"
    times = longer(found, kept.limit)
    if times > MOST_TIMES:
        return "whether it had come to rest cannot be told from readings that differ so much"
    return f"whether it had come to rest is not known: run about {amount_of_times(times)} as long"


def _confidence(kept: Retained) -> float:
    return difference_confidence(len(kept.memory.before), len(kept.memory.after), CONFIDENCE)


def _levels(kept: Retained, growing: str = "") -> str:
    before, after = median(kept.memory.before), median(kept.memory.after)
    return (
        f"{kept.memory.measure}, {before / BYTES_PER_MB:.0f} -> {after / BYTES_PER_MB:.0f} MB,"
        f"{growing} settled {duration_text(kept.memory.settled_after_ns)} after the load"
    )
