"""How many tokens a server counted in an input, from the body of a whole answer. Pure."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.dialects.piece import UNPARSABLE, Unreadable, parse_json

_UNREAD: tuple[type[Exception], ...] = (*UNPARSABLE, Unreadable)
# OpenAI's chat and completions; its responses, and Anthropic; Ollama; Triton where it is asked to.
_PLACES = (
    ("usage", "prompt_tokens"),
    ("usage", "input_tokens"),
    ("prompt_eval_count",),
    ("num_input_tokens",),
)
# Anthropic counts what came out of its cache, or went into it, beside the rest.
_CACHED = (("usage", "cache_read_input_tokens"), ("usage", "cache_creation_input_tokens"))


def input_tokens(body: bytes) -> int | None:
    """The count, or None where the server gives none, or one of 0 as some do whatever they are asked."""
    try:
        answer = parse_json(body)
    except _UNREAD:
        return None
    for place in _PLACES:
        count = _count(answer, place)
        if count:
            return count + sum(_count(answer, cached) for cached in _CACHED)
    return None


def _count(answer: Any, place: tuple[str, ...]) -> int:
    for key in place:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer if type(answer) is int and answer > 0 else 0
