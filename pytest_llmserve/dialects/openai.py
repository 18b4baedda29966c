"""What the OpenAI dialects share: paths, the request's fields, usage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_llmserve.dialects.encoding import event_headers, json_body
from pytest_llmserve.dialects.errors import reported
from pytest_llmserve.dialects.piece import Piece, keys_of, parse_json
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.target import Target

CHAT = "/chat/completions"
COMPLETIONS = "/completions"
RESPONSES = "/responses"

ENDPOINTS: dict[str, str] = {
    CHAT: "openai-chat",
    COMPLETIONS: "openai-completions",
    RESPONSES: "openai-responses",
}
"""What a path may end with -> the API that is spoken there."""

_VERSION = re.compile(r"/v\d+\Z")


class Usage(msgspec.Struct, gc=False):
    """The server's count of tokens."""

    completion_tokens: int | None = None


def split_path(path: str) -> tuple[str, str]:
    """A URL's path as (prefix, endpoint); the endpoint is "" when the path names none."""
    for endpoint in ENDPOINTS:
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
    path = endpoint_path(target.path, endpoint)
    return HttpRequest("POST", path, json_body(body), event_headers(target.stream))


def event_without_choices(data: bytes, usage: Usage | None) -> Piece:
    """The chunk of usage, or an error of another shape; what else has no choices says nothing."""
    if usage is not None:
        return Piece(output_tokens=usage.completion_tokens)
    return Piece(error=without_choices(data).error)


def without_choices(data: bytes) -> Piece:
    """A body that has no choices: an error of another shape, such as {"object": "error"}, or no answer."""
    value = parse_json(data)
    error = reported(value)
    if error is not None:
        return Piece(error=error)
    return Piece(missed=f"no answer at choices: the server sent {keys_of(value)}")
