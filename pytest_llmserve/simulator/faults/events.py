"""The events of a streamed answer, read and written: SSE, and Ollama's lines of JSON. Pure.

A part that is looked into holds one event at most.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_llmserve.simulator.faults.fault import Part

Value = dict[str, Any]


def value_of(part: Part) -> Value | None:
    """The JSON object of an event, or None where it has none, as `data: [DONE]`."""
    data = part.data.strip()
    if data.startswith(b"event:"):
        data = data.partition(b"\n")[2]
    data = data.removeprefix(b"data:")
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def with_value(part: Part, value: Value, tokens: int | None = None) -> Part:
    """The same event around another object."""
    head, tail = part.data[: part.data.index(b"{")], part.data[part.data.rindex(b"}") + 1 :]
    data = head + json.dumps(value, ensure_ascii=False).encode() + tail
    return replace(part, data=data, tokens=part.tokens if tokens is None else tokens)


def text_of(value: Value) -> str:
    """What an event says; "" when it says nothing."""
    holder, key = _place(value)
    return str(holder.get(key) or "")


def with_text(value: Value, text: str) -> Value:
    """The event, saying something else."""
    changed: Value = json.loads(json.dumps(value))
    holder, key = _place(changed)
    holder[key] = text
    return changed


def _place(value: Value) -> tuple[Value, str]:
    """Where the text of an event stands, by the shape of the API."""
    choices = value.get("choices")
    if choices:
        choice: Value = choices[0]
        return (choice["delta"], "content") if "delta" in choice else (choice, "text")
    if "delta" in value:
        return (value["delta"], "text") if isinstance(value["delta"], dict) else (value, "delta")
    if "message" in value:
        return value["message"], "content"
    if "token" in value:
        return value["token"], "text"
    if "text_output" in value:
        return value, "text_output"
    return value, "response"


def up_to(parts: Sequence[Part], tokens: int) -> list[Part]:
    """The parts up to so many tokens; with 0 what comes before the first."""
    kept: list[Part] = []
    said = 0
    for part in parts:
        if part.tokens and said >= tokens:
            break
        said += part.tokens
        kept.append(part)
        if tokens and said >= tokens:
            break
    return kept
