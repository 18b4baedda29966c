"""What the two OpenAI dialects share: paths, the request's fields, usage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from pytest_llmserve.dialects.encoding import json_body, json_headers
from pytest_llmserve.dialects.errors import sentence_from_json
from pytest_llmserve.dialects.piece import UNPARSABLE, Piece, Unreadable, keys_of, not_json, parse_json
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.target import Target

CHAT = "/chat/completions"
COMPLETIONS = "/completions"

Answer = TypeVar("Answer")

_UNREAD: tuple[type[Exception], ...] = (*UNPARSABLE, Unreadable)

_VERSION = re.compile(r"/v\d+\Z")


class Usage(msgspec.Struct, gc=False):
    """The server's count of tokens."""

    completion_tokens: int | None = None


def split_path(path: str) -> tuple[str, str]:
    """A URL's path as (prefix, endpoint); the endpoint is "" when the path names none."""
    for endpoint in (CHAT, COMPLETIONS):
        if path.endswith(endpoint):
            return path.removesuffix(endpoint), endpoint
    return path, ""


def endpoint_path(path: str, endpoint: str) -> str:
    """The path to send to, out of the path of the user's URL.

    "" gives /v1/..., a prefix gets what it lacks, a full path stays as it is, and the
    path of the other endpoint gives its neighbour.
    """
    prefix, named = split_path(path)
    versioned = named or _VERSION.search(prefix)
    return f"{prefix}{endpoint}" if versioned else f"{prefix}/v1{endpoint}"


def openai_request(
    target: Target, endpoint: str, fields: Mapping[str, Any], params: Mapping[str, Any]
) -> HttpRequest:
    """A request with the fewest fields: servers refuse what they do not know. `params` win."""
    body: dict[str, Any] = {}
    if target.model is not None:
        body["model"] = target.model
    body.update(fields)
    if target.stream:
        body["stream"] = True
        if target.stream_usage:
            body["stream_options"] = {"include_usage": True}
    body.update(params)
    accept = "text/event-stream, application/json" if target.stream else "application/json"
    path = endpoint_path(target.path, endpoint)
    return HttpRequest("POST", path, json_body(body), json_headers(accept))


def unread(data: bytes, error: Exception) -> Unreadable:
    """The fault of an event or body that did not fit: not JSON, or JSON of wrong types."""
    if isinstance(error, msgspec.ValidationError):
        return Unreadable(f"not what the API promises ({error})")
    return Unreadable(not_json(data, error))


def read_lines(
    lines: bytes,
    decode: Callable[[bytes], list[Answer]],
    token_text: Callable[[Answer], str | None],
    event: Callable[[bytes], Piece],
) -> list[str | Piece] | None:
    """Read many events, one a line; see `Reader.events`.

    Args:
        lines: the data of the events.
        decode: reads all lines.
        token_text: the text of an event that is a plain token, None or "" for any other.
        event: reads any event.
    """
    try:
        answers = decode(lines)
        texts = [token_text(answer) for answer in answers]
        if len(texts) != lines.count(b"\n") + 1:  # two on a line, or one over two
            return None
        if all(texts):
            return texts  # type: ignore[return-value]  # no None among them
        return [text or event(line) for text, line in zip(texts, lines.split(b"\n"), strict=True)]
    except _UNREAD:
        return None


def event_without_choices(data: bytes, usage: Usage | None) -> Piece:
    """The chunk of usage, or an error of the older shape; what else has no choices says nothing."""
    if usage is not None:
        return Piece(output_tokens=usage.completion_tokens)
    return Piece(error=without_choices(data).error)


def without_choices(data: bytes) -> Piece:
    """A body that has no choices: an error of the older shape, or no answer.

    The older shape, {"object": "error", "message": "..."}, is that of FastChat and of older vLLM.
    """
    value = parse_json(data)
    if isinstance(value, dict) and value.get("object") == "error":
        return Piece(error=sentence_from_json(value))
    return Piece(missed=f"no answer at choices: the server sent {keys_of(value)}")
