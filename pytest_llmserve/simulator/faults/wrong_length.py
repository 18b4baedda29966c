"""A Content-Length that lies."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, Stream, within


@dataclass
class WrongLength(Fault):
    """Some answers have a Content-Length that lies: "Too little data for declared Content-Length".

    Attributes:
        every: how many requests there are to each such answer.
        by: bytes that are promised beyond those sent; below 0 it promises fewer.
    """

    every: int = within(10, 1)
    by: int = within(100, -(10**9), 10**9)

    def streamed(self, asked: Asked, stream: Stream) -> None:
        if asked.number % self.every == 0:
            stream.length = max(0, sum(len(part.data) for part in stream.parts) + self.by)
            stream.then = "cut"
