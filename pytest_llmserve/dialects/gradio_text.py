"""The text in an output of a Gradio function: a text, a chat, a label. Pure."""

from __future__ import annotations

import json
from typing import Any

from pytest_llmserve.dialects.encoding import content_text
from pytest_llmserve.dialects.piece import Unreadable, keys_of

_MOST_OUTPUTS = 32


def said(value: Any, path: str) -> str | None:
    """The text of an output; of a chat that of the last answer, "" while there is none.

    Shapes: a text, a number or a truth value; a chat as pairs [[user, bot], ...] or as messages
    [{"role", "content"}, ...]; one message; {"text"} of a multimodal textbox; {"label"} of a
    classifier; {"__type__": "update", "value"}.

    Args:
        value: the output.
        path: where it lies, for the sentence.

    Returns:
        None where the output is null: nothing is said about it.

    Raises:
        Unreadable: something else.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    text = _chat(value) if isinstance(value, list) else _described(value, path)
    if text is None and not (isinstance(value, dict) and "__type__" in value):
        raise Unreadable(
            f"the answer at {path!r} is {keys_of(value)}, neither a text nor a chat: give --llm-json-answer"
        )
    return text


def said_elsewhere(value: Any, path: str) -> str | None:
    """The path of the first output that has a text, other than this one."""
    outputs = value.get("data") if isinstance(value, dict) else None
    for place, output in enumerate(outputs[:_MOST_OUTPUTS] if isinstance(outputs, list) else ()):
        other = f"data.{place}"
        try:
            found = other != path and said(output, other)
        except Unreadable:
            continue
        if found:
            return other
    return None


def _described(value: dict[str, Any], path: str) -> str | None:
    if "role" in value:
        return _chat([value])
    if value.get("__type__") == "update":
        return said(value.get("value"), path)
    return next((value[key] for key in ("text", "label") if isinstance(value.get(key), str)), None)


def _chat(history: list[Any]) -> str | None:
    """The last answer of a chat; None where the list is none."""
    if all(isinstance(turn, list) and len(turn) == 2 for turn in history):
        return _content(history[-1][1]) if history else ""
    if not all(isinstance(turn, dict) and "role" in turn for turn in history):
        return None
    for message in reversed(history):
        if message["role"] != "assistant":
            break
        text = _content(message.get("content"))
        if text:  # beside it may stand pictures
            return text
    return ""


def _content(content: Any) -> str:
    """The text of a message: one, or a list of texts and parts."""
    if isinstance(content, list):
        return "".join(part if isinstance(part, str) else content_text([part]) for part in content)
    return content_text(content)
