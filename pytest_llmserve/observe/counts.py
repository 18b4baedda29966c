"""What a server has open: before a run, and after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import CountChange
from pytest_llmserve.domain.units import NS_PER_MS

READINGS = 3
PERIOD_NS = 50 * NS_PER_MS
UNTOLD = "the system does not tell it of this process: run as the server's user"

Count = Callable[[], int | None]
"""How many there are now, None where the system does not tell; raises ProbeLost."""


class Counter:
    """One count before a run and after it. Losing the server is told in the change, never raised.

    Args:
        figure: name of the figure, such as "open_files".
        count: how many now.
        sleep: seconds, between the readings before.
    """

    def __init__(self, figure: str, count: Count, sleep: Callable[[float], None] = time.sleep) -> None:
        self._figure, self._count = figure, count
        self._before: tuple[int, ...] = ()
        self._missing: str | None = None
        try:
            self._before = tuple(self._now(sleep, place) for place in range(READINGS))
        except ProbeLost as lost:
            self._missing = str(lost)

    def change(
        self,
        limit_ns: int,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> CountChange:
        """Wait until there are no more than before, or the limit is over.

        Args:
            limit_ns: longest wait.
            sleep: seconds; what it raises is passed on.
            clock: monotonic nanoseconds.
        """
        began_ns = clock()
        after: list[int] = []
        try:
            while self._missing is None:
                after.append(self._now(sleep, len(after)))
                if after[-1] <= min(self._before) or clock() - began_ns >= limit_ns:
                    break
        except ProbeLost as lost:
            return CountChange(figure=self._figure, before=self._before, missing=str(lost))
        return CountChange(
            figure=self._figure, before=self._before, after=tuple(after), missing=self._missing
        )

    def _now(self, sleep: Callable[[float], None], place: int) -> int:
        if place:
            sleep(PERIOD_NS / 1e9)
        count = self._count()
        if count is None:
            raise ProbeLost(UNTOLD)
        return count


def counters(figures: tuple[str, ...], counts: Callable[[], Mapping[str, int | None]]) -> list[Counter]:
    """A counter for each figure.

    Args:
        figures: names of figures.
        counts: all that can be counted, now.
    """
    return [Counter(figure, lambda figure=figure: counts()[figure]) for figure in figures]  # type: ignore[misc]
