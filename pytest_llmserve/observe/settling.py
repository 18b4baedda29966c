"""When memory has come to rest after a load."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median, quantiles

import msgspec

from pytest_llmserve.domain.units import BYTES_PER_MB, NS_PER_MS

READINGS = 7
"""Two ranges of 7 readings bound the difference of their medians with 95 % (sign test)."""
NOISY_READINGS = 40
"""Where readings differ by over 1 MB among themselves: their median is then known 2.5 times as well."""

SHORTER = 0.9
"""Each end looked at is so much shorter than the one before: thousands of readings take no time."""

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
        """The readings that stand for the memory after the run: the longest end of them that is at rest."""
        return rested(self.readings)


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
    give it back late. At least 7 readings are taken, however short the limit; 40 where they differ by
    over 1 MB among themselves and the limit allows for them.

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
        down = is_flat(readings) and readings[-1] <= baseline_bytes + FLAT_BYTES
        if (down and is_enough(readings)) or (passed_ns >= limit_ns and len(readings) >= READINGS):
            return Settling(readings=tuple(readings), after_ns=passed_ns, flat=is_flat(readings))
        sleep(pause_s)
        readings.append(read_memory())


def is_flat(readings: Sequence[int]) -> bool:
    """True when the last 7 readings lie within 1 % or 1 MB of each other."""
    last = readings[-READINGS:]
    return len(last) == READINGS and max(last) - min(last) <= max(FLAT_SHARE * max(last), FLAT_BYTES)


def is_enough(readings: Sequence[int]) -> bool:
    """True for 7 readings that agree to 1 MB, and for 40 that do not."""
    if len(readings) < READINGS:
        return False
    last = readings[-READINGS:]
    return len(readings) >= NOISY_READINGS or max(last) - min(last) <= FLAT_BYTES


def rested(readings: Sequence[int]) -> tuple[int, ...]:
    """The last 7 where they agree to 1 MB, else the longest end of which the halves lie alike, to a tenth.

    The last 7 again when none does. Alike: their medians differ by no more than 1 MB, or by what
    the quartiles of the second half make likely by chance.
    """
    last = tuple(readings[-READINGS:])
    if max(last) - min(last) <= FLAT_BYTES:
        return last
    size = len(readings)
    while size >= 2 * READINGS:
        end = readings[-size:]
        first, second = end[: size // 2], end[size // 2 :]
        low, _, high = quantiles(second, n=4)
        chance = 3 * (high - low) / math.sqrt(size)
        if abs(median(first) - median(second)) <= max(FLAT_BYTES, chance):
            return tuple(end)
        size = min(size - 1, int(size * SHORTER))
    return last
