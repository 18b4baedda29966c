"""Floats that kill it."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, crash


@dataclass
class FloatParameterCrash(Fault):
    """A float top_k ends the server: "AsyncEngineDeadError: Task finished unexpectedly" (vLLM 0.3.3).

    Attributes:
        name: of the field that must not be a float.
    """

    name: str = "top_k"

    def asked(self, asked: Asked) -> None:
        if asked.body and isinstance(asked.body.get(self.name), float):
            crash()
