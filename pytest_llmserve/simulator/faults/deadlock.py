"""A server that stops under load."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Fault, within


@dataclass
class Deadlock(Fault):
    """With so many requests under way at once nothing goes on any more, though the process lives.

    Attributes:
        at: so many.
    """

    at: int = within(8, 1)

    def deadlocks(self, active: int) -> bool:
        return active >= self.at
