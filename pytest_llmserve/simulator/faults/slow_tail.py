"""A tail of slow requests."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import FOR_EVER_MS, Asked, Fault, within


@dataclass
class SlowTail(Fault):
    """Some requests wait long for their first token, behind the prefill of another's long prompt.

    Attributes:
        every: how many requests there are to each slow one.
        ms: how much longer it waits.
    """

    every: int = within(20, 1)
    ms: float = within(800.0, 0, FOR_EVER_MS)

    def asked(self, asked: Asked) -> None:
        if asked.number % self.every == 0:
            asked.late_ms += self.ms
