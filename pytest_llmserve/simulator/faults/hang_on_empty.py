"""Empty prompts that hang."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import FOR_EVER_MS, Asked, Fault


@dataclass
class HangOnEmpty(Fault):
    """A prompt of nothing or of spaces is never answered: no token to begin with, so no end."""

    def asked(self, asked: Asked) -> None:
        if asked.body and not asked.prompt.strip() and ({"prompt", "messages"} & asked.body.keys()):
            asked.late_ms = FOR_EVER_MS
