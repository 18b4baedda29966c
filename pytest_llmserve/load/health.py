"""The generator's own lateness and pauses, kept small."""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Iterable

_KEPT = 1 << 17
STALL_NS = 100_000_000
"""A delay this long is seen in a plot of the run, and so is the instant."""
_APART_NS = 1_000_000_000
MOST_STALLS = 30

Stretch = tuple[int, int]


class Lateness:
    """Delays of a whole run, in ns: all up to 131,072, then evenly fewer. The greatest is kept apart.

    Attributes:
        stalls: stretches of the monotonic clock in which delays were long, the first 30.
    """

    __slots__ = ("_kept", "_skip", "_step", "_told", "most_ns", "stalls")

    def __init__(self) -> None:
        self.stalls: list[Stretch] = []
        self._kept = array("q")
        self._step = self._skip = 1
        self.most_ns = self._told = 0

    def add(self, delay_ns: int) -> None:
        """Keep one delay; clocks compared across a step may make it negative: 0 then."""
        if delay_ns < 0:
            delay_ns = 0
        if delay_ns > self.most_ns:
            self.most_ns = delay_ns
        if delay_ns >= STALL_NS:
            now_ns = time.monotonic_ns()
            self.stalls = joined([*self.stalls, (now_ns - delay_ns, now_ns)])
        self._skip -= 1
        if self._skip:
            return
        self._skip = self._step
        self._kept.append(delay_ns)
        if len(self._kept) >= _KEPT:
            del self._kept[1::2]
            self._told = (self._told + 1) // 2
            self._step *= 2

    def sample(self, most: int = 20_000) -> list[int]:
        """At most so many of them, evenly taken, the greatest always among them."""
        step = max(1, len(self._kept) // most)
        values = list(self._kept[::step])
        return [*values, self.most_ns] if values else values

    def news(self) -> bytes:
        """Those kept since the last call, as an array of int64.

        From another thread: where that meets a thinning, some are left out.
        """
        kept = self._kept[self._told :]
        self._told += len(kept)
        return kept.tobytes()


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches of time in their order, those less than a second apart as one; the first 30."""
    found: list[Stretch] = []
    for begin_ns, end_ns in sorted(stretches):
        if found and begin_ns - found[-1][1] < _APART_NS:
            found[-1] = found[-1][0], max(found[-1][1], end_ns)
        else:
            found.append((begin_ns, end_ns))
    return found[:MOST_STALLS]


class GcPauses:
    """Garbage collections while it is watching, so that their absence is seen and not assumed.

    Attributes:
        count: of collections.
        longest_ns: how long the longest kept everything else waiting.
    """

    def __init__(self) -> None:
        self.count = self.longest_ns = 0
        self._since_ns = 0

    def __enter__(self) -> GcPauses:
        gc.callbacks.append(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._called)

    def _called(self, phase: str, info: dict[str, int]) -> None:  # noqa: ARG002 - gc.callbacks
        if phase == "start":
            self._since_ns = time.perf_counter_ns()
        else:
            self.count += 1
            self.longest_ns = max(self.longest_ns, time.perf_counter_ns() - self._since_ns)
