"""Streams without an end mark."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.events import text_of, value_of, with_value
from pytest_llmserve.simulator.faults.fault import Asked, Fault, Part, Stream, within


@dataclass
class MissingEndMark(Fault):
    """Some streams end without finish_reason and "data: [DONE]": whether all was said, nobody knows.

    Attributes:
        every: how many requests there are to each that ends so.
        finish_reason: is told all the same. Then it is not a fault: not every server sends "[DONE]".
    """

    every: int = within(10, 1)
    finish_reason: bool = False

    def streamed(self, asked: Asked, stream: Stream) -> None:
        if asked.number % self.every:
            return
        left = [part for part in stream.parts if not _is_mark(part)]
        if not self.finish_reason:
            left = [kept for part in left if (kept := _unfinished(part)) is not None]
        stream.parts[:] = left


_ENDS = ("message_delta", "response.completed", "response.incomplete")


def _is_mark(part: Part) -> bool:
    """True for what says nothing but that the stream is over."""
    value = value_of(part)
    return b"[DONE]" in part.data or (value is not None and value.get("type") == "message_stop")


def _unfinished(part: Part) -> Part | None:
    """None for an event that only says that the answer is over."""
    value = value_of(part)
    if value is None:
        return part
    if value.get("type") in _ENDS or value.get("event") == "complete":
        return None
    marked = value.get("done") is True
    value.pop("done_reason", None)
    if marked:
        value["done"] = False
    if value.get("generated_text") is not None:
        marked = True
        value |= {"generated_text": None, "details": None}
    for choice in value.get("choices") or ():
        marked = marked or choice.get("finish_reason") is not None
        choice["finish_reason"] = None
    if not marked:
        return part
    return with_value(part, value) if text_of(value) else None
