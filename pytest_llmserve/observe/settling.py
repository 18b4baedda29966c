"""When memory has come to rest after a load."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from pytest_llmserve.domain.units import BYTES_PER_MB, NS_PER_MS

READINGS = 7
"""Two ranges of 7 readings bound the difference of their medians with 95 % (sign test)."""

FLAT_SHARE = 0.01
FLAT_BYTES = BYTES_PER_MB


class Settling(msgspec.Struct, frozen=True, kw_only=True):
    """How memory went from the end of a load.

    Attributes:
        readings: all of them, in bytes.
        after_ns: from the first reading to the last.
        flat: it came to rest before the limit was over.
    """

    readings: tuple[int, ...]
    after_ns: int
    flat: bool

    @property
    def last(self) -> tuple[int, ...]:
        """The readings that stand for the memory after the run."""
        return self.readings[-READINGS:]


def settle(
    read_memory: Callable[[], int],
    limit_ns: int,
    *,
    sleep: Callable[[float], None],
    clock: Callable[[], int],
    baseline_bytes: float = math.inf,
    period_ns: int = 100 * NS_PER_MS,
) -> Settling:
    """Read memory until it is flat and down to the baseline, or the limit is over.

    Memory that is flat above the baseline is waited for until the limit, as a server may
    give it back late. At least 7 readings are taken, however short the limit.

    Args:
        read_memory: bytes now.
        limit_ns: longest wait.
        sleep: seconds.
        clock: monotonic nanoseconds.
        baseline_bytes: memory before the load; infinite = any level will do.
        period_ns: from one reading to the next; shorter where the limit is short.

    Raises:
        ProbeLost: passed on from `read_memory`.
    """
    start_ns = clock()
    pause_s = min(period_ns, limit_ns / READINGS) / 1e9
    readings = [read_memory()]
    while True:
        passed_ns = clock() - start_ns
        rested = is_flat(readings) and readings[-1] <= baseline_bytes + FLAT_BYTES
        if rested or (passed_ns >= limit_ns and len(readings) >= READINGS):
            return Settling(readings=tuple(readings), after_ns=passed_ns, flat=is_flat(readings))
        sleep(pause_s)
        readings.append(read_memory())


def is_flat(readings: Sequence[int]) -> bool:
    """True when the last 7 readings lie within 1 % or 1 MB of each other."""
    last = readings[-READINGS:]
    return len(last) == READINGS and max(last) - min(last) <= max(FLAT_SHARE * max(last), FLAT_BYTES)
