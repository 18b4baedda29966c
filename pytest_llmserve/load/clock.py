"""From the kernel's receive stamps (CLOCK_REALTIME) to the monotonic clock."""

from __future__ import annotations

import time

# Two clocks can only be compared when nothing came between reading them; a reading
# interrupted for longer than this says more about the scheduler than about the clocks.
_SANDWICH_NS = 5_000
_AGE_NS = 10_000_000


def clock_offset(previous: int | None = None) -> int:
    """Return CLOCK_REALTIME minus the monotonic clock, in ns.

    Reads monotonic, realtime, monotonic. When the process was interrupted in between,
    tries again, then keeps `previous`: the offset changes by microseconds a second,
    an interruption lasts milliseconds.
    """
    best, best_width = 0, 1 << 62
    for _ in range(4):
        before = time.monotonic_ns()
        real = time.time_ns()
        after = time.monotonic_ns()
        width = after - before
        if width < best_width:
            best, best_width = real - (before + after) // 2, width
        if width <= _SANDWICH_NS:
            return best
    return best if previous is None or abs(best - previous) > 1_000_000_000 else previous


class Offset:
    """The offset in force, taken anew every 10 ms: a step of the wall clock is caught that soon.

    Attributes:
        ns: CLOCK_REALTIME minus the monotonic clock.
    """

    def __init__(self) -> None:
        self.ns = clock_offset()
        self._due_ns = 0

    def renew(self, now_ns: int) -> None:
        """Take it anew when that is due."""
        if now_ns > self._due_ns:
            self.ns = clock_offset(self.ns)
            self._due_ns = now_ns + _AGE_NS
