"""Memory that grows up to a bound."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import MOST_KB, Asked, Fault, within


@dataclass
class BoundedCache(Fault):
    """Not a fault: a prompt cache with a bound grows until it is full, and no further.

    Attributes:
        entries: prompts that it holds; the oldest goes.
        kb: kilobytes of each.
    """

    entries: int = within(100, 1)
    kb: int = within(200, 0, MOST_KB)

    def __post_init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def asked(self, asked: Asked) -> None:
        self._kept.setdefault(asked.prompt, b"x" * (self.kb * 1000))
        if len(self._kept) > self.entries:
            del self._kept[next(iter(self._kept))]
