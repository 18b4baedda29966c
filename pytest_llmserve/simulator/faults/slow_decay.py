"""A server that gets slower and slower."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import FOR_EVER_MS, Asked, Fault, within


@dataclass
class SlowDecay(Fault):
    """Each request is slower than the last, by and large: a server that is slow until it is restarted.

    Attributes:
        ms: how much later the first token comes with each request.
        spread: sigma of a lognormal law around that, as no real server gets slower evenly.
    """

    ms: float = within(1.0, 0, FOR_EVER_MS)
    spread: float = within(0.5, 0, 10)

    def asked(self, asked: Asked) -> None:
        drawn = random.Random(f"{self.seed} {asked.number}").lognormvariate(0.0, self.spread)
        asked.late_ms += self.ms * asked.number * drawn
