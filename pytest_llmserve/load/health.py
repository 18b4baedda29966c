"""The generator's own lateness and pauses, kept small."""

from __future__ import annotations

import gc
import time
from array import array

_KEPT = 1 << 17


class Lateness:
    """The last 131,072 delays, in ns; older ones are overwritten. The greatest is kept apart."""

    __slots__ = ("_at", "_ring", "most_ns")

    def __init__(self) -> None:
        self._ring = array("q")
        self._at = 0
        self.most_ns = 0

    def add(self, delay_ns: int) -> None:
        """Keep one delay; clocks compared across a step may make it negative: 0 then."""
        if delay_ns < 0:
            delay_ns = 0
        if delay_ns > self.most_ns:
            self.most_ns = delay_ns
        if len(self._ring) < _KEPT:
            self._ring.append(delay_ns)
        else:
            self._ring[self._at] = delay_ns
            self._at = (self._at + 1) % _KEPT

    def sample(self, most: int = 20_000) -> list[int]:
        """At most so many of them, evenly taken, the greatest always among them."""
        step = max(1, len(self._ring) // most)
        values = list(self._ring[::step])
        return [*values, self.most_ns] if values else values


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
