"""Which of several that serve has most of the failures, or of the slowest answers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import ms_text
from pytest_llmserve.stats.binomial import p_at_least

_Figure = Callable[[Sequence[RequestRecord]], float]

CHANCE = 0.001
"""So unlikely, for any of them, is what is told of one if all were alike."""
TWICE = 2.0
"""One stands out in failures that fails at least so many times as often as the others together."""
SLOWER = 1.5
"""One stands out in latency whose median is at least so many times that of the others."""


@dataclass(frozen=True)
class Outlier:
    """One of several that serve.

    Attributes:
        name: of it.
        of: so many serve.
        found: bad requests that were its own; `all` of them.
        own, others: its figure and that of the others: share of failures, or median e2e latency in ms.
    """

    name: str
    of: int
    found: int
    all: int
    own: float
    others: float


def most_failures(run: LoadResult) -> Outlier | None:
    """The one at which requests fail, where the failures are not spread as the requests are."""
    known = [record for record in run.tried if record.served_by is not None]
    return _standing_out(run, known, [record for record in known if not record.ok], _failed_share, TWICE)


def slowest(run: LoadResult) -> Outlier | None:
    """The one at which answers take long, where the slowest quarter is not spread as the answers are."""
    known = [record for record in run.ok if record.served_by is not None]
    slow = sorted(known, key=_e2e_ms, reverse=True)[: len(known) // 4]
    return _standing_out(run, known, slow, _median_ms, SLOWER)


def sentences(run: LoadResult) -> list[str]:
    """What stands out, for the evidence of a failed check."""
    told = []
    if (one := most_failures(run)) is not None:
        told.append(
            f"{one.found} of {one.all} failures at {one.name}, one of {one.of} that serve:"
            f" {100 * one.own:.1f} % of its requests failed, {100 * one.others:.1f} % of the others'"
        )
    if (one := slowest(run)) is not None:
        told.append(
            f"{one.found} of the {one.all} slowest answers at {one.name}, one of {one.of} that serve:"
            f" e2e p50 {ms_text(one.own)}, {ms_text(one.others)} at the others"
        )
    return told


def _standing_out(
    run: LoadResult,
    known: Sequence[RequestRecord],
    bad: Sequence[RequestRecord],
    figure: _Figure,
    times: float,
) -> Outlier | None:
    names = [name for name in run.replicas if name is not None]
    if len(names) < 2 or not bad:
        return None
    asked, found = Counter(r.served_by for r in known), Counter(r.served_by for r in bad)
    standing: list[tuple[float, float, Outlier]] = []
    for name in names:  # each is tested: the largest share may be one bad request of one
        by_chance = p_at_least(found[name], len(bad), asked[name] / len(known))
        if asked[name] == len(known) or by_chance * len(names) > CHANCE:
            continue
        own = figure([r for r in known if r.served_by == name])
        others = figure([r for r in known if r.served_by != name])
        if own >= times * others:
            one = Outlier(name, len(names), found[name], len(bad), own, others)
            standing.append((by_chance, -found[name] / asked[name], one))
    return min(standing, key=lambda row: row[:2])[2] if standing else None


def _e2e_ms(record: RequestRecord) -> float:
    return record.e2e_sent_ms or 0.0


def _failed_share(records: Sequence[RequestRecord]) -> float:
    return sum(not record.ok for record in records) / len(records)


def _median_ms(records: Sequence[RequestRecord]) -> float:
    return median(map(_e2e_ms, records))
