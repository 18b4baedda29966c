"""The events of a streamed answer, read and written: SSE, and Ollama's lines of JSON. Pure.

Gradio's events have names, and each all of the text so far.
A part that is looked into holds one event at most.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_llmserve.simulator.faults.fault import Part

Value = dict[str, Any]

_EVENT = re.compile(rb"(?:event: (?P<name>[^\n]+)\n)?(?:data:)?(?P<data>.*)\Z", re.DOTALL)


def value_of(part: Part) -> Value | None:
    """The JSON object of an event, or None where it has none, as `data: [DONE]`.

    One with a name and a list is {"event": name, "data": list}, and has all of the text so far.
    """
    found = _EVENT.match(part.data.strip())
    try:
        value = json.loads(found["data"] if found else b"")
    except ValueError:
        return None
    if found and found["name"] and isinstance(value, list):
        return {"event": found["name"].decode(), "data": value}
    return value if isinstance(value, dict) else None


def with_value(part: Part, value: Value, tokens: int | None = None) -> Part:
    """The same event around another object."""
    if "event" in value:
        data = f"event: {value['event']}\ndata: {json.dumps(value['data'], ensure_ascii=False)}\n\n".encode()
        return replace(part, data=data, tokens=part.tokens if tokens is None else tokens)
    head, tail = part.data[: part.data.index(b"{")], part.data[part.data.rindex(b"}") + 1 :]
    data = head + json.dumps(value, ensure_ascii=False).encode() + tail
    return replace(part, data=data, tokens=part.tokens if tokens is None else tokens)


def text_of(value: Value) -> str:
    """What an event says; "" when it says nothing."""
    holder, key = _place(value)
    return str(holder[key] if isinstance(holder, list) else holder.get(key) or "")


def with_text(value: Value, text: str) -> Value:
    """The event, saying something else."""
    changed: Value = json.loads(json.dumps(value))
    holder, key = _place(changed)
    holder[key] = text
    return changed


def _place(value: Value) -> tuple[Any, Any]:
    """Where the text of an event stands, by the shape of the API."""
    if "event" in value:
        return value["data"], 0
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
