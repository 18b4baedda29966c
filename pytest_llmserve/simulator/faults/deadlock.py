"""A server that stops under load."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Fault


@dataclass
class Deadlock(Fault):
    """With so many requests under way at once nothing goes on any more, though the process lives.

    Attributes:
        at: so many.
    """

    at: int = 8

    def deadlocks(self, active: int) -> bool:
        return active >= self.at
