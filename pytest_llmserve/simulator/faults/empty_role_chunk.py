"""Events without a token before the first."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_llmserve.simulator.faults.events import value_of, with_text, with_value
from pytest_llmserve.simulator.faults.fault import Asked, Fault, Stream, within


@dataclass
class EmptyRoleChunk(Fault):
    """Not a fault: events without a token come at once, long before the first token (vLLM's role chunk).

    Attributes:
        count: of such events.
    """

    count: int = within(2, 0, 1000)

    def streamed(self, asked: Asked, stream: Stream) -> None:  # noqa: ARG002
        first = next((part for part in stream.parts if part.tokens), None)
        value = None if first is None else value_of(first)
        if first is not None and value is not None:
            empty = with_text(value, "")
            for choice in empty.get("choices", ()):
                choice.get("delta", {})["role"] = "assistant"
            early = with_value(replace(first, due_ms=0.0), empty, tokens=0)
            stream.parts[:0] = [early] * self.count
