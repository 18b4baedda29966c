"""Events and latencies of a run in equal stretches of time; numpy, imported when used."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llmserve.domain.stamps import TokenStamps
from pytest_llmserve.domain.units import NS_PER_S

_BLOCK = 4096
"""Answers whose stamps are unpacked at a time."""


@dataclass(frozen=True)
class Bins:
    """Equal stretches of [start_s, end_s]; the last one has its end too."""

    start_s: float
    end_s: float
    number: int

    @property
    def width_s(self) -> float:
        """Of each."""
        return (self.end_s - self.start_s) / self.number

    @property
    def middles(self) -> list[float]:
        """Of each, in seconds."""
        return [self.start_s + (place + 0.5) * self.width_s for place in range(self.number)]

    def places(self, at_s: Any) -> Any:
        """The stretch of each instant of an array; what lies outside belongs to the nearest."""
        import numpy as np

        return np.clip((at_s - self.start_s) / self.width_s, 0, self.number - 1).astype(np.int64)

    def counts(self, at_s: array[float]) -> list[int]:
        """How many of these instants lie in each; NaN lies in none."""
        import numpy as np

        there = _there(at_s)
        return [int(count) for count in np.bincount(self.places(there), minlength=self.number)]

    def under_way(self, begin_s: array[float], end_s: array[float]) -> list[float]:
        """How many of these spans are open in each on average; one without both ends is none."""
        import numpy as np

        begins, ends = np.frombuffer(begin_s), np.frombuffer(end_s)
        whole = ~(np.isnan(begins) | np.isnan(ends))
        edges = np.linspace(self.start_s, self.end_s, self.number + 1)
        open_s = _time_since(begins[whole], edges) - _time_since(ends[whole], edges)
        return [max(0.0, float(share)) for share in np.diff(open_s) / self.width_s]


def quantiles_in(
    bins: Bins,
    at_s: array[float],
    values: array[float],
    shares: Sequence[float],
    least: Sequence[int],
) -> list[list[float | None]]:
    """Nearest-rank quantiles of the values in each stretch: a list for each share, NaN values left out.

    Args:
        bins: the stretches.
        at_s: the instant of each value.
        values: in any order.
        shares: 0 < q <= 1.
        least: of each share, how many values a stretch must have; with fewer it is None there.
    """
    import numpy as np

    numbers = np.frombuffer(values)
    known = ~np.isnan(numbers)
    numbers, places = numbers[known], bins.places(np.frombuffer(at_s)[known])
    ordered = numbers[np.lexsort((numbers, places))]
    counts = np.bincount(places, minlength=bins.number)
    firsts = np.cumsum(counts) - counts
    found: list[list[float | None]] = []
    for share, few in zip(shares, least, strict=True):
        ranks = np.maximum(1, np.ceil(share * counts - 1e-9)).astype(np.int64)
        rows = zip(firsts + ranks - 1, counts, strict=True)
        found.append([float(ordered[at]) if count >= max(1, few) else None for at, count in rows])
    return found


def spread(bins: Bins, zero_ns: int, stamps: Sequence[TokenStamps], tokens: Sequence[float]) -> list[float]:
    """Tokens that came in each stretch, those of an answer spread evenly over its stamps.

    Args:
        bins: the stretches.
        zero_ns: where the seconds of the stretches count from.
        stamps: of each answer; one without any counts nowhere.
        tokens: of each answer.
    """
    import numpy as np

    total = np.zeros(bins.number)
    for first in range(0, len(stamps), _BLOCK):
        block = range(first, min(first + _BLOCK, len(stamps)))
        rows = [row for row in block if len(stamps[row])]
        if not rows:
            continue
        counts = np.array([len(stamps[row]) for row in rows])
        at_s = (_unpacked([stamps[row] for row in rows], counts) - zero_ns) / NS_PER_S
        weights = np.repeat(np.array([tokens[row] for row in rows]) / counts, counts)
        total += np.bincount(bins.places(at_s), weights, minlength=bins.number)
    return [float(number) for number in total]


def _unpacked(stamps: Sequence[TokenStamps], counts: Any) -> Any:
    """All stamps of these answers, one answer after the other, as an array of int64."""
    import numpy as np

    begins = np.cumsum(counts) - counts
    gaps = np.zeros(int(counts.sum()), np.int64)
    later = np.ones(len(gaps), bool)
    later[begins] = False
    if any(each.wide for each in stamps):
        gaps[later] = np.concatenate([np.asarray(each.gaps_ns, np.int64) for each in stamps])
    else:
        gaps[later] = np.frombuffer(b"".join(each.cells for each in stamps), np.uint32)
    since = np.cumsum(gaps)
    firsts = np.array([each.first_ns for each in stamps], np.int64)
    return since + np.repeat(firsts - since[begins], counts)


def _there(values: array[float]) -> Any:
    import numpy as np

    numbers = np.frombuffer(values)
    return numbers[~np.isnan(numbers)]


def _time_since(instants: Any, edges: Any) -> Any:
    """At each edge, the time that has passed since each instant before it, summed."""
    import numpy as np

    ordered = np.sort(instants)
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    before = np.searchsorted(ordered, edges)
    return before * edges - sums[before]
