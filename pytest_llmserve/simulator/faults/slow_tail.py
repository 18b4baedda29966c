"""A tail of slow requests."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault


@dataclass
class SlowTail(Fault):
    """Some requests wait long for their first token, behind the prefill of another's long prompt.

    Attributes:
        every: how many requests there are to each slow one.
        ms: how much longer it waits.
    """

    every: int = 20
    ms: float = 800.0

    def asked(self, asked: Asked) -> None:
        if asked.number % self.every == 0:
            asked.late_ms += self.ms
