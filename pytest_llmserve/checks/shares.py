"""An indicator over requests, and the share of them that is allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_llmserve.checks.finding import ALPHA, CONFIDENCE, NOTICED, Interval, telling
from pytest_llmserve.checks.wording import about, percent
from pytest_llmserve.stats import binomial, ergodic
from pytest_llmserve.stats.dependence import inflation_of
from pytest_llmserve.stats.sequential import Course, course_of, decided_by
from pytest_llmserve.stats.sums import total

if TYPE_CHECKING:
    from pytest_llmserve.stats.sums import Marks


@dataclass(frozen=True)
class Share:
    """`bad` of `n` in the order they were sent, judged against an allowed share.

    Attributes:
        inflation: k and n are divided by it before the share is shown to be exceeded: the
            variance inflation of the indicator.
        caution: k and n are divided by it before the share is shown to be kept. Inflation
            that chance explains is spared, so that the number of requests announced before
            a run does decide it.
        course: how the evidence went, where the run ends when it is enough; None of a run of a size
            that was given before.
    """

    bad: int
    n: int
    allowed: float
    inflation: float
    caution: float
    course: Course | None = None

    @property
    def estimate(self) -> float:
        """The share of bad ones."""
        return self.bad / self.n

    @property
    def p_within(self) -> float:
        """How likely so few bad ones would be if the allowed share were just exceeded."""
        if self.course is not None:
            return self.course.p_within
        return binomial.p_at_most(self.bad / self.caution, self.n / self.caution, self.allowed)

    @property
    def p_beyond(self) -> float:
        """How likely so many bad ones would be if the allowed share were just kept."""
        if self.course is not None:
            return min(self.course.p_beyond, ergodic.p_at_least(self.course.worst, self.allowed))
        discounted = binomial.p_at_least(self.bad / self.inflation, self.n / self.inflation, self.allowed)
        return min(discounted, ergodic.p_at_least(self.estimate, self.allowed))

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the share of bad ones, one-sided where only that decides.

        Of Clopper and Pearson, or of a confidence sequence where the run was looked at all the time.
        """
        two_sided, one_sided = self._bounds((1 + CONFIDENCE) / 2), self._bounds(CONFIDENCE)
        return telling(two_sided, one_sided, self.allowed, self.p_within, self.p_beyond)

    def _bounds(self, confidence: float) -> Interval:
        """A lower and an upper bound, each one-sided."""
        if self.course is not None:
            low, high = self.course.bounds(confidence)
            return max(low, ergodic.lower_bound(self.course.worst, confidence)), high
        low = binomial.lower_bound(self.bad / self.inflation, self.n / self.inflation, confidence)
        high = binomial.upper_bound(self.bad / self.caution, self.n / self.caution, confidence)
        return max(low, ergodic.lower_bound(self.estimate, confidence)), high

    def doubt(self, claim: str, noun: str, bad_ones: str, *, level: float = ALPHA, told: bool = True) -> str:
        """Why there is no verdict, and what would give one.

        Args:
            claim: what a verdict would show, "p99".
            noun: what is counted, "requests".
            bad_ones: what a bad one is, "over the limit".
            level: at which the share would be shown to be exceeded.
            told: the sentence has said already how many bad ones there are.
        """
        if not 0 < self.allowed < 1:
            return ""  # a statement about the sample leaves no doubt
        stays = f"if {percent(self.estimate)}% stay {bad_ones}" if self.bad else f"if none is {bad_ones}"
        enough = self._enough(level)
        more = f"{about(enough) if enough else 'no number of'} {noun} would tell {stays}"
        if self.course is not None and enough:
            more += ": raise max_duration or requests"
        if self.exceeded:
            subject = "that" if told else f"{self.bad} of {self.n} {noun} {bad_ones}"
            chance = f"{subject} can be chance where {_few(self.allowed * self.n)} may be"
            return f"{chance}: {more}{_alike(self.inflation)}"
        if self.course is not None:
            return more + _alike(self.caution)
        needs = f"{claim} at {CONFIDENCE:.0%} needs {self.needed} {noun} with {self.bad or 'none'} {bad_ones}"
        if self.bad:
            needs += f", {about(enough)} {stays}" if enough else f"; no number would tell {stays}"
        return needs + _alike(self.caution)

    @property
    def exceeded(self) -> bool:
        """The share found is over what is allowed."""
        return self.estimate > self.allowed + 1e-9  # 1 - 0.9 is less than 0.1

    def _enough(self, level: float) -> float | None:
        """Observations that would decide, were the share to stay; None where no number would."""
        alike, at = (self.inflation, level) if self.exceeded else (self.caution, ALPHA)
        share = self.estimate if self.exceeded else min(self.estimate, self.allowed)
        if self.course is not None:
            decided = decided_by(share, self.allowed, alike, 1 - at)
            return None if decided is None else max(decided, self.n + 1)
        enough = binomial.requests_at_share(share, self.allowed, at)
        return None if enough is None else enough * alike

    @property
    def needed(self) -> int:
        """Observations that would show the limit kept, were no further one bad."""
        least = binomial.requests_needed(1 - self.allowed, CONFIDENCE, self.bad / self.caution)
        return math.ceil(least * self.caution)


def _few(number: float) -> str:
    """A number of requests that need not be whole: "1.5", "12", "1500"."""
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"


def _alike(inflation: float) -> str:
    return ", as neighbours are alike" if inflation >= NOTICED else ""


def share_of(
    indicator: Marks,
    allowed: float,
    values: Sequence[float] = (),
    level: float = 0.9,
    ordered: Sequence[float] | None = None,
    limit: float | None = None,
    *,
    sequential: bool = False,
) -> Share:
    """Count an indicator in the order of sending; `allowed` of them may be true.

    Args:
        indicator: True for a bad one.
        allowed: share that may be bad.
        values: latencies, in the same order, that show how alike neighbours are; none where there are none.
        level: where the upper part of them begins.
        ordered: the same smallest first, when they are known.
        limit: what the bad ones of them are beyond.
        sequential: the run ends when this is decided.
    """
    n, bad = len(indicator), round(total(indicator))
    if sequential and 0 < allowed < 1:
        course = course_of(indicator, allowed, values, level, limit)
        inflation, caution = course.last
        return Share(bad, n, allowed, inflation, caution, course)
    return Share(bad, n, allowed, *inflation_of(indicator, values, level, ordered, limit))
