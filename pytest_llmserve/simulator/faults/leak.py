"""Memory lost at each request."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import MOST_KB, Asked, Fault, within


@dataclass
class Leak(Fault):
    """Each request leaves memory behind, as 3 MB of the server's context did (llama.cpp).

    Attributes:
        kb: kilobytes kept for ever at each request.
    """

    kb: int = within(100, 0, MOST_KB)

    def __post_init__(self) -> None:
        self._kept: list[bytes] = []

    def asked(self, asked: Asked) -> None:  # noqa: ARG002
        # Not zeros: pages that were never written to would not be resident.
        self._kept.append(b"x" * (self.kb * 1000))
