"""OpenAI's API, and Anthropic's, which lists its models at the same path."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.dialects.kinds import kserve_server, ollama_server
from pytest_llmserve.dialects.known_paths import Place
from pytest_llmserve.dialects.piece import Unreadable, parse_json
from pytest_llmserve.dialects.probing import (
    Asking,
    Choice,
    Detecting,
    ProbeAnswer,
    listed_models,
    models_text,
)
from pytest_llmserve.domain.errors import ServerUnusable

FALLBACKS = ("openai-completions", "openai-responses", "anthropic-messages")
"""Servers of base models have no chat; a few have another API alone, and list their models as OpenAI does."""


def detect(asking: Asking, place: Place) -> Detecting:
    """A list of models at /v1/models.

    vLLM, llama.cpp and others serve /v1/messages and /v1/responses beside it; chat is what all of them
    have, so it is asked first.

    Raises:
        ServerUnusable: a key is wanted.
    """
    path = f"{place.base}{place.version}/models"
    listing = yield from asking.get(path)
    models = listed_models(listing.json)
    if _is_anthropic(listing):
        said = f"answered {listing.status}" if models is None else f"lists {models_text(models)}"
        because = asking.conclude(path, f"{said} in the form of Anthropic's API")
        return Choice(api="anthropic-messages", path=place.prefix, models=models or (), because=because)
    if listing.status in (401, 403):
        said = f"refused the key in {asking.key_env}" if asking.key_env else "asks for a key"
        asking.conclude(path, said)
        raise ServerUnusable(
            f"the server {said}: GET {path} answered {listing};"
            " name the environment variable that holds a valid one with --llm-api-key-env VAR"
        )
    if models is None:
        return None
    because = asking.conclude(path, f"lists {models_text(models)}")
    other = yield from (
        kserve_server.detect(asking, place)
        if _has_bare_names(listing)
        else ollama_server.beside_openai(asking, place, models)
    )
    if other is not None:
        return other
    return Choice(api="openai-chat", path=place.prefix, models=models, because=because, fallbacks=FALLBACKS)


def _has_bare_names(listing: ProbeAnswer) -> bool:
    """As KServe's version 1 protocol lists its models: {"models": ["a", "b"]}."""
    rows = listing.json_object.get("models")
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, str) for row in rows)


def _is_anthropic(listing: ProbeAnswer) -> bool:
    """By the form of its list or of its errors.

    https://docs.claude.com/en/api/models-list and https://docs.claude.com/en/api/errors
    """
    if listing.status == 200:
        rows = listing.json_object.get("data")
        return "has_more" in listing.json_object and isinstance(rows, list) and all(map(_is_model, rows))
    try:
        value = parse_json(listing.body) if listing.status in (401, 403) else None
    except Unreadable:
        return False
    error = value.get("error") if isinstance(value, dict) and value.get("type") == "error" else None
    return isinstance(error, dict) and "type" in error


def _is_model(row: Any) -> bool:
    return isinstance(row, dict) and row.get("type") == "model"
