"""Memory lost at each new prompt."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import MOST_KB, Asked, Fault, within


@dataclass
class LeakPrompts(Fault):
    """Each prompt that was not seen before leaves memory behind: a prompt cache without a bound.

    Attributes:
        kb: kilobytes kept for ever for each.
    """

    kb: int = within(100, 0, MOST_KB)

    def __post_init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def asked(self, asked: Asked) -> None:
        if asked.prompt not in self._kept:
            self._kept[asked.prompt] = b"x" * (self.kb * 1000)
