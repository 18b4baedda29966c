"""Memory before a run and after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Protocol

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import HELD, RSS, USS_AND_SWAP, MemoryChange
from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.observe.settling import NOISY_READINGS, READINGS, is_enough, settle


class MemorySource(Protocol):
    """Where memory is read from, such as a `ProcessTree`."""

    @property
    def tells_held(self) -> bool:
        """What is read when `full` is what the tree holds, each page once."""

    def memory_bytes(self, full: bool) -> int | None:
        """What is held, or USS + swap, when `full`, else RSS; None when the system does not tell."""


class Reader(Protocol):
    """One measure of memory, read again and again."""

    @property
    def measure(self) -> str:
        """What is read, such as "USS + swap"."""

    def __call__(self) -> int:
        """Bytes now; raises ProbeLost."""


class MemoryReader:
    """Reads one and the same measure every time: the fullest that the system tells.

    Raises:
        ProbeLost: nothing can be read.
    """

    def __init__(self, source: MemorySource) -> None:
        self._source = source
        self._full = source.memory_bytes(full=True) is not None
        self.measure = RSS if not self._full else HELD if source.tells_held else USS_AND_SWAP

    def __call__(self) -> int:
        """Bytes now.

        Raises:
            ProbeLost: the server has ended, or no longer tells.
        """
        value = self._source.memory_bytes(full=self._full)
        if value is None:
            raise ProbeLost(f"the server's memory ({self.measure}) can no longer be read")
        return value


def take_baseline(
    read_memory: Callable[[], int],
    readings: int = READINGS,
    *,
    most: int = NOISY_READINGS,
    period_ns: int = 50 * NS_PER_MS,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[int, ...]:
    """Read memory a few times in a row, before the load; more often where the readings differ.

    Args:
        read_memory: bytes now.
        readings: at least so many.
        most: so many where they differ by over 1 MB among themselves.
        period_ns: from one reading to the next.
        sleep: seconds.

    Raises:
        ProbeLost: passed on from `read_memory`.
    """
    values = [read_memory()]
    while len(values) < readings or (len(values) < most and not is_enough(values)):
        sleep(period_ns / 1e9)
        values.append(read_memory())
    return tuple(values)


def memory_change(
    reader: Reader,
    before: tuple[int, ...],
    limit_ns: int,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], int] = time.monotonic_ns,
) -> MemoryChange:
    """Wait after a load until memory has settled, and say what it was before and after.

    A probe lost meanwhile is told in `missing`, not raised: the run itself stays valid.
    """
    try:
        settled = settle(reader, limit_ns, sleep=sleep, clock=clock, baseline_bytes=median(before))
    except ProbeLost as lost:
        return MemoryChange(measure=reader.measure, before=before, missing=str(lost))
    return MemoryChange(
        measure=reader.measure,
        before=before,
        after=settled.last,
        settled_after_ns=settled.after_ns,
    )
