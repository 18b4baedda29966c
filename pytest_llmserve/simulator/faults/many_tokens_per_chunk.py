"""Events of several tokens."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.events import text_of, value_of, with_text, with_value
from pytest_llmserve.simulator.faults.fault import Asked, Fault, Part, Stream, within


@dataclass
class ManyTokensPerChunk(Fault):
    """Not a fault: several tokens in an event, as by speculative decoding or `stream_interval` (vLLM).

    Attributes:
        tokens: in each event.
    """

    tokens: int = within(4, 1)

    def streamed(self, asked: Asked, stream: Stream) -> None:  # noqa: ARG002
        merged: list[Part] = []
        for part in stream.parts:
            last = merged[-1] if merged else None
            if last is not None and part.tokens and 0 < last.tokens < self.tokens:
                merged[-1] = _joined(last, part)
            else:
                merged.append(part)
        stream.parts[:] = merged


def _joined(first: Part, second: Part) -> Part:
    """One event with the text of both, due when the second was."""
    said, more = value_of(first), value_of(second)
    assert said is not None
    assert more is not None
    tokens = first.tokens + second.tokens
    # An event with a name has all of the text already.
    before = "" if "event" in more else text_of(said)
    return with_value(second, with_text(more, before + text_of(more)), tokens)
