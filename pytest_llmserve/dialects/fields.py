"""Names of the fields that several APIs have under different names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_llmserve.dialects.encoding import limited, merged


class Fields(msgspec.Struct, frozen=True):
    """What an API calls them; a dot stands for a level, as in `Dialect.limit_names`.

    Attributes:
        seed: the number that answers are drawn by, or None.
        steady: parameters with which the likeliest answer is given.
        drawn: parameters with which answers are drawn, and differ.
        logprobs: parameters that ask for log probabilities, or None.
        system: messages of the system have a place.
    """

    seed: str | None
    steady: Mapping[str, Any]
    drawn: Mapping[str, Any]
    logprobs: Mapping[str, Any] | None
    system: bool


def _at(temperature: int) -> dict[str, Any]:
    return {"temperature": temperature}


_OLLAMA = Fields("options.seed", {"options": _at(0)}, {"options": _at(1)}, {"logprobs": True}, True)
_RESPONSES = {"include": ["message.output_text.logprobs"]}
_DRAWN_BY_TGI = {"parameters": {"do_sample": True}}
_DETAILS_OF_TGI = {"parameters": {"details": True}}

FIELDS: dict[str, Fields] = {
    "openai-chat": Fields("seed", _at(0), _at(1), {"logprobs": True}, True),
    "openai-completions": Fields("seed", _at(0), _at(1), {"logprobs": 1}, False),
    "openai-responses": Fields(None, _at(0), _at(1), _RESPONSES, True),
    "anthropic-messages": Fields(None, _at(0), _at(1), None, True),
    "ollama-generate": _OLLAMA,
    "ollama-chat": _OLLAMA,
    "tgi": Fields("parameters.seed", {}, _DRAWN_BY_TGI, _DETAILS_OF_TGI, False),
}
"""Dialect -> its fields. Of those that are not here none is known."""

LEAST_TOKENS: dict[str, int] = {"max_output_tokens": 16}
"""Field that limits an answer -> the least that it may say, as OpenAI refuses less; of the others it is 1."""


def seeded(api: str, seed: int) -> dict[str, Any]:
    """Parameters with which an answer is drawn by this seed; empty where no field for it is known.

    Example: for "ollama-chat" {"options": {"temperature": 1, "seed": 7}}.
    """
    fields = FIELDS.get(api)
    if fields is None or fields.seed is None:
        return {}
    return merged(dict(fields.drawn), limited(fields.seed, seed))
