"""Connections that are reset."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.events import up_to
from pytest_llmserve.simulator.faults.fault import Asked, Fault, Stream, within


@dataclass
class Reset(Fault):
    """Some connections are reset in the middle of the answer: "Connection reset by peer".

    Attributes:
        every: how many requests there are to each that is reset.
        after: so many tokens.
    """

    every: int = within(10, 1)
    after: int = within(1, 0)

    def streamed(self, asked: Asked, stream: Stream) -> None:
        if asked.number % self.every == 0:
            stream.parts[:] = up_to(stream.parts, self.after)
            stream.then = "reset"
