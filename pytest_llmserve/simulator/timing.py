"""When each token is due: the timing law. Pure."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class TimingLaw:
    """First token = base + time to read the prompt; then one token after the other.

    Attributes:
        ttft_ms: to the first token of the shortest prompt.
        prefill_ms: more for each 1000 tokens of the prompt.
        cliff_tokens: a prompt longer than this waits `cliff_ms` more; 0 = no cliff.
        itl_ms: from token to token.
        spread: sigma of a lognormal law around those times, which stay the medians; 0 = none.
        seed: of that law.
    """

    ttft_ms: float = 5.0
    prefill_ms: float = 0.0
    cliff_tokens: int = 0
    cliff_ms: float = 0.0
    itl_ms: float = 1.0
    spread: float = 0.0
    seed: int = 0

    def dues_ms(
        self, number: int, input_tokens: int, tokens: int, late_ms: float = 0.0, token_late_ms: float = 0.0
    ) -> list[float]:
        """When each token of request `number` is due, counted from when it got its slot.

        The first one, and so all, is later than the law by `late_ms`, and each further gap longer by
        `token_late_ms`.
        """
        first_ms = self.ttft_ms + self.prefill_ms * input_tokens / 1000
        if 0 < self.cliff_tokens < input_tokens:
            first_ms += self.cliff_ms
        if not self.spread:
            gap_ms = self.itl_ms + token_late_ms
            return [first_ms + late_ms + gap_ms * i for i in range(tokens)]
        drawn = random.Random(f"{self.seed} {number}")
        due_ms = first_ms * math.exp(drawn.gauss(0.0, self.spread)) + late_ms
        dues = []
        for _ in range(tokens):
            dues.append(due_ms)
            due_ms += self.itl_ms * math.exp(drawn.gauss(0.0, self.spread)) + token_late_ms
        return dues
