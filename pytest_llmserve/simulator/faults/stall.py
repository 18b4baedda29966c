"""A silence in the middle of a stream."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_llmserve.simulator.faults.events import up_to
from pytest_llmserve.simulator.faults.fault import FOR_EVER_MS, Asked, Fault, Stream, within


@dataclass
class Stall(Fault):
    """Some streams stop for long in the middle: preempted, their KV cache is computed again.

    Attributes:
        every: how many requests there are to each that stalls.
        ms: how long it stops.
        after: so many tokens.
    """

    every: int = within(10, 1)
    ms: float = within(1000.0, 0, FOR_EVER_MS)
    after: int = within(4, 0)

    def streamed(self, asked: Asked, stream: Stream) -> None:
        if asked.number % self.every == 0:
            said = len(up_to(stream.parts, self.after))
            late = [replace(part, due_ms=part.due_ms + self.ms) for part in stream.parts[said:]]
            stream.parts[said:] = late
