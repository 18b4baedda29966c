"""What an OpenAPI document tells: which POST takes a prompt, and under which name."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from pytest_llmserve.dialects.known_paths import is_unmistakable

PROMPT_FIELDS = ("prompt", "input", "inputs", "text", "question", "query", "message")
PATH_WORDS = ("generate", "chat", "predict", "complet", "infer", "ask", "query", "answer", "invoke", "run")
"""Words in a path that speak for it, the best first."""

_PATH = re.compile(r"/[^\x00-\x1f\x7f]*\Z")
_NO_PROMPTS = {"id", "key", "token", "name", "user", "username", "password", "email", "url", "path", "model"}
"""Last words in names of texts that are no prompt, though a POST may want nothing else."""

_STAND_INS: dict[Any, Any] = {"integer": 1, "number": 1, "boolean": False, "array": [], "object": {}}
"""Type -> what a template shows where the user has to write a value."""

_DEEPEST = 8  # references may lead in circles


class JsonPost(msgspec.Struct, frozen=True):
    """A POST that takes a JSON object with a prompt.

    Attributes:
        field: the property that takes the prompt.
        missing: required properties that nobody but the user can fill.
        filled: required properties that have few values, with one of them.
        stand_ins: what a template shows for each that is missing.
        required: the property has to be there.
    """

    path: str
    field: str
    missing: tuple[str, ...] = ()
    filled: tuple[tuple[str, Any], ...] = ()
    stand_ins: tuple[Any, ...] = ()
    required: bool = True

    @property
    def request(self) -> str:
        """The template for `--llm-json-request`."""
        missing = dict(zip(self.missing, self.stand_ins, strict=True))
        return json.dumps({self.field: "{prompt}", **dict(self.filled), **missing})

    @property
    def wants(self) -> str:
        """What it takes and cannot be filled: "POST /ask takes 'question' but also wants user"."""
        return f"POST {self.path} takes {self.field!r} but also wants {', '.join(self.missing)}"


def find_endpoint(document: dict[str, Any], endpoint: str, fields: Sequence[str] = ()) -> str | None:
    """The path of the POST that ends with an endpoint of a known API; /v1 goes before others."""
    found = find_endpoints(document, endpoint, fields)
    return min(found, key=lambda path: (path != "/v1" + endpoint, len(path), path), default=None)


def find_endpoints(document: dict[str, Any], endpoint: str, fields: Sequence[str] = ()) -> list[str]:
    """The path of every such POST: where others may have that path too, the body has these fields.

    A body that is not described may have them.
    """
    found = [
        path
        for path, operation in _posts(document).items()
        if path.endswith(endpoint) and "{" not in path and _may_have(document, path, operation, fields)
    ]
    if endpoint == "/completions":
        return [path for path in found if not path.endswith("/chat/completions")]
    return found


def _may_have(document: dict[str, Any], path: str, operation: dict[str, Any], fields: Sequence[str]) -> bool:
    properties, _ = _properties(document, operation)
    return is_unmistakable(path) or not properties or {*fields} <= {*properties}


def find_json_posts(document: dict[str, Any]) -> list[JsonPost]:
    """Every POST that takes a prompt, the likeliest first. Paths with parameters do not count."""
    posts = []
    for path, operation in _posts(document).items():
        post = None if "{" in path else _json_post(document, path, operation)
        if post is not None:
            posts.append(post)
    return sorted(posts, key=_unlikeliness)


def find_text_posts(document: dict[str, Any]) -> list[JsonPost]:
    """Every other POST that takes a text, in the document's order: the names tell nothing of a prompt."""
    posts = []
    for path, operation in _posts(document).items():
        properties, required = _properties(document, operation)
        texts = [name for name in _texts(properties) if name.rpartition("_")[2].lower() not in _NO_PROMPTS]
        wanted = [name for name in texts if name in required] or (texts if len(texts) == 1 else [])
        if wanted and "{" not in path and _json_post(document, path, operation) is None:
            post = _filled(path, wanted[0], properties, required)
            if post.required or not post.missing:
                posts.append(post)
    return posts


def find_data_posts(document: dict[str, Any]) -> list[str]:
    """The path of every POST that takes {"data": [...]}, as Gradio does, the likeliest first."""
    found = []
    for path, operation in _posts(document).items():
        properties, required = _properties(document, operation)
        if "{" not in path and properties.get("data", {}).get("type") == "array" and {*required} <= {"data"}:
            found.append(path)
    return sorted(found, key=lambda path: (_word_rank(path), len(path), path))


def post_paths(document: dict[str, Any]) -> tuple[str, ...]:
    """The path of every POST, in the document's order. Paths with parameters do not count."""
    return tuple(path for path in _posts(document) if isinstance(path, str) and "{" not in path)


def _posts(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By path; what no URL can have as its path is none."""
    paths = document.get("paths")
    return {
        path: item["post"]
        for path, item in (paths.items() if isinstance(paths, dict) else ())
        if _PATH.match(path) and isinstance(item, dict) and isinstance(item.get("post"), dict)
    }


def _unlikeliness(post: JsonPost) -> tuple[int, int, int, str]:
    return (_word_rank(post.path), PROMPT_FIELDS.index(post.field), len(post.path), post.path)


def _word_rank(text: str) -> int:
    """0 for the best word of `PATH_WORDS`; their number for none."""
    ranks = [rank for rank, word in enumerate(PATH_WORDS) if word in text.lower()]
    return min(ranks, default=len(PATH_WORDS))


def _json_post(document: dict[str, Any], path: str, operation: dict[str, Any]) -> JsonPost | None:
    """The property that takes the prompt: a text that is required, or the only text there is."""
    properties, required = _properties(document, operation)
    texts = _texts(properties)
    for name in PROMPT_FIELDS:
        if name in texts and (name in required or texts == [name]):
            return _filled(path, name, properties, required)
    return None


def _texts(properties: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, value in properties.items() if _takes_text(value)]


def _filled(path: str, name: str, properties: dict[str, dict[str, Any]], required: list[str]) -> JsonPost:
    """A POST whose prompt goes to this property, with what can be told of the others it has to have."""
    others = [other for other in required if other != name and "default" not in properties.get(other, {})]
    values = {other: _values(properties.get(other, {})) for other in others}
    missing = [other for other in others if not values[other]]
    return JsonPost(
        path,
        name,
        tuple(missing),
        tuple((other, min(found, key=_rank)) for other, found in values.items() if found),
        tuple(_stand_in(properties.get(other, {})) for other in missing),
        name in required,
    )


def _stand_in(schema: dict[str, Any]) -> Any:
    kind = schema.get("type")
    return _STAND_INS.get(kind, "...") if isinstance(kind, str) else "..."


def _properties(
    document: dict[str, Any], operation: dict[str, Any]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The properties of a POST's JSON object, and the names of those that it has to have."""
    schema = _resolved(document, _dig(operation, "requestBody", "content", "application/json", "schema"))
    properties = {name: _resolved(document, value) for name, value in _dict(schema.get("properties")).items()}
    required = schema.get("required")
    return properties, [n for n in required if isinstance(n, str)] if isinstance(required, list) else []


def _values(schema: dict[str, Any]) -> list[Any]:
    """All the values that it may have, where they are few; the likeliest to ask a model is to be taken."""
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return values if isinstance(values, list) else []


def _rank(value: Any) -> int:
    return _word_rank(value) if isinstance(value, str) else len(PATH_WORDS)


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
