"""When to look at a load that goes on, and whether all that was asked of it is decided."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_MS

Decided = Callable[[LoadResult], bool]

LEAST_NEW = 20
"""A look is worth its price with so many more requests, and a tenth more, than the last one had."""
_NEW_PART = 10
_PAUSE_NS = 500 * NS_PER_MS
# Looking takes a core from the load: at most this part of the time.
_PRICE = 10


class Watched(Protocol):
    """A load run, as far as looks need one."""

    def known(self) -> int:
        """Number of measured requests that a look would be at."""

    def so_far(self) -> LoadResult:
        """These requests."""

    def drain(self) -> None:
        """Let no further request begin."""


class Looks:
    """Looks when it is worth while, and drains the run once all is decided. Mutable; one a run.

    Args:
        decided: whether a longer run would tell nothing more.
        clock_ns: monotonic.
    """

    def __init__(
        self, run: Watched, decided: Decided, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._run, self._decided, self._clock_ns = run, decided, clock_ns
        self._seen = 0
        self._due_ns = clock_ns() + _PAUSE_NS
        self._over = False

    def look(self) -> None:
        """Look if it is time; called often.

        Raises:
            GeneratorError: what the workers wrote cannot be read.
        """
        began_ns = self._clock_ns()
        if self._over or began_ns < self._due_ns:
            return
        known = self._run.known()
        if known >= next_look(self._seen):
            self._seen = known
            self._over = self._decided(self._run.so_far())
        if self._over:
            self._run.drain()
        self._due_ns = next_due_ns(began_ns, self._clock_ns())


def next_look(seen: int) -> int:
    """With how many requests to look again after a look at `seen`."""
    return seen + max(LEAST_NEW, -(-seen // _NEW_PART))


def next_due_ns(began_ns: int, ended_ns: int) -> int:
    """The earliest begin of the next look, after one between these instants."""
    return began_ns + max(_PAUSE_NS, _PRICE * (ended_ns - began_ns))
