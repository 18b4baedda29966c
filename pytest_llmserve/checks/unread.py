"""Where in a test a figure was not read: what it was meanwhile nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pytest_llmserve.domain.samples import FIGURES, GPU, METRICS, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_S

Span = tuple[int, int]
"""Monotonic ns: from, to."""

LONG, LONGER = 2.5, 4.0
"""Times what lies between two readings, a second at least: a gap, and one of those that count together.
A page of metrics that answers as late as it may leaves gaps of 3 s all along, but is read."""
SHARE = 0.1
"""Of the test, or of its loads: less than that may be unread."""
RARE = frozenset({"uss_mb", "memory_mb"})
"""Figures of full readings, which are rare where the server is large."""


@dataclass(frozen=True)
class Unread:
    """Gaps between the readings of one figure.

    Attributes:
        gaps: each longer than a slow reading takes.
        every_ns: from one reading to the next, where none is missing; a second at least.
    """

    gaps: tuple[Span, ...]
    every_ns: float

    @property
    def missed(self) -> int:
        """Readings that would have been taken in the gaps."""
        return sum(max(1, round((end - start) / self.every_ns) - 1) for start, end in self.gaps)

    def told(self, test: Span, loads: Sequence[Span]) -> str | None:
        """Why the figure is not known well enough: "not read for 9.1 s of 11.0 s"; None where it is.

        Args:
            test: from its first line to its last.
            loads: from the beginning of each to its last end.
        """
        for spans, of in (((test,), ""), (loads, " of load")):
            whole_ns = sum(end - start for start, end in spans)
            unread_ns = self._within(spans)
            if unread_ns > max(SHARE * whole_ns, LONG * self.every_ns):
                return f"not read for {unread_ns / NS_PER_S:.1f} s of {whole_ns / NS_PER_S:.1f} s{of}"
        return None

    def _within(self, spans: Sequence[Span]) -> float:
        """The longest gap, or those together that no slow reading leaves."""
        parts = [
            sum(max(0, min(end, stop) - max(start, begin)) for begin, stop in spans)
            for start, end in self.gaps
        ]
        return max([*parts, sum(part for part in parts if part > LONGER * self.every_ns)], default=0)


def unread(window: ResourceWindow, figure: str, told: Sequence[ResourceSample], start_ns: int) -> Unread:
    """The gaps of a figure up to the last sample of the test; of metrics those from its start, too.

    While the server was restarted there was nothing to read.

    Args:
        window: all samples of the test.
        figure: its name.
        told: the samples that have it.
        start_ns: when the test began.
    """
    if not told or figure in RARE:
        return Unread((), NS_PER_S)
    source = FIGURES[figure].source
    # A driver that answers slowly has a pace of its own.
    paced = told if source == GPU else window.samples
    distances = [after.at_ns - before.at_ns for before, after in pairwise(paced)]
    every_ns = max(NS_PER_S, median(distances)) if distances else NS_PER_S
    begin = [start_ns] if source == METRICS else []
    edges = pairwise([*begin, *(sample.at_ns for sample in told), window.samples[-1].at_ns])
    return Unread(
        tuple(
            (start, end)
            for start, end in edges
            if end - start > LONG * every_ns and not any(start <= at <= end for at in window.renewed_ns)
        ),
        every_ns,
    )
