"""How `--llm-api auto` decides: what to ask, and what the answers mean. Asks nothing itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_llmserve.dialects.json_generic import DEFAULT_REQUEST
from pytest_llmserve.dialects.openai import CHAT, COMPLETIONS, ENDPOINTS, split_path
from pytest_llmserve.dialects.openapi import JsonPost, find_endpoint, find_json_posts, post_paths
from pytest_llmserve.dialects.piece import UNPARSABLE
from pytest_llmserve.domain.errors import ServerUnusable

PROBES: tuple[str, ...] = ("/v1/models", "/openapi.json", "/")
"""Paths asked by GET, in this order, when the user's URL has no path."""

_VERSION = re.compile(r"/v\d+\Z")


class ProbeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one probe brought: a status, or the reason why there was no answer."""

    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    error: str | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What `auto` chose.

    Attributes:
        api: name of the dialect.
        path: for `Target.path`.
        models: names the server lists, perhaps none.
        because: why, in words for people.
        fallback_api: the dialect to try when the first request is refused with 404, or None.
        json_request: the request template that fits, for the `json` dialect only.
    """

    api: str
    path: str
    models: tuple[str, ...] = ()
    because: str
    fallback_api: str | None = None
    json_request: str | None = None


def probe_paths(path: str) -> tuple[str, ...]:
    """The paths to ask for a user's URL with this path: `PROBES` below its prefix.

    The OpenAPI document usually lies at the root, so it is asked there too.
    """
    base, version = _base(path)
    paths = (f"{base}{version}/models", f"{base}/openapi.json", f"{base}/", "/openapi.json")
    return tuple(dict.fromkeys(paths))


def choose(path: str, answers: Mapping[str, ProbeAnswer]) -> Choice:
    """Decide by the path of the user's URL and the answers to `probe_paths(path)`.

    Raises:
        ServerUnusable: nothing answers, a key is wanted, or the server is of no known kind;
            lists what each probe answered and says what to do.
    """
    if all(answer.status is None for answer in answers.values()):
        raise ServerUnusable(
            f"the server does not answer: {_listed(answers)}; check that it runs, and the URL"
        )
    base, version = _base(path)
    asked = f"{base}{version}/models"
    listing = answers.get(asked, ProbeAnswer())
    models = _models(listing)
    named = _named_endpoint(path, models or ())
    if named is not None:
        return named
    if models is not None:
        return Choice(
            api="openai-chat",
            path=path,
            models=models,
            because=f"GET {asked} lists {_names(models)}",
            fallback_api="openai-completions",
        )
    if listing.status in (401, 403):
        raise ServerUnusable(
            f"the server asks for a key: GET {asked} answered {_said(listing)};"
            " name the environment variable that holds a valid one with --llm-api-key-env VAR"
        )
    described = _by_openapi(path, base, answers)
    if described is not None:
        return described
    if base:
        return Choice(api="json", path=path, because=f"the URL names {path}, which is no path of a known API")
    raise ServerUnusable(_unknown(answers))


def _base(path: str) -> tuple[str, str]:
    """A path without endpoint and version, and the version ("/v1" when it has none)."""
    prefix, _ = split_path(path)
    version = _VERSION.search(prefix)
    return (prefix[: version.start()], version[0]) if version else (prefix, "/v1")


def _named_endpoint(path: str, models: tuple[str, ...]) -> Choice | None:
    _, endpoint = split_path(path)
    if not endpoint:
        return None
    return Choice(api=ENDPOINTS[endpoint], path=path, models=models, because=f"the URL ends with {endpoint}")


def _models(answer: ProbeAnswer) -> tuple[str, ...] | None:
    """The names in a model listing; None when the answer is none."""
    value = _json(answer)
    if not isinstance(value, dict):
        return None
    for field in ("data", "models"):
        rows = value.get(field)
        if isinstance(rows, list):
            names = [_model_name(row) for row in rows]
            if None not in names and (names or value.get("object") == "list"):
                return tuple(name for name in names if name is not None)
    return None


def _model_name(row: Any) -> str | None:
    if isinstance(row, dict):
        row = next((row[field] for field in ("id", "name", "model") if field in row), None)
    return row if isinstance(row, str) else None


def _by_openapi(path: str, base: str, answers: Mapping[str, ProbeAnswer]) -> Choice | None:
    for place in dict.fromkeys((f"{base}/openapi.json", "/openapi.json")):
        document = _json(answers.get(place, ProbeAnswer()))
        if not isinstance(document, dict):
            continue
        mount = place.removesuffix("/openapi.json")
        # A path of the user's own is a decision: the document may only say how to call it.
        chosen = _described_path(path, place, mount, document) if base else _best_path(place, document)
        if chosen is not None:
            return chosen
    return None


def _best_path(place: str, document: dict[str, Any]) -> Choice | None:
    for api, endpoint in (("openai-chat", CHAT), ("openai-completions", COMPLETIONS)):
        found = find_endpoint(document, endpoint)
        if found is not None:
            return Choice(api=api, path=found, because=f"{place} describes POST {found}")
    posts = [post for post in find_json_posts(document) if not post.missing]
    return _as_json(posts[0].path, place, posts[0]) if posts else None


def _described_path(path: str, place: str, mount: str, document: dict[str, Any]) -> Choice | None:
    for api, endpoint in (("openai-chat", CHAT), ("openai-completions", COMPLETIONS)):
        found = find_endpoint(document, endpoint)
        full = found if found is None or found.startswith(mount + "/") else mount + found
        if full is not None and full.startswith(path + "/"):
            return Choice(api=api, path=full, because=f"{place} describes POST {full}")
    for post in find_json_posts(document):
        if path in (post.path, mount + post.path) and not post.missing:
            return _as_json(path, place, post)
    return None


def _as_json(path: str, place: str, post: JsonPost) -> Choice:
    request = None if post.request == DEFAULT_REQUEST else post.request
    because = f"{place} describes POST {path} with a text {post.field!r}"
    return Choice(api="json", path=path, because=because, json_request=request)


def _unknown(answers: Mapping[str, ProbeAnswer]) -> str:
    text = (
        f"not a model server that auto knows: {_listed(answers)}; name the API with --llm-api"
        " openai-chat|openai-completions|json"
    )
    document = _json(answers.get("/openapi.json", ProbeAnswer()))
    for post in find_json_posts(document) if isinstance(document, dict) else []:
        if post.missing:
            wants = ", ".join(post.missing)
            text += f"; POST {post.path} takes {post.field!r} but also wants {wants}: give --llm-json-request"
            break
    return text


def posts_in(answer: ProbeAnswer) -> tuple[str, ...]:
    """The path of every POST in an OpenAPI document; empty where the answer is none."""
    document = _json(answer)
    return post_paths(document) if isinstance(document, dict) else ()


def _json(answer: ProbeAnswer) -> Any:
    if answer.status != 200:
        return None
    try:
        return msgspec.json.decode(answer.body)
    except UNPARSABLE:
        return None


def _listed(answers: Mapping[str, ProbeAnswer]) -> str:
    return ", ".join(f"GET {path} answered {_said(answer)}" for path, answer in answers.items())


def _said(answer: ProbeAnswer) -> str:
    if answer.status is None:
        return f"nothing ({answer.error or 'no reason known'})"
    return f"{answer.status} {answer.content_type.partition(';')[0].strip() or 'without Content-Type'}"


def _names(models: tuple[str, ...]) -> str:
    if not models:
        return "no model"
    shown = ", ".join(models[:5]) + (", ..." if len(models) > 5 else "")
    return f"{'model' if len(models) == 1 else 'models'} {shown}"
