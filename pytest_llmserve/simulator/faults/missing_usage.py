"""Answers without token counts."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pytest_llmserve.simulator.faults.events import Value, value_of, with_value
from pytest_llmserve.simulator.faults.fault import Asked, Fault, Part, Stream

COUNTS = ("usage", "eval_count", "prompt_eval_count", "details")

_HOLDERS = ("response", "message")  # in events, of what is told as a whole too


@dataclass
class MissingUsage(Fault):
    """Not a fault: the server never tells how many tokens there were."""

    def streamed(self, asked: Asked, stream: Stream) -> None:  # noqa: ARG002
        stream.parts[:] = [kept for part in stream.parts if (kept := _uncounted(part)) is not None]

    def whole(self, asked: Asked, body: bytes) -> bytes:  # noqa: ARG002
        try:
            value = json.loads(body)
        except ValueError:
            return body
        return json.dumps(_without_counts(value), ensure_ascii=False).encode()


def _uncounted(part: Part) -> Part | None:
    """None for an event that holds nothing but counts."""
    value = value_of(part)
    if value is None or _without_counts(value) == value:
        return part
    if value.get("choices") == []:
        return None
    return with_value(part, _without_counts(value))


def _without_counts(value: Value) -> Value:
    left = {name: held for name, held in value.items() if name not in COUNTS}
    for name in _HOLDERS:
        if isinstance(left.get(name), dict):
            left[name] = _without_counts(left[name])
    return left
