"""What an OpenAPI document tells: which POST takes a prompt, and under which name."""

from __future__ import annotations

import json
from typing import Any

import msgspec

PROMPT_FIELDS = ("prompt", "input", "inputs", "text", "question", "query", "message")
PATH_WORDS = ("generate", "chat", "predict", "complet", "infer", "ask", "query", "answer", "invoke", "run")
"""Words in a path that speak for it, the best first."""

_DEEPEST = 8  # references may lead in circles


class JsonPost(msgspec.Struct, frozen=True):
    """A POST that takes a JSON object with a prompt.

    Attributes:
        field: the property that takes the prompt.
        missing: required properties that nobody but the user can fill.
    """

    path: str
    field: str
    missing: tuple[str, ...] = ()

    @property
    def request(self) -> str:
        """The template for `--llm-json-request`."""
        return json.dumps({self.field: "{prompt}"})


def find_endpoint(document: dict[str, Any], endpoint: str) -> str | None:
    """The path of the POST that ends with an OpenAI endpoint; /v1 goes before others."""
    found = [path for path in _posts(document) if path.endswith(endpoint) and "{" not in path]
    if endpoint == "/completions":
        found = [path for path in found if not path.endswith("/chat/completions")]
    return min(found, key=lambda path: (path != "/v1" + endpoint, len(path), path), default=None)


def find_json_posts(document: dict[str, Any]) -> list[JsonPost]:
    """Every POST that takes a prompt, the likeliest first. Paths with parameters do not count."""
    posts = []
    for path, operation in _posts(document).items():
        field_and_missing = None if "{" in path else _prompt_field(document, operation)
        if field_and_missing is not None:
            posts.append(JsonPost(path, *field_and_missing))
    return sorted(posts, key=_unlikeliness)


def post_paths(document: dict[str, Any]) -> tuple[str, ...]:
    """The path of every POST, in the document's order. Paths with parameters do not count."""
    return tuple(path for path in _posts(document) if isinstance(path, str) and "{" not in path)


def _posts(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    paths = document.get("paths")
    return {
        path: item["post"]
        for path, item in (paths.items() if isinstance(paths, dict) else ())
        if isinstance(item, dict) and isinstance(item.get("post"), dict)
    }


def _unlikeliness(post: JsonPost) -> tuple[int, int, int, str]:
    words = [rank for rank, word in enumerate(PATH_WORDS) if word in post.path.lower()]
    return (min(words, default=len(PATH_WORDS)), PROMPT_FIELDS.index(post.field), len(post.path), post.path)


def _prompt_field(document: dict[str, Any], operation: dict[str, Any]) -> tuple[str, tuple[str, ...]] | None:
    """The property that takes the prompt: a text that is required, or the only text there is."""
    schema = _resolved(document, _dig(operation, "requestBody", "content", "application/json", "schema"))
    properties = {name: _resolved(document, value) for name, value in _dict(schema.get("properties")).items()}
    required = schema.get("required")
    required = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    texts = [name for name, value in properties.items() if _takes_text(value)]
    for name in PROMPT_FIELDS:
        if name in texts and (name in required or texts == [name]):
            others = (other for other in required if other != name)
            return name, tuple(other for other in others if "default" not in properties.get(other, {}))
    return None


def _takes_text(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    if kind == "string" or (isinstance(kind, list) and "string" in kind):
        return "format" not in schema and "enum" not in schema
    options = schema.get("anyOf") or schema.get("oneOf")
    return isinstance(options, list) and any(_dict(option).get("type") == "string" for option in options)


def _resolved(document: dict[str, Any], schema: Any, depth: int = 0) -> dict[str, Any]:
    """A schema with its reference followed and its allOf parts merged."""
    own = _dict(schema)
    if depth > _DEEPEST:
        return {}
    reference = own.get("$ref")
    if isinstance(reference, str):
        return _resolved(document, _dig(document, *reference.removeprefix("#/").split("/")), depth + 1)
    parts = own.get("allOf")
    if not isinstance(parts, list):
        return own
    merged: dict[str, Any] = {"properties": {}, "required": []}
    for part in (*parts, {key: value for key, value in own.items() if key != "allOf"}):
        found = _resolved(document, part, depth + 1)
        properties = {**merged["properties"], **_dict(found.get("properties"))}
        names = found.get("required")
        required = [*merged["required"], *(names if isinstance(names, list) else [])]
        merged = {**merged, **found, "properties": properties, "required": required}
    return merged


def _dig(value: Any, *steps: str) -> Any:
    for step in steps:
        value = _dict(value).get(step)
    return value


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
