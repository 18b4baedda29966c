"""A Content-Length that lies."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, Stream


@dataclass
class WrongLength(Fault):
    """Some answers have a Content-Length that lies: "Too little data for declared Content-Length".

    Attributes:
        every: how many requests there are to each such answer.
        by: bytes that are promised beyond those sent; below 0 it promises fewer.
    """

    every: int = 10
    by: int = 100

    def streamed(self, asked: Asked, stream: Stream) -> None:
        if asked.number % self.every == 0:
            stream.length = max(0, sum(len(part.data) for part in stream.parts) + self.by)
            stream.then = "cut"
