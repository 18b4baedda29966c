"""What of a good answer is the server's own, and no word of a model. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

WORDS = frozenset(
    {
        *("content", "text", "refusal", "reasoning", "reasoning_content", "reasoning_details", "thinking"),
        *("tool_calls", "function_call", "logprobs", "delta", "token", "tokens", "top_tokens", "audio"),
        *("response", "answer", "output", "output_text", "text_output", "generated_text", "completion"),
        *("result", "candidates", "predictions", "prompt", "input", "data"),
    }
)
"""Fields that hold what a model says, or what it was asked, in the APIs of model servers."""
ERRORS = frozenset(
    {"error", "errors", "exception", "traceback", "stack", "stacktrace", "stack_trace", "warning", "warnings"}
)
"""Fields that hold what went wrong; all that is in them is the server's."""


def beside_words(parts: Iterable[bytes], answer: str, whole: bool) -> bytes:
    """The texts of a good answer that no model has made up, as JSON, a line each.

    A field of `WORDS` is passed over with all that is in it; so is, outside of `ERRORS`, a text that stands
    in the decoded answer, wherever the API has it. An answer that is no JSON has no parts: all of it may be
    a model's.

    Args:
        parts: its events, lines, or the whole body.
        answer: as it was decoded.
        whole: it came to its end: then a part that is no JSON counts as it is; else it may be cut-off words.
    """
    found: list[bytes] = []
    for part in parts:
        try:
            value = json.loads(part)
        except (ValueError, RecursionError):
            found += [part] if whole else []
            continue
        found += [json.dumps(text).encode() for text in _own_texts(value, answer)]
    return b"\n".join(found)


def _own_texts(value: Any, answer: str) -> Iterator[str]:
    """Without recursion: what a server repeats may be nested deeper than Python allows."""
    waiting: list[tuple[Any, bool]] = [] if isinstance(value, str) else [(value, False)]
    while waiting:
        item, wrong = waiting.pop()
        if isinstance(item, str) and (wrong or item not in answer):
            yield item
        elif isinstance(item, list):
            waiting += [(each, wrong) for each in reversed(item)]
        elif isinstance(item, dict):
            fields = [(key, each) for key, each in reversed(item.items()) if wrong or key not in WORDS]
            waiting += [(each, wrong or key in ERRORS) for key, each in fields]
