"""Long prompts that kill it."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, crash, within


@dataclass
class CrashOnOversize(Fault):
    """A prompt that is too long ends the process, as a failed GGML_ASSERT on the batch does (llama.cpp).

    Attributes:
        chars: the longest prompt that it survives.
    """

    chars: int = within(8000, 0)

    def asked(self, asked: Asked) -> None:
        if len(asked.prompt) > self.chars:
            crash()
