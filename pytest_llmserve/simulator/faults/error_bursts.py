"""Failures that come together."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, within


@dataclass
class ErrorBursts(Fault):
    """Several requests in a row are answered by 500 "Internal Server Error", as when a worker restarts.

    Attributes:
        every: how many requests there are from burst to burst.
        length: failures in a burst, the last ones of `every`.
        status: that they are answered by.
    """

    every: int = within(50, 1)
    length: int = within(10, 0)
    status: int = within(500, 400, 599)

    def asked(self, asked: Asked) -> None:
        if (asked.number - 1) % self.every >= self.every - self.length:
            asked.status, asked.error = self.status, "Internal Server Error"
