"""Any server that describes itself in /openapi.json, as every FastAPI app does."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.dialects.json_generic import DEFAULT_REQUEST
from pytest_llmserve.dialects.known_paths import Place, known_path
from pytest_llmserve.dialects.openapi import (
    JsonPost,
    find_data_posts,
    find_endpoint,
    find_endpoints,
    find_json_posts,
    find_text_posts,
)
from pytest_llmserve.dialects.probing import Asking, Choice, Detecting
from pytest_llmserve.domain.errors import ServerUnusable

ENDPOINTS = (
    ("openai-chat", "/chat/completions", ("messages",)),
    ("openai-completions", "/completions", ("model", "prompt")),
    ("openai-responses", "/responses", ("model", "input")),
    ("anthropic-messages", "/v1/messages", ("messages",)),
    ("ollama-chat", "/api/chat", ("messages",)),
    ("ollama-generate", "/api/generate", ("model", "prompt")),
)
"""Ends of paths that tell an API, and what its body has; the first that is described decides."""


def detect(asking: Asking, place: Place) -> Detecting:
    """A path of a known API, else a POST that takes one text. The document usually lies at the root.

    Raises:
        ServerUnusable: the user's path wants more than a text.
    """
    for path in dict.fromkeys((f"{place.base}/openapi.json", "/openapi.json")):
        document = (yield from asking.get(path)).json_object
        if not document:
            continue
        mount = path.removesuffix("/openapi.json")
        # A path of the user's own is a decision: the document may only say how to call it.
        chosen = _below(place.prefix, path, mount, document) if place.base else _best(path, document)
        if chosen is not None:
            asking.conclude(path, chosen.because.removeprefix(f"{path} "))
            return chosen
    return None


def named(asking: Asking, place: Place, path: str) -> Detecting:
    """What the document says of one path, which others than the API known by it may have.

    Args:
        asking: the questions so far.
        place: what stands before the part by which the path is known.
        path: all of it.
    """
    for where in dict.fromkeys((f"{place.base}/openapi.json", "/openapi.json")):
        document = (yield from asking.get(where)).json_object
        chosen = _of_path(path, where, where.removesuffix("/openapi.json"), document)
        if chosen is not None:
            asking.conclude(where, chosen.because.removeprefix(f"{where} "))
            return chosen
    return None


def _best(place: str, document: dict[str, Any]) -> Choice | None:
    for api, endpoint, fields in ENDPOINTS:
        found = find_endpoint(document, endpoint, fields)
        if found is not None:
            return Choice(api=api, path=found, because=f"{place} describes POST {found}")
    posts = [post for post in find_json_posts(document) if not post.missing]
    if posts:
        return _as_json(posts[0].path, place, posts[0], posts[1:])
    data = find_data_posts(document)
    return _as_gradio(data[0], place) if data else _only_text(place, document)


def _only_text(place: str, document: dict[str, Any]) -> Choice | None:
    """The only POST that takes a text of a name that tells nothing, and demands it."""
    posts = [post for post in find_text_posts(document) if post.required and not post.missing]
    return _as_json(posts[0].path, place, posts[0]) if len(posts) == 1 else None


def _below(path: str, place: str, mount: str, document: dict[str, Any]) -> Choice | None:
    """The choice for a path of the user's own: this very path, or a prefix of a known API's."""
    for api, endpoint, fields in ENDPOINTS:
        found = find_endpoint(document, endpoint, fields)
        full = found if found is None or found.startswith(mount + "/") else mount + found
        if full is not None and full.startswith(path + "/"):
            return Choice(api=api, path=full, because=f"{place} describes POST {full}")
    return _of_path(path, place, mount, document)


def _of_path(path: str, place: str, mount: str, document: dict[str, Any]) -> Choice | None:
    """The choice for this very path; None where an API is spoken there, or nothing is known of it."""
    for _, endpoint, fields in ENDPOINTS:
        if any(path in (found, mount + found) for found in find_endpoints(document, endpoint, fields)):
            return None
    posts = [*find_json_posts(document), *find_text_posts(document)]
    here = next((post for post in posts if path in (post.path, mount + post.path)), None)
    if here is not None and not here.missing:
        return _as_json(path, place, here)
    for found in find_data_posts(document):
        if path in (found, mount + found):
            return _as_gradio(path, place)
    if here is not None:
        raise ServerUnusable(f"{here.wants}: give --llm-json-request='{here.request}'")
    return None


def _as_json(path: str, place: str, post: JsonPost, others: list[JsonPost] | None = None) -> Choice:
    request = None if post.request == DEFAULT_REQUEST else post.request
    because = f"{place} describes POST {path} with a text {post.field!r}"
    if post.filled:
        because += "".join(f", {name} {value!r}" for name, value in post.filled)
    more = [other.path for other in others or () if known_path(other.path) is None]
    if more:
        because += f" (and POST {', '.join(more[:3])}: name one in the URL)"
    return Choice(api="json", path=path, because=because, json_request=request)


def _as_gradio(path: str, place: str) -> Choice:
    because = f"{place} describes POST {path} with a list 'data', as Gradio takes it"
    return Choice(api="gradio", path=path, because=because)
