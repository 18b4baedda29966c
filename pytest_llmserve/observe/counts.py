"""What a server has open: before a run, and after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import CountChange
from pytest_llmserve.domain.units import NS_PER_MS

PERIOD_NS = 50 * NS_PER_MS
LEAST_NS = 1500 * NS_PER_MS
"""Metrics are asked for once a second, over a connection that the server counts as open: over so long
there is a moment without one."""
UNTOLD = "the system does not tell it of this process: run as the server's user"

Counts = Mapping[str, int | None]
"""Figure -> how many there are now, None where the system does not tell."""


class Counters:
    """Some counts before a run and after it. Losing the server is told in the changes, never raised.

    What is kept of the readings on either side is the least, so these take a while.

    Args:
        figures: their names, such as "open_files"; none = nothing is counted, at no cost.
        counts: all that can be counted, now; raises ProbeLost.
        sleep: seconds, between the readings before.
        clock: monotonic nanoseconds.
    """

    def __init__(
        self,
        figures: tuple[str, ...],
        counts: Callable[[], Counts],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._figures, self._counts, self._clock = figures, counts, clock
        self._missing: dict[str, str] = {}
        self._before = self._read(LEAST_NS, sleep, {})

    def change(self, limit_ns: int, *, sleep: Callable[[float], None]) -> tuple[CountChange, ...]:
        """Wait until there are no more than before, or the limit is over; a change for each figure.

        Args:
            limit_ns: longest wait; 1.5 s where it is less.
            sleep: seconds; what it raises is passed on.
        """
        enough = {figure: min(values) for figure, values in self._before.items() if values}
        after = self._read(max(limit_ns, LEAST_NS), sleep, enough)
        return tuple(
            CountChange(
                figure=figure,
                before=tuple(self._before[figure]),
                after=() if figure in self._missing else tuple(after[figure]),
                missing=self._missing.get(figure),
            )
            for figure in self._figures
        )

    def _read(
        self, limit_ns: int, sleep: Callable[[float], None], enough: Mapping[str, int]
    ) -> dict[str, list[int]]:
        """Readings until each figure was once no higher than enough, or the limit is over."""
        began_ns = self._clock()
        values: dict[str, list[int]] = {figure: [] for figure in self._figures}
        while True:
            left = [
                figure
                for figure, found in values.items()
                if figure not in self._missing and not (found and min(found) <= enough.get(figure, -1))
            ]
            first = not any(values.values())
            if not left or (not first and self._clock() - began_ns >= limit_ns):
                return values
            if not first:
                sleep(PERIOD_NS / 1e9)
            self._read_once(left, values)

    def _read_once(self, figures: list[str], values: dict[str, list[int]]) -> None:
        try:
            now = self._counts()
        except ProbeLost as lost:
            self._missing |= dict.fromkeys(figures, str(lost))
            return
        for figure in figures:
            count = now[figure]
            if count is None:
                self._missing[figure] = UNTOLD
            else:
                values[figure].append(count)
