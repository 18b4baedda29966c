"""Latencies of a run in the order of sending, failed requests infinite."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

from pytest_llmserve.checks.wording import failures
from pytest_llmserve.domain.gaps import Gaps, gather
from pytest_llmserve.domain.metrics import nearest_rank
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.stamps import TokenStamps


@dataclass(frozen=True)
class Series:
    """One latency figure over a run.

    Attributes:
        values_ms: in the order of sending, which dependence is judged by; inf = failed.
        noun: what is counted.
        failures: failed requests by kind, in words, or None.
        missing: why there is nothing to judge, or None.
        known_order: the same values smallest first, where they are sorted already.
    """

    values_ms: Sequence[float]
    noun: str = "requests"
    failures: str | None = None
    missing: str | None = None
    known_order: Sequence[float] | None = None

    @cached_property
    def ordered(self) -> Sequence[float]:
        """Smallest first."""
        if self.known_order is not None:
            return self.known_order
        values = self.values_ms
        return values.ordered() if isinstance(values, Gaps) else array("d", sorted(values))

    @property
    def failed(self) -> int:
        """Number of infinite values."""
        return len(self.ordered) - bisect_left(self.ordered, math.inf)

    def quantile(self, q: float) -> float:
        """Nearest-rank quantile, infinite where failures reach it."""
        return self.ordered[nearest_rank(q, len(self.ordered)) - 1]


FIGURES: dict[str, str] = {
    "e2e": "e2e latency",
    "ttft": "TTFT",
    "itl": "ITL",
    "tpot": "TPOT",
}
"""Prefix of a keyword -> the figure's name in a sentence."""


NOTHING_SENT = "no request was sent: give more requests=, or a longer duration="


def begun_ns(record: RequestRecord) -> int:
    """When a request was sent, or should have been where it never was."""
    return record.scheduled_ns if record.sent_ns is None else record.sent_ns


def in_order(records: Sequence[RequestRecord]) -> list[RequestRecord]:
    """Requests in the order of sending, in which neighbours are alike."""
    return sorted(records, key=begun_ns)


def nothing_sent(run: LoadResult) -> str:
    """Why a run has no request to judge, and what to change."""
    generator = run.generator
    if run.dropped and generator.saturated is not None:
        return f"no request was sent ({generator.saturated}); {generator.remedy}"
    return NOTHING_SENT


def series_of(run: LoadResult, figure: str) -> Series:
    """The values of one figure of a run."""
    records = in_order(run.tried)
    missing = _missing(records, figure) if records else nothing_sent(run)
    if missing is not None:
        return Series((), missing=missing)
    if not any(r.ok for r in records):  # what a failed answer had before it failed is no figure
        return Series((math.inf,) * len(records), failures=failures(records))
    if figure == "itl":
        known = None if run.failed else run.itl_ms.values_ms  # of millions one sorted copy is enough
        return Series(gather(_gaps(records)), "gaps", failures(records), known_order=known)
    value: Callable[[RequestRecord], float | None] = attrgetter(f"{figure}_ms")
    each = (value(r) if r.ok else math.inf for r in records)
    return Series(array("d", (v for v in each if v is not None)), failures=failures(records))


def _gaps(records: Sequence[RequestRecord]) -> Iterator[TokenStamps | None]:
    """Stamps in request order. The gaps a failed request had do count, and its failure as one endless gap."""
    for record in records:
        yield record.token_ns
        if not record.ok:
            yield None


def _missing(records: Sequence[RequestRecord], figure: str) -> str | None:
    answered = [r for r in records if r.ok]
    if not answered or figure == "e2e":
        return None
    if not any(r.token_ns for r in answered):
        return "no answer carried a token: are they empty?"
    if figure == "itl" and not any(any(r.token_ns.gaps_ns) for r in answered):
        return "no answer came in more than one piece: is streaming on?"
    return unpaced(answered) or _single(answered) if figure == "tpot" else None


def unpaced(answered: Sequence[RequestRecord]) -> str | None:
    """Why TPOT is not known for these answers, or None. One of a single token has none and needs none."""
    missing, long = uncounted(answered), [r for r in answered if (r.output_tokens or 0) > 1]
    if missing is None and long and all(r.tpot_ms is None for r in long):
        return "no answer of more than one token came in more than one piece: is streaming on?"
    return missing


def uncounted(answered: Sequence[RequestRecord]) -> str | None:
    """Say that the tokens of some answers were not counted, or None."""
    unknown = sum(1 for r in answered if r.output_tokens is None)
    if not unknown:
        return None
    way_out = "stream them, or have the server send its usage"
    return f"{unknown} of {len(answered)} answers came without a token count: {way_out}"


def _single(answered: Sequence[RequestRecord]) -> str | None:
    return "no answer had more than one token" if all(r.tpot_ms is None for r in answered) else None
