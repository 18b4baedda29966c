"""How many tokens a server counted in an input, from the body of a whole answer. Pure."""

from __future__ import annotations

from pytest_llmserve.dialects.piece import UNPARSABLE, Unreadable, parse_json

_UNREAD: tuple[type[Exception], ...] = (*UNPARSABLE, Unreadable)
# OpenAI's chat and completions; its responses, and Anthropic; Ollama.
_PLACES = (("usage", "prompt_tokens"), ("usage", "input_tokens"), ("prompt_eval_count",))


def input_tokens(body: bytes) -> int | None:
    """The count, or None where the server gives none, or one of 0 as some do whatever they are asked."""
    try:
        answer = parse_json(body)
    except _UNREAD:
        return None
    for place in _PLACES:
        value = answer
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
