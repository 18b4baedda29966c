"""Out of memory, told by the log alone."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, within

LINE = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."


@dataclass
class OutOfMemoryLog(Fault):
    """The log tells of "CUDA out of memory" while every answer is right.

    Attributes:
        every: how many requests there are to each such line.
    """

    every: int = within(100, 1)

    def asked(self, asked: Asked) -> None:
        if asked.number % self.every == 0:
            print(LINE, file=sys.stderr, flush=True)  # noqa: T201  # it is the server's log
