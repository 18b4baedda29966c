"""A stream that breaks off."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.events import up_to
from pytest_llmserve.simulator.faults.fault import Asked, Fault, Stream, within


@dataclass
class TruncatedStream(Fault):
    """Some streams break off: "peer closed connection without sending complete message body".

    Attributes:
        every: how many requests there are to each that breaks off.
        after: so many tokens.
    """

    every: int = within(10, 1)
    after: int = within(3, 0)

    def streamed(self, asked: Asked, stream: Stream) -> None:
        if asked.number % self.every == 0:
            stream.parts[:] = up_to(stream.parts, self.after)
            stream.then = "cut"
