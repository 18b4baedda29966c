"""Slots that clients take with them."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, within


@dataclass
class SlotLost(Fault):
    """A client that leaves early takes its slot with it: "generation not cancelled" (llama.cpp).

    Attributes:
        every: how many clients that leave there are to each lost slot.
    """

    every: int = within(1, 1)

    def __post_init__(self) -> None:
        self._left = 0

    def left(self, asked: Asked) -> bool:  # noqa: ARG002
        self._left += 1
        return self._left % self.every != 0
