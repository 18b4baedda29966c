"""Finding the POST that takes a prompt in an OpenAPI document."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llmserve.dialects.openapi import (
    JsonPost,
    find_data_posts,
    find_endpoint,
    find_json_posts,
    find_text_posts,
)

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}


def post(properties: Any, required: Any = ()) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}


def found(properties: Any, required: Any = (), path: str = "/x") -> list[JsonPost]:
    return find_json_posts({"paths": {path: post(properties, required)}})


@pytest.mark.parametrize(
    ("properties", "required", "field"),
    [
        ({"prompt": TEXT}, ["prompt"], "prompt"),
        ({"prompt": TEXT}, [], "prompt"),
        ({"question": TEXT, "user": TEXT}, ["question"], "question"),
        ({"query": TEXT, "k": NUMBER}, [], "query"),
        ({"text": TEXT, "prompt": TEXT}, ["text", "prompt"], "prompt"),
        ({"inputs": {"anyOf": [TEXT, {"type": "null"}]}}, [], "inputs"),
        ({"input": {"type": ["string", "null"]}}, ["input"], "input"),
    ],
)
def test_a_text_that_is_required_or_alone_takes_the_prompt(
    properties: Any, required: list[str], field: str
) -> None:
    assert [item.field for item in found(properties, required)] == [field]


@pytest.mark.parametrize(
    ("properties", "required"),
    [
        ({"prompt": NUMBER}, ["prompt"]),
        ({"name": TEXT}, ["name"]),
        ({"text": TEXT, "user": TEXT}, []),
        ({"text": {"type": "string", "format": "binary"}}, ["text"]),
        ({"message": {"type": "string", "enum": ["on", "off"]}}, ["message"]),
        ({}, []),
        ("nonsense", "nonsense"),
    ],
)
def test_anything_else_does_not(properties: Any, required: Any) -> None:
    assert found(properties, required) == []


def test_a_required_field_of_few_values_is_filled_with_the_likeliest_for_a_model() -> None:
    """One whose name speaks for asking a model, else the first; a const as well."""
    task, mode = {"enum": ["emotion", "chat"]}, {"enum": ["fast", "slow"]}
    properties = {"prompt": TEXT, "task": task, "mode": mode, "kind": {"const": 2}, "free": {"enum": []}}
    (item,) = found(properties, ["prompt", "task", "mode", "kind", "free"])
    assert item.filled == (("task", "chat"), ("mode", "fast"), ("kind", 2))
    assert item.missing == ("free",)
    assert item.request == (
        '{"prompt": "{prompt}", "task": "chat", "mode": "fast", "kind": 2, "free": "..."}'
    )


def test_a_list_of_data_is_found_as_gradio_takes_it() -> None:
    """Where nothing else is wanted beside it; the likeliest path first."""
    data = {"data": {"type": "array", "items": TEXT}}
    paths = {
        "/run": post(data, ["data"]),
        "/chat": post(data),
        "/more": post(data | {"user": TEXT}, ["data", "user"]),
        "/text": post({"data": TEXT}, ["data"]),
        "/run/{name}": post(data),
    }
    assert find_data_posts({"paths": paths}) == ["/chat", "/run"]


def test_what_only_the_user_can_fill_is_named() -> None:
    properties = {"prompt": TEXT, "user_id": NUMBER, "k": {"type": "integer", "default": 3}}
    (item,) = found(properties, ["prompt", "user_id", "k"])
    assert item.missing == ("user_id",)
    assert item.wants == "POST /x takes 'prompt' but also wants user_id"
    assert item.request == '{"prompt": "{prompt}", "user_id": 1}'


def test_a_text_of_an_unknown_name_is_found_apart() -> None:
    """A required one, else the only one; not where its name is that of no prompt, or known."""
    paths = {
        "/ask": post({"frage": TEXT, "laenge": NUMBER}, ["frage"]),
        "/say": post({"utterance": TEXT}),
        "/pair": post({"left": TEXT, "right": TEXT, "n": NUMBER}, ["left", "right", "n"]),
        "/either": post({"left": TEXT, "right": TEXT}),
        "/count": post({"note": TEXT, "n": NUMBER}, ["n"]),
        "/load": post({"model_name": TEXT}, ["model_name"]),
        "/login": post({"username": TEXT, "password": TEXT}, ["username", "password"]),
        "/known": post({"prompt": TEXT, "frage": TEXT}, ["prompt", "frage"]),
        "/ask/{name}": post({"frage": TEXT}, ["frage"]),
    }
    assert find_text_posts({"paths": paths}) == [
        JsonPost("/ask", "frage"),
        JsonPost("/say", "utterance", required=False),
        JsonPost("/pair", "left", ("right", "n"), (), ("...", 1)),
    ]
    assert [found.path for found in find_json_posts({"paths": paths})] == ["/known"]


def test_the_template_holds_the_property() -> None:
    assert found({"question": TEXT})[0].request == '{"question": "{prompt}"}'


def test_a_path_with_parameters_cannot_be_called() -> None:
    assert found({"prompt": TEXT}, path="/models/{name}/generate") == []
    document = {"paths": {"/{model}/v1/chat/completions": post({})}}
    assert find_endpoint(document, "/chat/completions") is None


def test_the_likeliest_path_comes_first() -> None:
    paths = ("/feedback", "/api/query", "/predict", "/v2/generate", "/generate", "/chat")
    document = {"paths": {path: post({"text": TEXT}) for path in paths}}
    ranked = ["/generate", "/v2/generate", "/chat", "/predict", "/api/query", "/feedback"]
    assert [item.path for item in find_json_posts(document)] == ranked


def test_references_and_all_of_are_followed() -> None:
    schemas = {
        "Base": {"properties": {"user": {"$ref": "#/components/schemas/Name"}}},
        "Name": TEXT,
        "Ask": {
            "allOf": [{"$ref": "#/components/schemas/Base"}, {"required": ["prompt"]}],
            "properties": {"prompt": {"$ref": "#/components/schemas/Name"}},
        },
    }
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ask"}}}}
    document = {"paths": {"/ask": {"post": {"requestBody": body}}}, "components": {"schemas": schemas}}
    assert find_json_posts(document) == [JsonPost("/ask", "prompt")]


def test_references_in_a_circle_end() -> None:
    loop = {"allOf": [{"$ref": "#/components/schemas/Loop"}, {"$ref": "#/components/schemas/Loop"}]}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Loop"}}}}
    document = {
        "paths": {"/ask": {"post": {"requestBody": body}}},
        "components": {"schemas": {"Loop": loop}},
    }
    assert find_json_posts(document) == []


@pytest.mark.parametrize(
    ("paths", "endpoint", "path"),
    [
        (["/v1/chat/completions", "/v1/completions"], "/chat/completions", "/v1/chat/completions"),
        (["/v1/chat/completions", "/v1/completions"], "/completions", "/v1/completions"),
        (["/v1/chat/completions"], "/completions", None),
        (["/a/chat/completions", "/v1/chat/completions"], "/chat/completions", "/v1/chat/completions"),
        (["/api/v1/chat/completions"], "/chat/completions", "/api/v1/chat/completions"),
        ([], "/chat/completions", None),
    ],
)
def test_an_openai_endpoint_is_found(paths: list[str], endpoint: str, path: str | None) -> None:
    assert find_endpoint({"paths": {name: post({}) for name in paths}}, endpoint) == path


@pytest.mark.parametrize(
    "document", [{}, {"paths": None}, {"paths": {"/x": []}}, {"paths": {"/x": {"get": {}}}}]
)
def test_a_document_of_odd_shape_has_no_posts(document: dict[str, Any]) -> None:
    assert find_json_posts(document) == []
    assert find_endpoint(document, "/completions") is None
