"""A server that gets slower and slower."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault


@dataclass
class SlowDecay(Fault):
    """Each request is slower than the last, as of a server that gets slower until it is restarted.

    Attributes:
        ms: how much later than that of the request before the first token comes.
    """

    ms: float = 1.0

    def asked(self, asked: Asked) -> None:
        asked.late_ms += self.ms * asked.number
