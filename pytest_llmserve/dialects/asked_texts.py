"""The texts that a request carries, so that they can be taken out of an error that repeats them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pytest_llmserve.dialects.errors import one_line
from pytest_llmserve.domain.hiding import ANSWER, LEAST_BYTES, PROMPT, without
from pytest_llmserve.domain.target import Target

_NAMES = frozenset({"model", "role", "type", "tool_choice", "reasoning_effort", "service_tier"})
"""Fields whose texts are words of the API: an error that names them has to stay readable."""

_REASONS = frozenset(
    {
        *("stop", "length", "eos_token", "stop_sequence", "end_turn", "max_tokens", "tool_use"),
        *("tool_calls", "function_call", "content_filter", "completed", "incomplete"),
        *("max_output_tokens", "model_length", "abort", "load", "unload", "error", "cancelled"),
    }
)
"""What nearly every answer ends with: not worth a search in a request that may be long."""


def hidden(error: str, target: Target, request: bytes, answer: str = "") -> str:
    """An error sentence of a server without the texts of its request, and of the answer so far.

    With `Target.keep_text` it stays as it is.

    Args:
        error: one line.
        target: that was asked.
        request: its body; the head may stand before it.
        answer: what came of it.
    """
    if target.keep_text or len(error.encode("utf-8", "surrogatepass")) < LEAST_BYTES:
        return error
    said = [text for text in texts_of(request) if text != target.model]
    return without(without(error, said, PROMPT), [answer], ANSWER)


def hidden_reason(reason: str | None, target: Target, request: bytes, answer: str = "") -> str | None:
    """Why an answer ended in the server's words, without what they repeat; see `hidden`."""
    if reason is None or reason in _REASONS:
        return reason
    return one_line(hidden(reason, target, request, answer))


def texts_of(request: bytes) -> list[str]:
    """Each text in the JSON of a request's body, or the whole of another body."""
    head, parted, body = request.partition(b"\r\n\r\n")
    body = body if parted and b" HTTP/1." in head else request
    try:
        return list(texts_in(json.loads(body)))
    except (ValueError, RecursionError):
        return [body.decode("utf-8", "replace")]


def texts_in(value: Any) -> Iterator[str]:
    """Each text in a JSON value but those of fields that hold words of the API."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in _NAMES or not isinstance(each, str):
                yield from texts_in(each)
