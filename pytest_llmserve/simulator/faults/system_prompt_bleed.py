"""System prompts that rule other requests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, within


@dataclass
class SystemPromptBleed(Fault):
    """Now and then an answer obeys the system prompt of another request that is under way at once.

    It says that prompt, and then what it would have said.

    Attributes:
        share: of the answers that do, where two of different system prompts are under way.
    """

    share: float = within(0.5, 0, 1)

    def __post_init__(self) -> None:
        self._systems: deque[str] = deque(maxlen=8)

    def asked(self, asked: Asked) -> None:
        others = [system for system in self._systems if system and system != asked.system]
        if others and asked.active > 1 and self.chance(asked.number, self.share):
            asked.text = f"{others[-1]} {asked.text}"
        self._systems.append(asked.system)
